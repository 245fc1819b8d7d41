//go:build ceph

package ceph

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// bound is how long a call of an impatient driver may take: connecting and a few
// operations, on a machine with other work.
const bound = 15 * time.Second

// within fails if f takes longer than bound.
func within(t *testing.T, f func() error) error {
	t.Helper()
	began := time.Now()
	err := f()
	if took := time.Since(began); took > bound {
		t.Errorf("got an answer after %s, want it within %s", took, bound)
	}
	return err
}

func TestOpen_WhatIsMissing_IsToldByEachCallUntilMended(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	good := configOf(cluster)
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	wrongKey := filepath.Join(dir, "wrong.keyring")
	key := "[client.volumes]\n\tkey = AQBZZZZlAAAAABAAbm90IHRoZSByaWdodCBrZXk=\n"
	ok(t, os.WriteFile(wrongKey, []byte(key), 0o600), "write a wrong key")

	tests := map[string]func(*Config){
		"conf missing":          func(c *Config) { c.Conf = missing },
		"keyring missing":       func(c *Config) { c.Keyring = missing },
		"wrong key":             func(c *Config) { c.Keyring = wrongKey },
		"unknown user":          func(c *Config) { c.User = "nobody" },
		"pool missing":          func(c *Config) { c.Pool = "missing" },
		"namespace missing":     func(c *Config) { c.Namespace = "missing" },
		"user without OSD caps": func(c *Config) { c.User, c.Keyring = monitorsOnly(t, cluster) },
		"user without caps":     func(c *Config) { c.User = cephtest.NoCaps; c.Keyring = cluster.Keyring(cephtest.NoCaps) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := impatient(good)
			spoil(&cfg)
			d := open(t, cfg)
			ref := refOf("spoilt")
			_, getErr := d.Get(t.Context(), ref.Key)
			_, healthErr := d.Health(t.Context())
			for call, err := range map[string]error{
				"get": getErr, "health": healthErr,
				"create": within(t, func() error { return d.Create(t.Context(), ref, small) }),
				"delete": within(t, func() error { return d.Delete(t.Context(), ref) }),
			} {
				refused(t, err, call, volume.FailedPrecondition)
				t.Logf("%s: %v", call, err)
			}
		})
	}
}

// monitorsOnly makes a user who may ask the monitors and no OSD.
func monitorsOnly(t *testing.T, cluster *cephtest.Cluster) (user, keyring string) {
	t.Helper()
	keyring = filepath.Join(t.TempDir(), "keyring")
	key := cluster.Ceph(t, "auth", "get-or-create", "client.monitors-only", "mon", "profile rbd")
	ok(t, os.WriteFile(keyring, []byte(key), 0o600), "write the key")
	return "monitors-only", keyring
}

func TestCreate_DataPoolMissing_IsFailedPrecondition(t *testing.T) {
	t.Parallel()
	cfg := inNamespace(t)
	cfg.DataPool = "missing"
	d := open(t, cfg)
	ref := refOf("a")
	refused(t, d.Create(t.Context(), ref, small), "create", volume.FailedPrecondition)
	ok(t, d.Delete(t.Context(), ref), "delete of what was not made")
}

func TestDriver_PoolMadeLater_HealsWithoutReopening(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	cfg := configOf(cluster)
	cfg.Pool, cfg.User, cfg.Keyring = "later", cephtest.Admin, cluster.Keyring(cephtest.Admin)
	d := open(t, cfg)
	refused(t, d.Create(t.Context(), refOf("a"), small), "create", volume.FailedPrecondition)
	ok(t, cluster.CreatePool(t.Context(), cfg.Pool), "make the pool")
	created(t, d, "a")

	// What is gone with its pool is not "not found": nobody deleted it.
	ok(t, cluster.DeletePool(t.Context(), cfg.Pool), "remove the pool")
	soon(t, "notice that the pool is gone", func() error {
		_, err := d.Get(t.Context(), refOf("a").Key)
		if err == nil {
			return errors.New("it is there still")
		}
		refused(t, err, "get", volume.FailedPrecondition)
		return nil
	})
	refused(t, d.Delete(t.Context(), refOf("a")), "delete", volume.FailedPrecondition)
	refused(t, d.List(t.Context(), nil), "list", volume.FailedPrecondition)

	ok(t, cluster.CreatePool(t.Context(), cfg.Pool), "make another pool")
	soon(t, "create in the other pool", func() error { return d.Create(t.Context(), refOf("a"), small) })
	ok(t, cluster.DeletePool(t.Context(), cfg.Pool), "remove the pool")
}

func TestDriver_PoolFull_CreateIsExhaustedAndDeleteWorks(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	cfg := impatient(configOf(cluster))
	cfg.Pool = cluster.NewPool(t)
	cfg.User, cfg.Keyring = cfg.Pool, cluster.Keyring(cfg.Pool)
	d := open(t, cfg)
	ref := created(t, d, "a")
	cluster.RBD(t, "bench", "--io-type", "write", "--io-total", "8M", cfg.Pool+"/"+imageName(ref.Key))
	cluster.SetQuota(t, cfg.Pool, 1<<20)
	cluster.AwaitFull(t, cfg.Pool, true)

	refused(t, within(t, func() error { return d.Create(t.Context(), refOf("b"), small) }), "create", volume.ResourceExhausted)
	_, err := d.Get(t.Context(), ref.Key)
	ok(t, err, "get")
	ok(t, within(t, func() error { return d.Delete(t.Context(), ref) }), "delete")
	_, err = d.Get(t.Context(), ref.Key)
	refused(t, err, "get of what was deleted", volume.NotFound)

	cluster.SetQuota(t, cfg.Pool, 0)
	cluster.AwaitFull(t, cfg.Pool, false)
	soon(t, "create with space again", func() error { return d.Create(t.Context(), refOf("b"), small) })
	wantImages(t, cluster, cfg, refOf("b").Key)
}

