//go:build ceph

package ceph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

func TestHealth_ClusterUp_TellsItsFacts(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	var health backends.Health
	soon(t, "the cluster to have counted its space", func() (err error) {
		health, err = d.Health(t.Context())
		ok(t, err, "health")
		if health.Facts["free_bytes"] == "" {
			return fmt.Errorf("no free space in %v", health.Facts)
		}
		return nil
	})
	if health.Driver != DriverName || !strings.Contains(cluster.Ceph(t, "version"), health.Version) {
		t.Errorf("health: got driver %s, version %s, want %s and that of the cluster", health.Driver, health.Version, DriverName)
	}
	fsid := strings.TrimSpace(cluster.Ceph(t, "fsid"))
	want := map[string]string{"fsid": fsid, "osds": "1, 1 up, 1 in", "pool": cfg.Pool, "user": cfg.User, "conf": cfg.Conf, "quorum": "a"}
	for fact, value := range want {
		if health.Facts[fact] != value {
			t.Errorf("fact %s: got %q, want %q", fact, health.Facts[fact], value)
		}
	}
	for _, fact := range []string{"health", "used_bytes", "free_bytes", "monitors", "addresses"} {
		if health.Facts[fact] == "" {
			t.Errorf("fact %s: got nothing of %v", fact, health.Facts)
		}
	}
}

func TestAttach_Connection_HasNoSecretAndWorks(t *testing.T) {
	t.Parallel()
	cluster, cfg := cephtest.Start(t), inNamespace(t)
	d := open(t, cfg)
	ref := created(t, d, "a")
	a := attached(t, d, ref, "n1", volume.ReadWrite)
	key := strings.TrimSpace(cluster.Ceph(t, "auth", "print-key", "client."+cfg.User))
	for name, value := range a.Connection {
		if strings.Contains(value, key) {
			t.Errorf("connection %s: got the key in %q", name, value)
		}
	}
	spec := strings.Join([]string{cfg.Pool, cfg.Namespace, "jetvol.test.a"}, "/")
	access := "--conf " + cfg.Conf + " --id " + cfg.User + " --keyring " + cfg.Keyring
	drive := "rbd:" + spec + ":id=" + cfg.User + ":conf=" + cfg.Conf + ":keyring=" + cfg.Keyring
	want := map[string]string{
		"spec": spec, "image": "jetvol.test.a", "pool": cfg.Pool, "namespace": cfg.Namespace, "keyring": cfg.Keyring,
		"rbd_map": "rbd map --options exclusive " + access + " " + spec,
		"qemu":    drive, "qemu_nbd": "qemu-nbd --format raw " + drive,
	}
	for name, value := range want {
		if a.Connection[name] != value {
			t.Errorf("connection %s: got %q, want %q", name, a.Connection[name], value)
		}
	}
	if monitors := a.Connection["monitors"]; !strings.Contains(monitors, "127.0.0.1") {
		t.Errorf("connection monitors: got %q, want those of the conf", monitors)
	}
}

func TestAttach_ReadOnly_TellsReadOnlyCommands(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	ref := created(t, d, "a")
	a := attached(t, d, ref, "n1", volume.ReadOnly)
	for _, name := range []string{"rbd_map", "qemu_nbd"} {
		if !strings.Contains(a.Connection[name], "--read-only") {
			t.Errorf("connection %s: got %q, want --read-only", name, a.Connection[name])
		}
	}
	reader := openOn(t, a, "-r")
	reader.does(t, "read 0 4k", "read 4096/4096")
}

func TestList_MorePagesThanOne_TellsAll(t *testing.T) {
	t.Parallel()
	d := open(t, inNamespace(t))
	want := map[volume.Key]bool{}
	withConn(t, d, func(c *conn) error {
		for i := range pageSize + 3 { // entries of images that vanish meanwhile
			if err := c.enlist(fmt.Sprintf("%sgone.x%03d", imagePrefix, i), fmt.Sprintf("gone%03d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range []volume.Name{"a", "b", "c"} {
		want[created(t, d, name).Key] = true
	}
	ok(t, d.List(t.Context(), func(o backends.Object) bool {
		if !want[o.Key] {
			t.Errorf("list: got %+v, want each of three once", o)
		}
		delete(want, o.Key)
		return true
	}), "list")
	if len(want) > 0 {
		t.Errorf("list: got none of %v", want)
	}
}
