package drift

import (
	"slices"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Finding is how one backend differs from the record of one volume. The bucket holds one
// per name; of an orphan there is no record, and Wanted is nothing.
type Finding struct {
	SchemaVersion int `json:"schema_version"`
	volume.Key
	Kinds       []volume.DriftKind  `json:"kinds"`
	Differences []volume.Difference `json:"differences"`

	Backend string `json:"backend"`
	// ObjectID, Size and Attachments are of what the backend has; empty if it has nothing.
	ObjectID    volume.ID          `json:"object_id,omitempty"`
	Size        volume.Bytes       `json:"size_bytes,omitempty"`
	Attachments volume.Attachments `json:"attachments,omitempty"` // without connections
	// VolumeID and Generation are of the name's record, that of a deleted volume included;
	// empty if there is none.
	VolumeID   volume.ID `json:"volume_id,omitempty"`
	Generation uint64    `json:"generation,omitempty"`

	FoundAt time.Time `json:"found_at"` // by the clock of the worker that saw it first
	SeenAt  time.Time `json:"seen_at"`  // when it was seen last
}

// newFinding returns a finding with the kinds of its differences.
func newFinding(key volume.Key, backend string, differences []volume.Difference, now time.Time) Finding {
	f := Finding{
		SchemaVersion: volume.SchemaVersion, Key: key, Backend: backend, Differences: differences,
		FoundAt: now, SeenAt: now, Kinds: []volume.DriftKind{},
	}
	if differences == nil { // of a volume that is only behind
		f.Differences = []volume.Difference{}
	}
	for _, d := range differences {
		if !slices.Contains(f.Kinds, d.Kind) {
			f.Kinds = append(f.Kinds, d.Kind)
		}
	}
	return f
}

// saw notes what the backend has.
func (f *Finding) saw(object backends.Object) {
	f.ObjectID, f.Size = object.ID, object.Size
	for _, one := range object.Attachments {
		f.Attachments = append(f.Attachments, volume.Attachment{Node: one.Node, Mode: one.Mode})
	}
}

// OfRecord returns what the record itself tells of its drift, and false if it tells of none.
func OfRecord(record volume.Record) (Finding, bool) {
	if !record.Exists() || record.Drift == nil {
		return Finding{}, false
	}
	f := newFinding(record.Key, record.Backend, record.Drift.Differences, record.Drift.FoundAt)
	f.VolumeID, f.Generation = record.ID, record.Generation
	return f, true
}

// Is reports whether the finding is of that kind, among others perhaps.
func (f Finding) Is(kind volume.DriftKind) bool { return slices.Contains(f.Kinds, kind) }

// Drift returns the differences in the form of a record.
func (f Finding) Drift() *volume.Drift {
	return &volume.Drift{FoundAt: f.FoundAt, Differences: f.Differences}
}

// same reports whether both found the same, whenever that was.
func (f Finding) same(other Finding) bool {
	return f.Backend == other.Backend && f.ObjectID == other.ObjectID && slices.Equal(f.Differences, other.Differences)
}

// Outdated reports whether the volume's record, zero if there is none, says that the
// finding was settled since: by a command, between two sweeps.
func (f Finding) Outdated(record volume.Record) bool {
	if f.Is(volume.DriftOrphan) {
		deletedSince := record.State == volume.StateDeleted && record.Generation > f.Generation
		return record.ID == f.ObjectID && record.Backend == f.Backend && (record.Exists() || deletedSince)
	}
	if !record.Exists() {
		return true
	}
	return record.Generation > f.Generation && record.Drift == nil
}
