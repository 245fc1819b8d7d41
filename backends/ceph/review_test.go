//go:build ceph

package ceph

import (
	"strings"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// QEMU opens an image for writing also where it only reads, so that readers have watches.
func TestEvict_OneOfTwoReaders_LeavesTheOtherReading(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "shared")
	n1 := openOn(t, attached(t, d, ref, "n1", volume.ReadOnly), "-r", "-t", "none")
	n2 := openOn(t, attached(t, d, ref, "n2", volume.ReadOnly), "-r", "-t", "none")
	n1.does(t, "read 0 4k", "read 4096/4096")
	n2.does(t, "read 0 4k", "read 4096/4096")
	done, err := d.Evict(t.Context(), ref, "n1")
	ok(t, err, "evict n1")
	t.Logf("fenced %q", done.Clients)
	if answer := n2.does(t, "read 0 4k", "read 4096/4096", "failed"); strings.Contains(answer, "failed") {
		t.Errorf("read of n2 after the eviction of n1: got %q, want it to go on", answer)
	}
}

func TestEvict_NodeThatHoldsNothing_LeavesReadersAlone(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "shared")
	n2 := openOn(t, attached(t, d, ref, "n2", volume.ReadOnly), "-r", "-t", "none")
	n2.does(t, "read 0 4k", "read 4096/4096")
	done, err := d.Evict(t.Context(), ref, "typo")
	ok(t, err, "evict a node that holds nothing")
	if len(done.Clients) > 0 {
		t.Errorf("fenced %q, which are n2's", done.Clients)
	}
	if answer := n2.does(t, "read 0 4k", "read 4096/4096", "failed"); strings.Contains(answer, "failed") {
		t.Errorf("read of n2: got %q, want it to go on", answer)
	}
}

// A delete of half an image that is killed leaves its watch for 30 s.
func TestDelete_HalfImageWithADeadClientsWatch_IsNoSuccess(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d, other := open(t, cfg), open(t, cfg)
	ref := created(t, d, "half")
	withConn(t, d, func(c *conn) error {
		id, err := c.named(imageName(ref.Key))
		ok(t, err, "id")
		return c.unmark(id)
	})
	withConn(t, other, func(c *conn) error {
		image, err := rbd.OpenImage(c.io, imageName(ref.Key), rbd.NoSnapshot)
		ok(t, err, "open")
		refused(t, d.Delete(t.Context(), ref), "delete while it is open", volume.Busy)
		refused(t, d.Create(t.Context(), ref, small), "create while it is open", volume.Busy)
		return c.close(image)
	})
	ok(t, d.Delete(t.Context(), ref), "delete")
	wantNothing(t, cluster, cfg, d)
}

func TestParseAddrs_IPv6(t *testing.T) {
	for text, want := range map[string]string{
		"[fd00::1]:0/4123":                          "[fd00::1]:0/4123",
		"v2:[fd00::1]:0/4123":                       "[fd00::1]:0/4123",
		"[v2:[fd00::1]:0/4123,v1:[fd00::1]:0/4123]": "[fd00::1]:0/4123",
		"127.0.0.1:0/4123":                          "127.0.0.1:0/4123",
		"[v2:127.0.0.1:0/4123,v1:127.0.0.1:0/4123]": "127.0.0.1:0/4123",
	} {
		if got := parseAddrs(text); got[0] != want {
			t.Errorf("parse %q: got %q, want %q", text, got, want)
		}
	}
}

// A connection to a cluster whose OSDs hang holds go-ceph's lock over all watches of the
// process while it makes its own.
func TestWatch_OSDHangs_EndsByTheTimeout(t *testing.T) {
	cluster := cephtest.StartOwn(t)
	d := openConnected(t, impatient(configOf(cluster)))
	cluster.Freeze(t, cephtest.OSD)
	began := time.Now()
	withConn(t, d, func(c *conn) error {
		_, err := c.io.Watch("review")
		t.Logf("watch: %v after %s", err, time.Since(began))
		return nil
	})
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("watch: took %s, want about a second", took)
	}
	began = time.Now()
	_ = d.Close()
	t.Logf("close took %s", time.Since(began))
	cluster.Resume(t, cephtest.OSD)
}

// A full pool must not keep anything from being freed.
func TestFullPool_WhatFreesAVolume_Works(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	pool := cluster.NewPool(t)
	d := open(t, Config{Conf: cluster.Conf(), User: pool, Pool: pool})
	held, gone, kept := created(t, d, "held"), created(t, d, "gone"), created(t, d, "kept")
	attached(t, d, held, "n1", volume.ReadWrite)
	attached(t, d, gone, "n1", volume.ReadWrite)
	_, err := d.CreateSnapshot(t.Context(), kept, "s1")
	ok(t, err, "create snapshot")
	withConn(t, d, func(c *conn) error { return c.io.WriteFull("filler", make([]byte, 1<<20)) })
	cluster.SetQuota(t, pool, 4096)
	cluster.AwaitFull(t, pool, true)
	ok(t, d.Detach(t.Context(), held, "n1"), "detach")
	_, err = d.Evict(t.Context(), gone, "n1")
	ok(t, err, "evict")
	attached(t, d, gone, "n2", volume.ReadWrite)
	ok(t, d.Delete(t.Context(), held), "delete")
	err = d.DeleteSnapshot(t.Context(), kept, "s1")
	listed, listErr := d.ListSnapshots(t.Context(), kept)
	ok(t, listErr, "list snapshots")
	if err != nil || len(listed) > 0 {
		t.Errorf("delete snapshot: got %v and %v left, want it gone", err, listed)
	}
	ok(t, d.Delete(t.Context(), kept), "delete")
}

// A pool that was removed and made anew has another number, which every call has to notice.
func TestDriver_PoolMadeAnew_EveryCallHeals(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(d *driver, ref backends.Ref) error{
		"create": func(d *driver, ref backends.Ref) error { return d.Create(t.Context(), ref, small) },
		"fence": func(d *driver, ref backends.Ref) error {
			return d.Fence(t.Context(), in(ownerEpoch, ref))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := cephtest.Start(t)
			pool := cluster.NewPool(t)
			d := open(t, Config{Conf: cluster.Conf(), User: pool, Pool: pool})
			ref := created(t, d, "a")
			cluster.Ceph(t, "osd", "pool", "delete", pool, pool, "--yes-i-really-really-mean-it")
			cluster.Ceph(t, "osd", "pool", "create", pool, "1")
			cluster.RBD(t, "pool", "init", pool)
			began := time.Now()
			soon(t, name, func() error {
				err := call(d, ref)
				if time.Since(began) > 10*time.Second {
					t.Fatalf("%s: got %v still after 10 s", name, err)
				}
				return err
			})
		})
	}
}
