package trial

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

func TestReadFiles_ImagesSnapshotsAndOthers_AreToldApart(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{
		"p.a.img": 1, "p.a.json": 9, "p.a@monday.img": 2, "p.a@friday.img": 3, "p.b.restored.img": 4,
		"p.c.json": 9, "p.a@.img": 9, "p.a@Big.img": 9, ".p.a.json.tmp": 9,
		"released-p.d.1": 5,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readFiles(dir)
	slices.Sort(got.Stray)
	a, b := volume.Key{Project: "p", Name: "a"}, volume.Key{Project: "p", Name: "b"}
	want := verify.Files{
		Data:      map[volume.Key]volume.Bytes{a: 1},
		Snapshots: map[volume.Key]map[volume.SnapshotName]volume.Bytes{a: {"monday": 2, "friday": 3}},
		Restored:  map[volume.Key]volume.Bytes{b: 4},
		Released:  map[volume.Image]volume.Bytes{"released-p.d.1": 5},
		Stray:     []string{".p.a.json.tmp", "p.a@.img", "p.a@Big.img", "p.c.json"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestStrays_ObjectsOfImagesAndSnapshots_AreKnown(t *testing.T) {
	images := []image{{Name: "jetvol.p.a", ID: "1f"}, {Name: "jetvol.p.a", ID: "1f", Snapshot: "monday"}, {Name: "jetvol.p.b", ID: "2e"}}
	objects := "rbd_directory\nrbd_children\nrbd_id.jetvol.p.a\nrbd_header.1f\nrbd_object_map.1f\nrbd_object_map.1f.0000000000000004\n" +
		"rbd_object_map.1f.0000000000000003\nrbd_object_map.2e.0000000000000009\nrbd_header.9a\n"
	want := []string{"object rbd_object_map.1f.0000000000000003", "object rbd_object_map.2e.0000000000000009", "object rbd_header.9a"}
	if got := strays(objects, images); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: more object maps than snapshots, and a header of nobody", got, want)
	}
}
