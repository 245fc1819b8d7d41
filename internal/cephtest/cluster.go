package cephtest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// The names of what every cluster has; see [cephproc].
const (
	Pool = cephproc.Pool

	Admin   = cephproc.Admin
	Volumes = cephproc.Volumes
	NoCaps  = cephproc.NoCaps

	Mon = cephproc.Mon
	Mgr = cephproc.Mgr
	OSD = cephproc.OSD
)

// commandTimeout bounds what a test asks of a cluster that works.
const commandTimeout = time.Minute

// pollPause stands between two questions.
const pollPause = 200 * time.Millisecond

// Cluster is a running cluster. Its methods fail the test on any error. They are for the
// test's goroutine, those without a testing.TB for any.
type Cluster struct {
	*cephproc.Cluster
	own bool // may be broken
}

// Start returns the cluster that the tests of this binary share, running and healthy.
func Start(t testing.TB) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), upTimeout)
	defer cancel()
	cluster, err := share(ctx)
	if err != nil {
		t.Fatalf("shared ceph cluster: %v", err)
	}
	return &Cluster{Cluster: cluster}
}

// StartOwn starts a cluster for this test alone, in about two seconds, and removes it at
// the test's end.
func StartOwn(t testing.TB) *Cluster {
	t.Helper()
	// Not t.TempDir: the name goes into configuration files and command lines.
	dir, err := os.MkdirTemp("", "jetvol-ceph-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), downTimeout)
		defer cancel()
		if err := cephproc.Down(ctx, dir); err != nil {
			t.Errorf("end ceph cluster: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	cluster, err := cephproc.Up(ctx, dir)
	if err != nil {
		t.Fatalf("ceph cluster: %v", err)
	}
	return &Cluster{Cluster: cluster, own: true}
}

// names makes the names of one test run differ; the process's number tells runs that
// share a cluster apart.
var names atomic.Int64

func newName(kind string) string {
	return fmt.Sprintf("%s-%d-%d-%d", kind, time.Now().Unix(), os.Getpid(), names.Add(1))
}

// Namespace makes a namespace of [Pool] for this test and returns its name. The user
// [Volumes] may use it. It stays as long as the cluster.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := newName("ns")
	c.RBD(t, "namespace", "create", Pool+"/"+name)
	return name
}

// NewPool makes a pool for this test and returns its name, which is also that of a user
// with the rights that [Volumes] has in [Pool]. It is removed at the test's end, with all
// images.
func (c *Cluster) NewPool(t testing.TB) string {
	t.Helper()
	name := newName("pool")
	c.do(t, func(ctx context.Context) error { return c.CreatePool(ctx, name) })
	t.Cleanup(func() {
		c.do(t, func(ctx context.Context) error { return c.DeletePool(ctx, name) })
	})
	return name
}

// Ceph runs the ceph tool as the user admin and returns what it prints.
func (c *Cluster) Ceph(t testing.TB, args ...string) string {
	t.Helper()
	return c.ask(t, func(ctx context.Context) ([]byte, error) { return c.Cluster.Ceph(ctx, args...) })
}

// RBD runs the rbd tool as the user admin and returns what it prints.
func (c *Cluster) RBD(t testing.TB, args ...string) string {
	t.Helper()
	return c.ask(t, func(ctx context.Context) ([]byte, error) { return c.Cluster.RBD(ctx, args...) })
}

// Rados runs the rados tool as the user admin and returns what it prints.
func (c *Cluster) Rados(t testing.TB, args ...string) string {
	t.Helper()
	return c.ask(t, func(ctx context.Context) ([]byte, error) { return c.Cluster.Rados(ctx, args...) })
}

// SetQuota limits the bytes in a pool; 0 lifts the limit. See [Cluster.AwaitFull].
func (c *Cluster) SetQuota(t testing.TB, pool string, limit int64) {
	t.Helper()
	c.do(t, func(ctx context.Context) error { return c.Cluster.SetQuota(ctx, pool, limit) })
}

// AwaitFull returns when the pool's quota has taken effect, or has been lifted if full is
// false.
func (c *Cluster) AwaitFull(t testing.TB, pool string, full bool) {
	t.Helper()
	pause := time.NewTicker(pollPause)
	defer pause.Stop()
	c.do(t, func(ctx context.Context) error {
		for {
			now, err := c.Full(ctx, pool)
			if err != nil || now == full {
				return err
			}
			<-pause.C
		}
	})
}

// Blocklist returns the addresses of the clients that are shut out: "127.0.0.1:0/3948123".
func (c *Cluster) Blocklist(t testing.TB) []string {
	t.Helper()
	var addresses []string
	c.do(t, func(ctx context.Context) (err error) {
		addresses, err = c.Cluster.Blocklist(ctx)
		return err
	})
	return addresses
}

func (c *Cluster) ask(t testing.TB, f func(context.Context) ([]byte, error)) string {
	t.Helper()
	var output []byte
	c.do(t, func(ctx context.Context) (err error) {
		output, err = f(ctx)
		return err
	})
	return string(output)
}

// do does not use t.Context, so that it works in a Cleanup, too.
func (c *Cluster) do(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Fatalf("ceph cluster: %v", err)
	}
}
