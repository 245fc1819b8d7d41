//go:build ceph

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { os.Exit(cephtest.Main(m)) }

// One volume of the driver's, and beside it what must not be there: an image of another
// name, one in the trash, an object of an image that is gone.
func TestCephRoom_ThingsOfNobody_AreNamed(t *testing.T) {
	cluster := cephtest.Start(t)
	s := &cephStore{cluster: cluster.Cluster}
	dir := t.TempDir()
	s.rooms.Store(int64(os.Getpid())) // the cluster may be shared with other runs
	opened, err := s.room(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r := opened.(*cephRoom)
	ref := backends.Ref{Key: volume.Key{Project: "p", Name: "a"}, ID: "p.a.1"}
	create(t, r.Config(), ref, volume.MiB)

	cluster.RBD(t, "create", "--size", "1M", r.Spec()+"/other")
	cluster.RBD(t, "create", "--size", "1M", r.Spec()+"/gone")
	cluster.RBD(t, "trash", "move", r.Spec()+"/gone")
	planted := filepath.Join(dir, "planted")
	if err := os.WriteFile(planted, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster.Rados(t, "--pool", cephtest.Pool, "--namespace", strings.TrimPrefix(r.Spec(), cephtest.Pool+"/"), "put", "rbd_header.left", planted)

	var e verify.Evidence
	if err := r.Read(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Files.Data) != 1 || e.Files.Data[ref.Key] != volume.MiB || len(e.Objects) != 1 || e.Objects[0].Ref != ref {
		t.Errorf("got images %v and objects %v, want %s of 1MiB", e.Files.Data, e.Objects, ref.Key)
	}
	for _, want := range []string{"image other", "object rbd_header.left"} {
		if !slices.Contains(e.Files.Stray, want) {
			t.Errorf("got %q, want %q too", e.Files.Stray, want)
		}
	}
	// Of the image in the trash there are a header and an object map at least.
	if len(e.Files.Stray) < 4 {
		t.Errorf("got %q, want what is in the trash too", e.Files.Stray)
	}
}

func create(t *testing.T, config ceph.Config, ref backends.Ref, size volume.Bytes) {
	t.Helper()
	driver, err := ceph.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.Create(t.Context(), ref, size); err != nil {
		t.Fatal(err)
	}
}

// A few squares for real: clean they pass; not so if the driver cannot repeat an attach,
// or leaves an object behind.
func TestRun_RealWorkersOnCeph(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
		bad  bool
	}{
		"clean": {
			[]string{"-columns", "^(attach|delete)$", "-points", "^after-backend-call$"},
			"points=1 verbs=2 cells=2 seeds=1 kills=2 failures=0\n", false,
		},
		"attach not repeatable": {
			[]string{"-columns", "^attach$", "-points", "^after-backend-call$", "-sabotage", "ceph-attach-not-repeatable"},
			"points=1 verbs=1 cells=1 seeds=1 kills=1 failures=1\n", true,
		},
		"image left": {
			[]string{"-columns", "^delete$", "-points", "^after-backend-call$", "-sabotage", "ceph-image-left"},
			"points=1 verbs=1 cells=1 seeds=1 kills=1 failures=", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			// Not t.TempDir, whose name Ceph's configuration cannot hold.
			dir, err := os.MkdirTemp("", "jetvol-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			t.Setenv("TMPDIR", dir) // a failed run keeps its directory
			var stdout, stderr bytes.Buffer
			err = execute(t.Context(), append([]string{"-root", moduleRoot, "-backend", "ceph"}, test.args...), &stdout, &stderr)
			if (err != nil) != test.bad || !bytes.HasPrefix(stdout.Bytes(), []byte(test.want)) {
				t.Errorf("got %q, %v, want %q\n%s", stdout.String(), err, test.want, stderr.String())
			}
		})
	}
}
