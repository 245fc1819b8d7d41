//go:build ceph

package ceph

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/ceph/go-ceph/rbd"
)

// glances is how often each of glancers opens and closes the clone. Without the wait of
// conn.close the process died in 15 of 15 runs.
const (
	glancers = 8
	glances  = 125
)

// TestImage_OpenForAMoment_IsNotUsedAfterItsClose runs in a process that fills freed memory:
// what uses it dies, in place of going on by luck.
func TestImage_OpenForAMoment_IsNotUsedAfterItsClose(t *testing.T) {
	t.Parallel()
	cfg := inNamespace(t)
	d := open(t, cfg)
	ref := created(t, d, "glanced")
	_, err := d.CreateSnapshot(t.Context(), ref, "s1")
	ok(t, err, "create snapshot")
	clone := refOf("clone")
	ok(t, d.Clone(t.Context(), ref, "s1", clone, small), "clone")
	process := childCommand(t, cfg, "glance", imageID(t, d, clone))
	process.Env = append(process.Env, "GLIBC_TUNABLES=glibc.malloc.perturb=90:glibc.malloc.tcache_count=0")
	output, err := process.CombinedOutput()
	if want := fmt.Sprintf("%d glances\n", glancers*glances); err != nil || string(output) != want {
		t.Errorf("process that opens and closes: got %v and output %q, want %q", err, output, want)
	}
}

// glanceChild opens and closes a clone, and with it a snapshot, many times.
func glanceChild(args []string) error {
	d, err := openChild(args[0])
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	failed := make(chan error, glancers)
	for range glancers {
		all.Go(func() {
			failed <- d.use(context.Background(), func(c *conn) error { return glance(c, args[1]) })
		})
	}
	all.Wait()
	for range glancers {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Printf("%d glances\n", glancers*glances)
	return d.Close()
}

func glance(c *conn, clone string) error {
	for range glances {
		if err := c.look(clone, func(*rbd.Image) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}
