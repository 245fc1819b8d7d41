package trial

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

func TestNewPlace_DirectoryInUse_IsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewPlace(dir, "unused-"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("got %v, want %v", err, ErrNotEmpty)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

func TestReadFiles_StrayFiles_AreNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"p.a.img", "p.a.json", "p.lost.json", "p.half.img", "p.a.json.tmp", "NOT-A-KEY.img"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, local.FencesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := readFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"NOT-A-KEY.img", "p.a.json.tmp", "p.lost.json"}; !slices.Equal(files.Stray, want) {
		t.Errorf("got stray files %q, want %q", files.Stray, want)
	}
	if len(files.Data) != 2 || files.Data[volume.Key{Project: "p", Name: "a"}] != 1 {
		t.Errorf("got data files %v", files.Data)
	}
}
