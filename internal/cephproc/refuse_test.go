package cephproc_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/cephproc"
)

func TestUp_NoCeph_NamesThePackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := cephproc.Up(t.Context(), filepath.Join(t.TempDir(), "c"))
	missing, ok := errors.AsType[*cephproc.MissingError](err)
	if !ok || !slices.Contains(missing.Programs, "ceph-osd") {
		t.Fatalf("got %v, want a MissingError with ceph-osd", err)
	}
	if !strings.Contains(err.Error(), cephproc.Packages) {
		t.Errorf("got %q, want it to name %s", err, cephproc.Packages)
	}
}

func TestUp_PathThatConfCannotName_Error(t *testing.T) {
	for _, name := range []string{"a b", "a;b", "a#b", "$name", "a\nb"} {
		if _, err := cephproc.Up(t.Context(), filepath.Join(t.TempDir(), name)); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
}

func TestOpen_NoCluster_ErrNoCluster(t *testing.T) {
	if _, err := cephproc.Open(t.TempDir()); !errors.Is(err, cephproc.ErrNoCluster) {
		t.Errorf("got %v, want %v", err, cephproc.ErrNoCluster)
	}
}

func TestParseDaemon_Unknown_ErrorNamesTheKnown(t *testing.T) {
	if _, err := cephproc.ParseDaemon("mds"); err == nil || !strings.Contains(err.Error(), "mon, mgr, osd") {
		t.Errorf("got %v, want an error with the known names", err)
	}
}
