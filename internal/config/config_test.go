package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/config"
	"github.com/jetvol/jetvol/volume"
)

func TestParse_ValidFile_SaysWhatItHolds(t *testing.T) {
	got, err := config.Parse("jetvol.yaml", "/etc/jetvol", []byte(`
# Comments and JSON are YAML.
default_backend: fast
backends:
  files:
    driver: local
    dir: ../volumes/./here
    journal: /var/log/journal
    timeout: 1m30s
    concurrency: 4
  fast: {"driver": "null", "latency": "5ms", "record_only": "ignore", "backend_only": "import"}
  ceph-ec:
    driver: ceph
    pool: rbd
    data_pool: rbd-ec
    namespace: jetvol
    conf: ceph.conf
    user: volumes
    keyring: keyring
    features: [journaling]
    op_timeout: 5s
    mon_timeout: 6s
    mount_timeout: 7s
    blocklist: 1h
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{DefaultBackend: "fast", Backends: []config.Backend{
		{
			Name: "files", Timeout: 90 * time.Second, Concurrency: 4,
			Settings: &config.Local{Options: local.Options{Dir: "/etc/volumes/here", Journal: "/var/log/journal"}},
		},
		{Name: "fast", RecordOnly: volume.RecordOnlyIgnore, BackendOnly: config.BackendOnlyImport, Settings: &config.Null{Options: null.Options{Latency: 5 * time.Millisecond}}},
		{Name: "ceph-ec", Settings: &config.Ceph{Config: ceph.Config{
			Pool: "rbd", DataPool: "rbd-ec", Namespace: "jetvol", User: "volumes", Features: []string{"journaling"},
			Conf: "/etc/jetvol/ceph.conf", Keyring: "/etc/jetvol/keyring",
			OpTimeout: 5 * time.Second, MonTimeout: 6 * time.Second, MountTimeout: 7 * time.Second, Blocklist: time.Hour,
		}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParse_OneBackend_IsTheDefault(t *testing.T) {
	got, err := config.Parse("jetvol.yaml", "/", []byte("backends:\n  a: {driver: \"null\"}\n"))
	if err != nil || got.DefaultBackend != "a" {
		t.Errorf("got %q (%v), want a", got.DefaultBackend, err)
	}
}

// TestParse_Faults_AllToldWithTheirPlaces reads files that are wrong and compares every
// fault.
func TestParse_Faults_AllToldWithTheirPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"empty":          {"", []string{"f: not YAML: no documents in stream"}},
		"comment only":   {"# nothing\n", []string{"f: not YAML: no documents in stream"}},
		"list":           {"- a\n", []string{"f:1:1: want keys: default_backend, backends"}},
		"two documents":  {"backends: {a: {driver: \"null\"}}\n---\na: 1\n", []string{"f: not YAML: expected single document, found multiple"}},
		"syntax":         {"backends:\n  a: b: c\n", []string{"f:2:7: not YAML: mapping values are not allowed in this context"}},
		"tab":            {"backends:\n\ta: 1\n", []string{"f:2:1: not YAML: found character that cannot start any token"}},
		"not UTF-8":      {"# ä\nbackends: \x80\n", []string{"f:2:11: not UTF-8"}},
		"too large":      {"# " + strings.Repeat("x", int(volume.MiB)), []string{"f: larger than 1MiB"}},
		"no backends":    {"default_backend: a\n", []string{"f:1:1: backends: missing: the backends by their names, each with the keys below"}},
		"empty backends": {"backends:\n", []string{"f:1:10: backends: want at least one name with the keys of a backend, got nothing"}},
		"backend empty":  {"backends:\n  a:\n", []string{"f:2:5: backends.a: want the keys of a backend, got nothing"}},
		"typo": {"backends:\n  a: {driver: local, Dri: x, dir: /x}\n", []string{
			"f:2:22: backends.a.Dri: unknown key, did you mean dir? want one of driver, timeout, concurrency, max_depth, auto_flatten, record_only, backend_only, dir, journal",
		}},
		"typo at the top": {"default_backed: a\nbackends: {a: {driver: \"null\"}}\n", []string{
			"f:1:1: default_backed: unknown key, did you mean default_backend? want one of default_backend, backends",
		}},
		"no such policy": {"backends:\n  a: {driver: \"null\", record_only: forget}\n", []string{
			"f:2:36: backends.a.record_only: want one of error, delete, ignore, got \"forget\"",
		}},
		"no such policy for orphans": {"backends:\n  a: {driver: \"null\", backend_only: delete}\n", []string{
			"f:2:37: backends.a.backend_only: want one of ignore, import, got \"delete\"",
		}},
		"nothing like it": {"backends:\n  a: {driver: \"null\", password: hunter2}\n", []string{
			"f:2:23: backends.a.password: unknown key: want one of driver, timeout, concurrency, max_depth, auto_flatten, record_only, backend_only, latency",
		}},
		"key twice": {"backends:\n  a: {driver: local, dir: /x, dir: /y}\n", []string{
			"f:2:31: backends.a.dir: given twice, first in line 2",
		}},
		"backend twice": {"backends:\n  a: {driver: \"null\"}\n  \"a\": {driver: \"null\"}\n", []string{
			"f:3:3: backends.a: given twice, first in line 2",
		}},
		"key that is no text": {"backends:\n  a: {driver: \"null\"}\n  [b]: 1\n  <<: {}\n", []string{
			"f:3:3: backends: want a plain key", "f:4:3: backends: want a plain key",
		}},
		"name of a backend": {"backends:\n  My_Disk: {driver: \"null\"}\n", []string{
			`f:2:3: backends: backend "My_Disk": want 1 to 63 of a-z, 0-9 and '-'`,
		}},
		"driver missing": {"backends:\n  a: {dir: /x, timeout: fast}\n", []string{
			"f:2:6: backends.a.driver: missing: want one of DRIVERS",
			"f:2:25: backends.a.timeout: want a duration like 30s, got \"fast\"",
		}},
		"driver unknown": {"backends:\n  a: {driver: tape}\n", []string{`f:2:15: backends.a.driver: no driver "tape": want one of DRIVERS`}},
		"driver null without quotes": {"backends:\n  a: {driver: null}\n", []string{
			`f:2:15: backends.a.driver: want a text, got nothing: put a text in quotes`,
		}},
		"required missing": {"backends:\n  a: {driver: local}\n", []string{
			"f:2:6: backends.a.dir: missing: directory of the volumes, the same one for all workers; it is made if the directory above it is there",
		}},
		"wrong kinds": {"backends:\n  a:\n    driver: local\n    dir: 7\n    journal: [x]\n    timeout: 30\n    concurrency: many\n", []string{
			"f:4:10: backends.a.dir: want a path, got 7: put a text in quotes",
			"f:5:14: backends.a.journal: want a path, got a list",
			"f:6:14: backends.a.timeout: want a duration like 30s, got 30",
			"f:7:18: backends.a.concurrency: want a whole number from 1 to 1024, got \"many\"",
		}},
		"out of range": {"backends:\n  a: {driver: \"null\", timeout: 0s, concurrency: 0, latency: -1s}\n", []string{
			"f:2:32: backends.a.timeout: want a duration like 30s, more than 0, got 0s",
			"f:2:49: backends.a.concurrency: want a whole number from 1 to 1024, got 0",
			"f:2:61: backends.a.latency: want a duration like 30s, more than 0, got -1s",
		}},
		"alias": {"backends:\n  a: {driver: local, dir: &d /x}\n  b: {driver: local, dir: *d}\n", []string{
			"f:3:27: backends.b.dir: want a path, not an alias",
		}},
		"alias of a backend": {"backends:\n  a: &a {driver: \"null\"}\n  b: *a\n", []string{
			"f:3:6: backends.b: want the keys of a backend, got an alias",
		}},
		"blanks and control letters": {"backends:\n  a: {driver: local, dir: \" x\", journal: \"a\\tb\"}\n", []string{
			"f:2:27: backends.a.dir: want a text without blanks around it",
			`f:2:42: backends.a.journal: want a text of printable letters, got "a\tb"`,
		}},
		"no default among several": {"backends:\n  a: {driver: \"null\"}\n  b: {driver: \"null\"}\n", []string{
			"f:1:1: default_backend: missing: want one of a, b",
		}},
		"default that is none": {"default_backend: cehp\nbackends:\n  ceph: {driver: \"null\"}\n  b: {driver: \"null\"}\n", []string{
			`f:1:18: default_backend: no backend "cehp", did you mean ceph? want one of ceph, b`,
		}},
		"same place twice": {"default_backend: a\nbackends:\n  a: {driver: local, dir: x}\n  b: {driver: local, dir: ./y/../x}\n", []string{
			"f:4:3: backends.b: stores its volumes where backend a does: /etc/x",
		}},
		"ceph": {"default_backend: a\nbackends:\n  a: {driver: ceph, pool: rbd}\n  b:\n    driver: ceph\n    features: [journaling, 7]\n    pool: x/y\n    key: AQB\n", []string{
			"f:6:28: backends.b.features: want a text, got 7: put a text in quotes",
			"f:8:5: backends.b.key: unknown key: want one of driver, timeout, concurrency, max_depth, auto_flatten, record_only, backend_only, pool, data_pool, namespace, conf, user, keyring, features, op_timeout, mon_timeout, mount_timeout, blocklist",
		}},
		"ceph values together": {"default_backend: a\nbackends:\n  a: {driver: ceph, pool: a/b}\n  b: {driver: ceph, pool: rbd, op_timeout: 1500ms}\n", []string{
			`f:3:3: backends.a: ceph: pool "a/b": want no /`,
			"f:4:3: backends.b: ceph: op timeout 1.5s: want whole seconds",
		}},
		"ceph pool twice": {"default_backend: a\nbackends:\n  a: {driver: ceph, pool: rbd}\n  b: {driver: ceph, pool: rbd, user: b}\n", []string{
			"f:4:3: backends.b: stores its volumes where backend a does: pool rbd of /etc/ceph/ceph.conf",
		}},
		"everything at once": {"defualt_backend: a\nbackends:\n  a: {driver: tape}\n  b: {driver: local, dirr: x}\n", []string{
			"f:1:1: defualt_backend: unknown key, did you mean default_backend? want one of default_backend, backends",
			`f:3:15: backends.a.driver: no driver "tape": want one of DRIVERS`,
			"f:4:6: backends.b.dir: missing: directory of the volumes, the same one for all workers; it is made if the directory above it is there",
			"f:4:22: backends.b.dirr: unknown key, did you mean dir? want one of driver, timeout, concurrency, max_depth, auto_flatten, record_only, backend_only, dir, journal",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("f", "/etc", []byte(test.text))
			faults, ok := errors.AsType[*config.FaultsError](err)
			if !ok || !errors.Is(err, volume.InvalidArgument) {
				t.Fatalf("got %v, want faults", err)
			}
			drivers := strings.NewReplacer("DRIVERS", strings.Join(config.Drivers(), ", "))
			want := drivers.Replace(strings.Join(test.want, "\n"))
			if faults.Error() != want {
				t.Errorf("got\n%s\nwant\n%s", faults, want)
			}
			if strings.Contains(faults.Error(), "hunter2") {
				t.Error("a fault tells a secret")
			}
		})
	}
}

func TestLoad_RelativePaths_AreOfTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "jetvol.yaml")
	if err := os.WriteFile(file, []byte("backends: {a: {driver: local, dir: volumes}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(dir))
	for _, path := range []string{file, filepath.Join(filepath.Base(dir), "jetvol.yaml")} {
		got, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		want := filepath.Join(dir, "volumes")
		if got := got.Backends[0].Settings.(*config.Local).Dir; got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestLoad_NoFile_NotExist(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error that it does not exist", err)
	}
	if _, err := config.Load(t.TempDir()); err == nil {
		t.Error("a directory: got nil, want an error")
	}
}
