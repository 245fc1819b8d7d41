package verify

import (
	"reflect"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Backend checks records and backend against each other, both ways. A volume that is
// available or attached has one object of its ID, size and attachments, with a data file
// of that size; a volume that is pending or deleted, and a name without a record, has
// none. What the backend has of a volume in error is open until it is reconciled, and a
// volume in progress is told by [Records].
//
// What a record is marked as drifted for is no disagreement: it is told.
//
// A data file may be longer than its object in one case: the volume's last resize did
// not succeed. The file is lengthened before the object says so, and a resize that was
// cancelled between the two leaves it so until the next one. In the same way a restore that
// did not succeed leaves what it has copied.
func Backend(e Evidence) []Fault {
	var r report
	objects := byVolume(e.Objects, func(o backends.Object) volume.Key { return o.Key })
	records := e.standing()
	for _, key := range sortedKeys(records) {
		record := records[key]
		switch {
		case record.State == volume.StateAvailable, record.State == volume.StateAttached:
			r.present(record, objects[key])
		case record.State == volume.StatePending, record.State == volume.StateDeleted:
			r.absent(key, string(record.State), objects[key])
		}
	}
	for _, key := range sortedKeys(objects) {
		if _, recorded := records[key]; !recorded {
			r.absent(key, "without a record", objects[key])
		}
	}
	r.files(e.Files, objects, abandonedResizes(e.Transitions))
	r.released(e.Files.Released, e.Transitions)
	r.restored(e.Files.Restored, objects, abandonedRestores(e.Transitions))
	return r.faults
}

func (r *report) present(record volume.Record, objects []backends.Object) {
	if len(objects) == 0 && tellsDrift(record.Spec, volume.DriftGhost) {
		return
	}
	if len(objects) != 1 {
		r.add(Disagreement, record.Key, "record is %s, backend has %d objects", record.State, len(objects))
		return
	}
	object := objects[0]
	switch {
	case object.ID != record.ID && tellsDrift(record.Spec, volume.DriftOwner):
	case object.ID != record.ID:
		r.add(Disagreement, record.Key, "record has id %s, backend %s", record.ID, object.ID)
	case object.Size != record.Size && !tellsDrift(record.Spec, volume.DriftSize):
		r.add(Disagreement, record.Key, "record has size %s, backend %s", record.Size, object.Size)
	case !reflect.DeepEqual(object.Attachments, record.Attachments) && !tellsDrift(record.Spec, volume.DriftNode):
		r.add(Disagreement, record.Key, "record has attachments %#v, backend %#v", record.Attachments, object.Attachments)
	case (record.State == volume.StateAttached) != (len(record.Attachments) > 0):
		r.add(Disagreement, record.Key, "record is %s, held by %s", record.State, record.Attachments)
	case record.Attachments.Validate() != nil:
		r.add(Disagreement, record.Key, "record has attachments that cannot be: %v", record.Attachments.Validate())
	}
}

func (r *report) absent(key volume.Key, why string, objects []backends.Object) {
	for _, object := range objects {
		r.add(Disagreement, key, "volume is %s, backend has object %s", why, object.ID)
	}
}

// abandonedResizes returns the volumes whose last resize did not succeed, and was not
// followed by a restore, which sets the size too.
func abandonedResizes(transitions []volume.Transition) map[volume.ID]bool {
	abandoned := map[volume.ID]bool{}
	for _, t := range transitions {
		switch {
		case !t.Final || t.Event == volume.EventRejected:
		case t.Verb == volume.VerbResize:
			abandoned[t.VolumeID] = resultOf(t) != volume.Succeeded
		case t.Event == volume.EventRestored:
			abandoned[t.VolumeID] = false
		}
	}
	return abandoned
}

// files checks that there is one data file of the right size for each object, and no
// other file.
func (r *report) files(files Files, objects map[volume.Key][]backends.Object, mayBeLonger map[volume.ID]bool) {
	for _, key := range sortedKeys(objects) {
		for _, object := range objects[key] {
			size, exists := files.Data[key]
			if size > object.Size && mayBeLonger[object.ID] {
				continue
			}
			if !exists || size != object.Size {
				r.add(Disagreement, key, "backend lists %s of size %s, the data file has %s (exists: %t)", object.ID, object.Size, size, exists)
			}
		}
	}
	for _, key := range sortedKeys(files.Data) {
		if len(objects[key]) == 0 {
			r.add(Disagreement, key, "data file of size %s without an object", files.Data[key])
		}
	}
	for _, name := range files.Stray {
		r.add(Disagreement, volume.Key{}, "file %s belongs to no object", name)
	}
}

// abandonedRestores returns the volumes whose last restore did not succeed.
func abandonedRestores(transitions []volume.Transition) map[volume.ID]bool {
	abandoned := map[volume.ID]bool{}
	for _, t := range transitions {
		if t.Final && t.Verb == volume.VerbRestore && t.Event != volume.EventRejected {
			abandoned[t.VolumeID] = resultOf(t) != volume.Succeeded
		}
	}
	return abandoned
}

// restored checks that what was copied for a restore is only where one did not succeed.
func (r *report) restored(files map[volume.Key]volume.Bytes, objects map[volume.Key][]backends.Object, excused map[volume.ID]bool) {
	for _, key := range sortedKeys(files) {
		if of := objects[key]; len(of) != 1 || !excused[of[0].ID] {
			r.add(Disagreement, key, "copy for a restore of size %s was left", files[key])
		}
	}
}
