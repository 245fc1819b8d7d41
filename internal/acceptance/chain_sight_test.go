package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// sight is what is known of the chains of one project, by each who should know.
type sight struct {
	records map[volume.Name]volume.Record         // of volumes that exist
	entries map[snapshots.Key]snapshots.Info      // of the store
	objects map[volume.Name]backends.Object       // of the backend
	kept    map[volume.Name][]volume.SnapshotName // snapshots of the backend, sorted
	// children are the clones that the backend says need a snapshot.
	children map[volume.SnapshotKey][]volume.Name
	faults   []string // what could not be read, or does not fit together by itself
}

// look reads everything about the stage's volumes.
func (s *stage) look(t *testing.T) sight {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := sight{
		records: map[volume.Name]volume.Record{}, entries: map[snapshots.Key]snapshots.Info{},
		objects: map[volume.Name]backends.Object{}, kept: map[volume.Name][]volume.SnapshotName{},
		children: map[volume.SnapshotKey][]volume.Name{},
	}
	for _, record := range s.records(t) {
		// A pending one is known and was never made, or was given up: nothing of it may be there.
		if record.Exists() && record.State != volume.StatePending {
			seen.records[record.Name] = record
		}
	}
	s.lookAtStore(ctx, t, &seen)
	if err := s.lookAtBackend(ctx, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// records returns what is stored of all names, as the leader knows it.
func (s *stage) records(t *testing.T) (found []volume.Record) {
	t.Helper()
	for name := range s.names {
		entry, err := kv.NewVolumes(s.js).ByKey(t.Context(), s.key(name))
		switch {
		case errors.Is(err, kv.ErrNotFound):
		case err != nil:
			t.Fatal(err)
		default:
			found = append(found, entry.Value)
		}
	}
	return found
}

func (s *stage) lookAtStore(ctx context.Context, t *testing.T, seen *sight) {
	t.Helper()
	store := snapshots.New(s.js)
	faults, err := store.Check(ctx, project)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		seen.faults = append(seen.faults, fault.Error())
	}
	err = store.View(ctx, project, func(tx *snapshots.Tx) error {
		return tx.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			seen.entries[info.Name] = info
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lookAtBackend opens the backend as another process would.
func (s *stage) lookAtBackend(ctx context.Context, seen *sight) (err error) {
	driver, err := s.medium.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	err = driver.(backends.Lister).List(ctx, func(object backends.Object) bool {
		seen.objects[object.Key.Name] = object
		return true
	})
	if err != nil {
		return err
	}
	cloner := driver.(backends.Cloner)
	for name, object := range seen.objects {
		kept, err := cloner.ListSnapshots(ctx, object.Ref)
		if err != nil {
			return err
		}
		for _, snapshot := range kept {
			seen.kept[name] = append(seen.kept[name], snapshot.Name)
			children, err := cloner.Children(ctx, object.Ref, snapshot.Name)
			if err != nil {
				return err
			}
			of := volume.SnapshotKey{Volume: name, Snapshot: snapshot.Name}
			for _, child := range children {
				seen.children[of] = append(seen.children[of], child.Name)
			}
		}
		slices.Sort(seen.kept[name])
	}
	return nil
}

// disagreements compares records, store and backend.
func (s sight) disagreements() []string {
	faults := slices.Clone(s.faults)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, object := range s.objects {
		if record, found := s.records[name]; !found || record.ID != object.ID {
			fault("image %s has no record", object.ID)
		}
	}
	for name, record := range s.records {
		if object, found := s.objects[name]; !found || record.ID != object.ID {
			fault("record %s, %s, has no image", record.ID, record.State)
		}
		if entered := s.snapshotsOf(name); !slices.Equal(entered, s.kept[name]) || len(entered) != record.Snapshots {
			fault("volume %s: snapshots %q in the store, %q at the backend, %d by the record", name, entered, s.kept[name], record.Snapshots)
		}
		if _, found := s.entries[snapshots.VolumeKey(name)]; !found && !record.Source.IsZero() {
			fault("clone %s of %s has no entry", name, record.Source)
		}
	}
	for key, entry := range s.entries {
		faults = append(faults, s.entryFaults(key, entry)...)
	}
	for of, children := range s.children {
		for _, child := range children {
			if !s.standsOn(child, of) {
				fault("image %s needs %s and the store does not know", child, of)
			}
		}
	}
	slices.Sort(faults)
	return faults
}

func (s sight) entryFaults(key snapshots.Key, entry snapshots.Info) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	record, found := s.records[key.Volume]
	if !found {
		fault("entry %s: no record of its volume", key)
	}
	if entry.RemovedBy != "" {
		fault("entry %s: left as being removed by %s", key, entry.RemovedBy)
	}
	if parent := s.entries[entry.Parent]; !entry.Parent.IsZero() && parent.Kind != snapshots.Committed {
		fault("entry %s: parent %s is %q", key, entry.Parent, parent.Kind)
	}
	if key.Snapshot != "" || !found {
		return faults
	}
	kind := snapshots.Active
	if record.ReadOnly {
		kind = snapshots.View
	}
	source := snapshots.Key{Volume: record.Source.Volume, Snapshot: record.Source.Snapshot}
	if entry.ID != string(record.ID) || entry.Parent != source || entry.Kind != kind {
		fault("entry %s: %s %s of %q, record %s of %q, read only %t", key, entry.Kind, entry.ID, entry.Parent, record.ID, record.Source, record.ReadOnly)
	}
	return faults
}

func (s sight) snapshotsOf(name volume.Name) (names []volume.SnapshotName) {
	for key := range s.entries {
		if key.Volume == name && key.Snapshot != "" {
			names = append(names, key.Snapshot)
		}
	}
	slices.Sort(names)
	return names
}

// standsOn reports whether the store knows that a volume, or a snapshot of it, needs another
// one's snapshot.
func (s sight) standsOn(child volume.Name, of volume.SnapshotKey) bool {
	for key, entry := range s.entries {
		if key.Volume == child && entry.Parent == snapshots.SnapshotKey(of.Volume, of.Snapshot) {
			return true
		}
	}
	return false
}

// The comparison finds what it is there for.
func TestSight_PlantedFaults_AreFound(t *testing.T) {
	baseOne := snapshots.SnapshotKey("base", "s1")
	for name, plant := range map[string]func(*sight){
		"":                    func(*sight) {},
		"image, no record":    func(s *sight) { delete(s.records, "lone") },
		"image of other life": func(s *sight) { s.objects["lone"] = objectOf("lone", 7) },
		"record, no image":    func(s *sight) { delete(s.objects, "lone") },
		"snapshot, no entry":  func(s *sight) { s.kept["lone"] = []volume.SnapshotName{"s9"} },
		"entry, no snapshot":  func(s *sight) { s.kept["base"] = nil },
		"wrong count":         func(s *sight) { r := s.records["base"]; r.Snapshots = 2; s.records["base"] = r },
		"clone, no entry":     func(s *sight) { delete(s.entries, snapshots.VolumeKey("copy")); s.children = nil },
		"child not in store":  func(s *sight) { delete(s.entries, snapshots.VolumeKey("copy")) },
		"child unknown":       func(s *sight) { s.children[volume.SnapshotKey{Volume: "base", Snapshot: "s1"}] = []volume.Name{"lone"} },
		"entry, no record":    func(s *sight) { s.entries[snapshots.VolumeKey("ghost")] = snapshots.Info{Kind: snapshots.Active} },
		"mark left":           func(s *sight) { e := s.entries[baseOne]; e.RemovedBy = "c"; s.entries[baseOne] = e },
		"parent missing": func(s *sight) {
			delete(s.entries, baseOne)
			s.kept["base"] = nil
			r := s.records["base"]
			r.Snapshots = 0
			s.records["base"] = r
		},
		"parent not committed": func(s *sight) { e := s.entries[baseOne]; e.Kind = snapshots.Active; s.entries[baseOne] = e },
		"entry of other life":  func(s *sight) { e := s.entries[snapshots.VolumeKey("copy")]; e.ID = "x"; s.entries[e.Name] = e },
		"entry of other kind": func(s *sight) {
			e := s.entries[snapshots.VolumeKey("copy")]
			e.Kind = snapshots.View
			s.entries[e.Name] = e
		},
		"other source": func(s *sight) { r := s.records["copy"]; r.Source.Snapshot = "s2"; s.records["copy"] = r },
		"store broken": func(s *sight) { s.faults = []string{"link without entry"} },
	} {
		t.Run(name, func(t *testing.T) {
			seen := soundSight()
			plant(&seen)
			if faults := seen.disagreements(); (len(faults) == 0) != (name == "") {
				t.Errorf("got %q", faults)
			}
		})
	}
}

func objectOf(name volume.Name, generation uint64) backends.Object {
	key := volume.Key{Project: project, Name: name}
	return backends.Object{Ref: backends.Ref{Key: key, ID: volume.NewID(key, generation)}, Size: volume.MiB}
}

// soundSight is of a volume with a snapshot, a clone of that, and a volume for itself.
func soundSight() sight {
	source := volume.SnapshotKey{Volume: "base", Snapshot: "s1"}
	one, copied := snapshots.SnapshotKey("base", "s1"), snapshots.VolumeKey("copy")
	s := sight{
		records: map[volume.Name]volume.Record{}, objects: map[volume.Name]backends.Object{},
		entries: map[snapshots.Key]snapshots.Info{
			one:    {Kind: snapshots.Committed, Name: one, ID: "default.base.3"},
			copied: {Kind: snapshots.Active, Name: copied, ID: "default.copy.1", Parent: one},
		},
		kept:     map[volume.Name][]volume.SnapshotName{"base": {"s1"}},
		children: map[volume.SnapshotKey][]volume.Name{source: {"copy"}},
	}
	for name, spec := range map[volume.Name]volume.Spec{"base": {Snapshots: 1}, "copy": {Source: source}, "lone": {}} {
		object := objectOf(name, 1)
		s.objects[name] = object
		s.records[name] = volume.Record{Key: object.Key, ID: object.ID, State: volume.StateAvailable, Spec: spec}
	}
	return s
}