// wantImages wants the pool or namespace to hold the images of the keys and no others.
func wantImages(t *testing.T, cluster *cephtest.Cluster, cfg Config, keys ...volume.Key) {
	t.Helper()
	var want []string
	for _, key := range keys {
		want = append(want, imageName(key))
	}
	spec := strings.TrimSuffix(cfg.Pool+"/"+cfg.Namespace, "/")
	if got := strings.Fields(cluster.RBD(t, "ls", spec)); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("images in %s: got %q, want %q", spec, got, want)
	}
}

func TestDriver_OwnClientBlocklisted_ConnectsAnew(t *testing.T) {
	t.Parallel()
	cluster := cephtest.Start(t)
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	var before []string
	withConn(t, d, func(c *conn) error { before = c.addrs; return nil })
	cluster.Ceph(t, "osd", "blocklist", "add", before[0])

	// The watch of the registry may notice before any call does.
	soon(t, "connect anew", func() error {
		if _, err := d.Attach(t.Context(), ref, "n1", volume.ReadWrite); err != nil {
			refused(t, err, "call of a blocklisted client", volume.Unavailable)
		}
		_ = d.Detach(t.Context(), ref, "n1")
		var now []string
		err := d.use(t.Context(), func(c *conn) error { now = c.addrs; return nil })
		if err == nil && now[0] == before[0] {
			return errors.New("still the connection from before")
		}
		return err
	})
	_, err := d.Get(t.Context(), ref.Key)
	ok(t, err, "get after the reconnect")
}

func TestDriver_ClusterDown_HealsWithoutReopening(t *testing.T) {
	t.Parallel()
	cluster := cephtest.StartOwn(t)
	cluster.Stop(t, cephtest.OSD)
	cluster.Stop(t, cephtest.Mon)
	d := open(t, impatient(configOf(cluster)))
	for call, f := range map[string]func() error{
		"create": func() error { return d.Create(t.Context(), refOf("a"), small) },
		"get":    func() error { _, err := d.Get(t.Context(), refOf("a").Key); return err },
		"health": func() error { _, err := d.Health(t.Context()); return err },
	} {
		refused(t, within(t, f), call, volume.Unavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Create(ctx, refOf("a"), small); !errors.Is(err, context.Canceled) {
		t.Errorf("create with a cancelled context: got %v, want %v", err, context.Canceled)
	}
	cluster.Restart(t, cephtest.Mon)
	cluster.Restart(t, cephtest.OSD)
	soon(t, "create when the cluster is back", func() error { return d.Create(t.Context(), refOf("a"), small) })
}

func TestDriver_DaemonsFail_UnavailableThenHeals(t *testing.T) {
	t.Parallel()
	cluster := cephtest.StartOwn(t)
	cfg := impatient(configOf(cluster))
	d := open(t, cfg)
	ref := created(t, d, "a")

	cluster.Freeze(t, cephtest.OSD)
	for call, f := range map[string]func() error{
		"create": func() error { return d.Create(t.Context(), refOf("b"), small) },
		"delete": func() error { return d.Delete(t.Context(), ref) },
		"resize": func() error { return d.Resize(t.Context(), ref, 2*small) },
		"attach": func() error { _, err := d.Attach(t.Context(), ref, "n1", volume.ReadWrite); return err },
		"detach": func() error { return d.Detach(t.Context(), ref, "n1") },
		"get":    func() error { _, err := d.Get(t.Context(), ref.Key); return err },
		"list":   func() error { return d.List(t.Context(), nil) },
		"health": func() error { _, err := d.Health(t.Context()); return err },
	} {
		began := time.Now()
		refused(t, within(t, f), call+" with a frozen OSD", volume.Unavailable)
		t.Logf("%s with a frozen OSD: %s", call, time.Since(began).Round(time.Millisecond))
	}
	cluster.Resume(t, cephtest.OSD)
	// The timed-out create may have happened, or half of it.
	soon(t, "create with the OSD back", func() error { return d.Create(t.Context(), refOf("b"), small) })
	soon(t, "delete with the OSD back", func() error { return d.Delete(t.Context(), ref) })
	soon(t, "delete with the OSD back", func() error { return d.Delete(t.Context(), refOf("b")) })
	wantImages(t, cluster, cfg)

	cluster.Kill(t, cephtest.Mon)
	created(t, d, "c") // needs OSDs only
	late := open(t, cfg)
	refused(t, within(t, func() error { return late.Create(t.Context(), refOf("d"), small) }), "create over a new connection without a mon", volume.Unavailable)
	cluster.Restart(t, cephtest.Mon)
	soon(t, "create with the mon back", func() error { return late.Create(t.Context(), refOf("d"), small) })
	wantImages(t, cluster, cfg, refOf("c").Key, refOf("d").Key)
}
