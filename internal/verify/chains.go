package verify

import (
	"cmp"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Chains checks the snapshots and clones of volumes at rest: what their events lead to,
// what the store has entered and what the backend keeps must be the same, both ways, with
// the IDs and sizes that the events told, and nothing else may be entered or kept. Every
// parent is there, and no entry is about to go.
//
// What an operation was to make or to delete that was given up is open until a reconcile,
// and a volume in error is not judged. Its entries are still no orphans.
func Chains(e Evidence) []Fault {
	var r report
	entries := byVolume(e.Entries, Entry.volume)
	told := map[volume.Key]*lineage{}
	var ignored report // what is wrong in the events is told by Lineage
	for key, transitions := range e.transitionsByVolume() {
		told[key] = ignored.lineage(transitions)
	}
	r.store(e, told)
	for _, key := range sortedKeys(e.Records) {
		record := e.Records[key]
		switch record.State {
		case volume.StateAvailable, volume.StateAttached:
			if tellsDrift(record.Spec, volume.DriftGhost) || tellsDrift(record.Spec, volume.DriftOwner) {
				continue // what is entered stays, in case it comes back
			}
			c := chain{record: record, told: told[key], entries: entries[key], backend: e.Snapshots[key], files: e.Files.Snapshots[key]}
			if c.told == nil {
				c.told = newLineage(record.Source)
			}
			r.ownEntry(c)
			r.entered(c)
			r.kept(c)
			r.shared(key, record.Source, e.Files.Parents[key])
		case volume.StatePending, volume.StateDeleted:
			r.nothingOf(key, string(record.State), e)
		default:
		}
	}
	for _, key := range e.strangers() {
		r.nothingOf(key, "without a record", e)
	}
	return r.faults
}

// chain is what all witnesses say of one volume.
type chain struct {
	record  volume.Record
	told    *lineage
	entries []Entry
	backend []backends.Snapshot
	files   map[volume.SnapshotName]volume.Bytes
}

// store checks the entries against each other.
func (r *report) store(e Evidence, told map[volume.Key]*lineage) {
	for _, text := range e.Broken {
		r.add(Disagreement, volume.Key{}, "store: %s", text)
	}
	type address struct {
		volume.Project
		volume.SnapshotKey
	}
	known, ids := map[address]Entry{}, map[volume.ID]Entry{}
	for _, entry := range e.Entries {
		if other, twice := ids[entry.ID]; twice {
			r.add(Doubled, entry.volume(), "entries %s and %s have the id %s", other.name(), entry.name(), entry.ID)
		}
		known[address{entry.Project, entry.SnapshotKey}], ids[entry.ID] = entry, entry
	}
	for _, entry := range e.Entries {
		if entry.Removing && !mayStay(e, entry, told[entry.volume()]) {
			r.add(Stuck, entry.volume(), "entry %s is marked as about to go", entry.name())
		}
		if entry.Parent.IsZero() {
			continue
		}
		switch parent, there := known[address{entry.Project, entry.Parent}]; {
		case !there:
			r.add(Lost, entry.volume(), "entry %s: its parent %s is not there", entry.name(), entry.Parent)
		case parent.Kind != Committed:
			r.add(Disagreement, entry.volume(), "entry %s: its parent %s is %s", entry.name(), entry.Parent, parent.Kind)
		}
	}
}

// mayStay reports whether a marked entry is of an operation that was given up.
func mayStay(e Evidence, entry Entry, told *lineage) bool {
	return told != nil && told.open(entry.Snapshot) || e.Records[entry.volume()].State == volume.StateError
}

// name returns `<volume>` or `<volume>@<snapshot>`.
func (e Entry) name() string {
	if e.Snapshot == "" {
		return string(e.Volume)
	}
	return e.String()
}

// ownEntry checks that a clone has an entry, and no other volume has one.
func (r *report) ownEntry(c chain) {
	at := slices.IndexFunc(c.entries, func(e Entry) bool { return e.Snapshot == "" })
	record := c.record
	if at < 0 {
		if !record.Source.IsZero() {
			r.add(Lost, record.Key, "record is a clone of %s, which is not entered", record.Source)
		}
		return
	}
	entry := c.entries[at]
	want := Active
	if record.ReadOnly {
		want = View
	}
	switch {
	case record.Source.IsZero() && !record.ReadOnly: // a view stays one without its source
		r.add(Disagreement, record.Key, "record is no clone, it is entered as one of %q", entry.Parent)
	case entry.Parent != record.Source:
		r.add(Disagreement, record.Key, "record is a clone of %q, entered as one of %q", record.Source, entry.Parent)
	case entry.Kind != want:
		r.add(Disagreement, record.Key, "record is a clone, read only %t, entered as %s", record.ReadOnly, entry.Kind)
	case entry.ID != record.ID:
		r.add(Disagreement, record.Key, "record has id %s, entered as %s", record.ID, entry.ID)
	}
}

// entered checks the entries of the volume's snapshots against what was told.
func (r *report) entered(c chain) {
	key, found := c.record.Key, map[volume.SnapshotName]bool{}
	for _, entry := range c.entries {
		if entry.Snapshot == "" {
			continue
		}
		found[entry.Snapshot] = true
		snapshot, there := c.told.find(entry.Snapshot)
		switch {
		case !there && c.told.unnamed: // the count tells
		case !there:
			r.add(Disagreement, key, "snapshot %s is entered, by the events there is none", entry.Snapshot)
		case entry.Kind != Committed:
			r.add(Disagreement, key, "snapshot %s is entered as %s", entry.Snapshot, entry.Kind)
		case entry.ID != snapshot.ID:
			r.add(Disagreement, key, "snapshot %s is entered with id %s, the events say %s", entry.Snapshot, entry.ID, snapshot.ID)
		case entry.Size != snapshot.Size:
			r.add(Disagreement, key, "snapshot %s is entered with size %s, the events say %s", entry.Snapshot, entry.Size, snapshot.Size)
		case entry.Parent != c.record.Source:
			r.add(Disagreement, key, "snapshot %s has parent %q, its volume %q", entry.Snapshot, entry.Parent, c.record.Source)
		}
	}
	for name := range c.told.sure {
		if !found[name] {
			r.add(Lost, key, "snapshot %s was told and is not entered", name)
		}
	}
	if len(c.told.maybe) == 0 && len(found) != c.record.Snapshots {
		r.add(Disagreement, key, "record has %d snapshots, %d are entered", c.record.Snapshots, len(found))
	}
}

// kept checks the snapshots of the backend against those that are entered, and against the
// files that they are in.
func (r *report) kept(c chain) {
	key := c.record.Key
	listed := map[volume.SnapshotName]bool{}
	for _, snapshot := range c.backend {
		listed[snapshot.Name] = true
		entry := slices.IndexFunc(c.entries, func(e Entry) bool { return e.Snapshot == snapshot.Name })
		size, there := c.files[snapshot.Name]
		switch {
		case entry < 0 && !c.told.open(snapshot.Name):
			r.add(Disagreement, key, "backend has snapshot %s, which is not entered", snapshot.Name)
		case entry >= 0 && c.entries[entry].Size != snapshot.Size:
			r.add(Disagreement, key, "backend has snapshot %s of size %s, entered with %s", snapshot.Name, snapshot.Size, c.entries[entry].Size)
		case !there || size != snapshot.Size:
			r.add(Disagreement, key, "backend lists snapshot %s of size %s, the data file has %s (exists: %t)", snapshot.Name, snapshot.Size, size, there)
		}
	}
	for _, entry := range c.entries {
		if entry.Snapshot != "" && !listed[entry.Snapshot] && !c.told.open(entry.Snapshot) {
			r.add(Lost, key, "snapshot %s is entered, the backend does not have it", entry.Snapshot)
		}
	}
	for _, name := range sortedNames(c.files) {
		if !listed[name] && !c.told.open(name) {
			r.add(Disagreement, key, "data file of snapshot %s, which the backend does not list", name)
		}
	}
}

// shared checks that the backend shares content with no other snapshot than is told. It
// may share less.
func (r *report) shared(key volume.Key, source, parent volume.SnapshotKey) {
	if !parent.IsZero() && parent != source {
		r.add(Disagreement, key, "backend shares content with %s, the record says %q", parent, source)
	}
}

// nothingOf checks that nobody knows a snapshot of the volume, nor the volume as a clone.
func (r *report) nothingOf(key volume.Key, why string, e Evidence) {
	for _, entry := range e.Entries {
		if entry.volume() == key {
			r.add(Disagreement, key, "volume is %s, %s is entered", why, entry.name())
		}
	}
	for _, snapshot := range e.Snapshots[key] {
		r.add(Disagreement, key, "volume is %s, backend has its snapshot %s", why, snapshot.Name)
	}
	for _, name := range sortedNames(e.Files.Snapshots[key]) {
		r.add(Disagreement, key, "volume is %s, there is a data file of its snapshot %s", why, name)
	}
}

// strangers returns the volumes without a record of which something is entered or kept.
func (e Evidence) strangers() []volume.Key {
	found := map[volume.Key]bool{}
	for _, entry := range e.Entries {
		found[entry.volume()] = true
	}
	for key := range e.Snapshots {
		found[key] = true
	}
	for key := range e.Files.Snapshots {
		found[key] = true
	}
	for key := range e.Records {
		delete(found, key)
	}
	return sortedKeys(found)
}

func sortedNames(files map[volume.SnapshotName]volume.Bytes) []volume.SnapshotName {
	names := make([]volume.SnapshotName, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}
