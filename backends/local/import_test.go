package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

func TestRelease_NamesOfVolumeFiles_AreRefused(t *testing.T) {
	s := newStore(t)
	d := s.open(t)
	defer func() { must(t, d.Close()) }()
	ref := refOf("db-01", 1)
	must(t, d.Create(t.Context(), ref, volume.MiB))
	for _, name := range []volume.Image{"default.db-01.img", "default.x.img", "default.x.json", "default.x.restored.img", "default.x.restored.json"} {
		if err := d.Release(t.Context(), ref, name); !errors.Is(err, volume.FailedPrecondition) {
			t.Errorf("release as %s: got %v, want %v", name, err, volume.FailedPrecondition)
		}
		wantNotTaken(t, d, refOf("other", 1), name)
	}
	// Used without a Backend the driver does not leave its directory either.
	for _, name := range []volume.Image{"../outside", "..", ".fences", "a/b", ""} {
		if err := d.Release(t.Context(), ref, name); !errors.Is(err, volume.InvalidArgument) {
			t.Errorf("release as %q: got %v, want %v", name, err, volume.InvalidArgument)
		}
	}
	must(t, d.Delete(t.Context(), ref))
}

func TestImport_WhatCannotBeAVolume_IsLeftAsItWas(t *testing.T) {
	s := newStore(t)
	d := s.open(t)
	defer func() { must(t, d.Close()) }()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.WriteFile(elsewhere, []byte("somebody's"), 0o600))
	must(t, os.Symlink(elsewhere, filepath.Join(s.dir, "link")))
	must(t, os.Mkdir(filepath.Join(s.dir, "folder"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.dir, "empty"), nil, 0o600))
	for _, name := range []volume.Image{"link", "folder", "empty"} {
		wantNotTaken(t, d, refOf("db-01", 1), name)
		if _, err := os.Lstat(filepath.Join(s.dir, string(name))); err != nil {
			t.Errorf("%s: got %v, want it there", name, err)
		}
	}
	if _, err := d.Get(t.Context(), refOf("db-01", 1).Key); !errors.Is(err, volume.NotFound) {
		t.Errorf("get: got %v, want %v", err, volume.NotFound)
	}
}

// wantNotTaken wants an import to be refused, and before it the look at what it would be of.
func wantNotTaken(t *testing.T, d *local.Driver, ref backends.Ref, name volume.Image) {
	t.Helper()
	if found, err := d.Importable(t.Context(), ref, name); !errors.Is(err, volume.FailedPrecondition) {
		t.Errorf("look at %s: got %+v, %v, want %v", name, found, err, volume.FailedPrecondition)
	}
	if _, err := d.Import(t.Context(), ref, name); !errors.Is(err, volume.FailedPrecondition) {
		t.Errorf("import of %s: got %v, want %v", name, err, volume.FailedPrecondition)
	}
}

// A file that somebody made is a volume with its data, whose later calls are those of any.
func TestImport_FileOfSomebody_BecomesAVolume(t *testing.T) {
	s := newStore(t)
	d := s.open(t)
	defer func() { must(t, d.Close()) }()
	data := make([]byte, volume.MiB+7)
	copy(data, "precious")
	must(t, os.WriteFile(filepath.Join(s.dir, "web.img"), data, 0o600))
	ref := refOf("db-01", 1)
	if found, err := d.Importable(t.Context(), ref, "web.img"); err != nil || found != (backends.Candidate{Size: volume.MiB + 7, Becomes: "default.db-01.img"}) {
		t.Errorf("look: got %+v, %v", found, err)
	}
	size, err := d.Import(t.Context(), ref, "web.img")
	if err != nil || size != volume.MiB+7 {
		t.Fatalf("import: got %s, %v, want %d bytes", size, err, len(data))
	}
	must(t, d.Resize(t.Context(), ref, 2*volume.MiB))
	got := make([]byte, 8)
	s.ReadContent(t, ref, got, 0)
	if object, err := d.Get(t.Context(), ref.Key); err != nil || object.Size != 2*volume.MiB || string(got) != "precious" {
		t.Errorf("got %+v, %v, content %q", object, err, got)
	}
	must(t, d.Delete(t.Context(), backends.Ref{Key: ref.Key, ID: ref.ID}))
}
