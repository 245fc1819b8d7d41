package verify

import (
	"maps"
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// released checks that what jetvol has let go of is there under its name and whole, unless it
// was taken in again, and that nothing is there that it has not let go of. Of an unmanage or an
// adopt that was given up either is possible, and of one that is under way.
func (r *report) released(images map[volume.Image]volume.Bytes, transitions []volume.Transition) {
	gone, open := givenAway(transitions)
	for _, image := range slices.Sorted(maps.Keys(gone)) {
		t := gone[image]
		if size, there := images[image]; !open[image] && (!there || size != t.Spec.Size) {
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

// givenAway returns what was given away last and is not taken in again, by its name, and the
// names of what may be on either side.
func givenAway(transitions []volume.Transition) (gone map[volume.Image]volume.Transition, open map[volume.Image]bool) {
	gone, open = map[volume.Image]volume.Transition{}, map[volume.Image]bool{}
	for _, t := range transitions {
		if t.Image == "" {
			continue
		}
		open[t.Image] = !t.Final || t.To == volume.StateError
		switch {
		case t.Verb == volume.VerbUnmanage && t.To == volume.StateDeleted:
			gone[t.Image] = t
		case t.Verb == volume.VerbAdopt && t.Final && t.To != volume.StatePending:
			delete(gone, t.Image)
		}
	}
	return gone, open
}
