//go:build ceph

package ceph

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) {
	if served, err := serveCall(); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if cfg, found := os.LookupEnv(victimVariable); found {
		os.Exit(liveUntilKilled(cfg, os.Stdout))
	}
	child, isChild := children[os.Getenv(childVariable)]
	if !isChild {
		os.Exit(cephtest.Main(m))
	}
	if err := child(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// harness is a namespace for one test.
type harness struct {
	cfg     Config
	cluster *cephtest.Cluster // that is restarted to Reap
}

func (h *harness) Open(t testing.TB) backends.Driver { return open(t, h.cfg) }

func (*harness) MaxSize() volume.Bytes { return volume.TiB }

func TestConformance(t *testing.T) {
	t.Parallel()
	cluster := cephtest.StartOwn(t) // to Reap disturbs all
	cfg := configOf(cluster)
	cfg.Namespace = cluster.Namespace(t)
	backendtest.Run(t, &harness{cfg: cfg, cluster: cluster})
}

// inNamespace is the configuration for a new namespace of the shared cluster.
func inNamespace(t testing.TB) Config {
	t.Helper()
	cluster := cephtest.Start(t)
	cfg := configOf(cluster)
	cfg.Namespace = cluster.Namespace(t)
	return cfg
}

func configOf(c *cephtest.Cluster) Config {
	return Config{Conf: c.Conf(), Keyring: c.Keyring(cephtest.Volumes), User: cephtest.Volumes, Pool: cephtest.Pool}
}

// impatient is a cfg whose calls give up after a second.
func impatient(cfg Config) Config {
	cfg.OpTimeout, cfg.MonTimeout, cfg.MountTimeout = time.Second, time.Second, time.Second
	return cfg
}

// open returns a driver that the test closes, if it has not been by then.
func open(t testing.TB, cfg Config) *driver {
	t.Helper()
	opened, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: got %v, want a driver", err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened.(*driver)
}

const small = 64 * volume.MiB

// refOf is the first life of a volume.
func refOf(name volume.Name) backends.Ref {
	key := volume.Key{Project: "test", Name: name}
	return backends.Ref{Key: key, ID: volume.NewID(key, 1)}
}

func created(t testing.TB, d *driver, name volume.Name) backends.Ref {
	t.Helper()
	ref := refOf(name)
	ok(t, d.Create(t.Context(), ref, small), "create")
	return ref
}

func ok(t testing.TB, err error, what string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: got %v, want success", what, err)
	}
}

func refused(t testing.TB, err error, what string, classes ...volume.Class) {
	t.Helper()
	if err == nil || !slices.ContainsFunc(classes, func(c volume.Class) bool { return errors.Is(err, c) }) {
		t.Errorf("%s: got %v (class %s), want class %v", what, err, volume.ClassOf(err), classes)
	}
}

// soon repeats f until it succeeds, at most for a minute.
func soon(t testing.TB, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("%s: got %v still after a minute, want success", what, err)
		}
	}
}

// withConn calls f with a connection, as the driver's methods do.
func withConn(t testing.TB, d *driver, f func(*conn) error) {
	t.Helper()
	ok(t, d.use(t.Context(), f), "use a connection")
}
