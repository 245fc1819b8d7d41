package verify

import (
	"maps"
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// released checks that what jetvol has let go of is there under its name and whole, and that
// nothing is there that it has not let go of. Of an unmanage that was given up either is
// possible, and of one that is under way.
func (r *report) released(images map[volume.Image]volume.Bytes, transitions []volume.Transition) {
	gone, open := map[volume.Image]volume.Transition{}, map[volume.Image]bool{}
	for _, t := range transitions {
		if t.Verb != volume.VerbUnmanage || t.Image == "" {
			continue
		}
		if open[t.Image] = !t.Final || t.To == volume.StateError; t.To == volume.StateDeleted {
			gone[t.Image] = t
		}
	}
	for _, image := range slices.Sorted(maps.Keys(gone)) {
		t := gone[image]
		if size, there := images[image]; !there || size != t.Spec.Size {
			r.add(Lost, t.Key, "event %s says that %s was kept as %s of size %s, the backend has %s (exists: %t)",
				t.ID, t.VolumeID, image, t.Spec.Size, size, there)
		}
	}
	for _, image := range slices.Sorted(maps.Keys(images)) {
		if _, told := gone[image]; !told && !open[image] {
			r.add(Disagreement, volume.Key{}, "image %s was left by no unmanage", image)
		}
	}
}
