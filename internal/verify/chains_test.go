package verify

import (
	"maps"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

var (
	base    = volume.Key{Project: "default", Name: "base"}
	monday  = volume.SnapshotKey{Volume: "base", Snapshot: "monday"}
	ofBase  = volume.Args{Source: monday}
	tuesday = volume.Args{Snapshot: "tuesday"}
)

// sourceSize is what a worker looks up for a command.
func (h *history) sourceSize(verb volume.Verb, args volume.Args) volume.Bytes {
	switch {
	case verb == volume.VerbCreate && !args.Source.IsZero():
		return volume.MiB
	case verb == volume.VerbRestore || verb == volume.VerbDeleteSnapshot:
		if at := h.at(args.Snapshot); at >= 0 {
			return h.kept[at].Size
		}
	}
	return 0
}

func (h *history) at(name volume.SnapshotName) int {
	return slices.IndexFunc(h.kept, func(s backends.Snapshot) bool { return s.Name == name })
}

// enterClone enters the volume if it is a clone.
func (h *history) enterClone() {
	record := h.record
	if record.Source.IsZero() {
		return
	}
	kind := Active
	if record.ReadOnly {
		kind = View
	}
	h.entries = append(h.entries, Entry{
		Project: record.Project, SnapshotKey: volume.SnapshotKey{Volume: record.Name}, Kind: kind, ID: record.ID, Parent: record.Source,
	})
}

// cut makes the volume independent of its source.
func (h *history) cut() {
	h.entries = slices.DeleteFunc(h.entries, func(e Entry) bool { return e.Snapshot == "" && e.Kind == Active })
	for i := range h.entries {
		h.entries[i].Parent = volume.SnapshotKey{}
	}
}

// keep does what is to be done with a snapshot.
func (h *history) keep(action fsm.Action, effect *Effect) {
	snapshot := *h.record.Op.Snapshot
	effect.Snapshot, effect.Size = snapshot.Name, h.object.Size
	switch action {
	case fsm.ActionSnapshot:
		h.kept = append(h.kept, backends.Snapshot{Name: snapshot.Name, Size: h.object.Size})
		h.entries = append(h.entries, Entry{
			Project: h.record.Project, SnapshotKey: volume.SnapshotKey{Volume: h.record.Name, Snapshot: snapshot.Name},
			Kind: Committed, ID: snapshot.ID, Parent: h.record.Source, Size: h.object.Size,
		})
	case fsm.ActionDeleteSnapshot:
		at := h.at(snapshot.Name)
		h.kept = slices.Delete(h.kept, at, at+1)
		h.entries = slices.DeleteFunc(h.entries, func(e Entry) bool { return e.Snapshot == snapshot.Name })
	case fsm.ActionRestore:
		h.object.Size = h.kept[h.at(snapshot.Name)].Size
		effect.Size = h.object.Size
	default:
		h.t.Fatalf("unexpected action %q", action)
	}
}

// restSnapshots closes the history of a volume that is there.
func (h *history) restSnapshots() {
	key := h.record.Key
	h.evidence.Entries, h.evidence.Snapshots[key] = h.entries, h.kept
	files := map[volume.SnapshotName]volume.Bytes{}
	for _, snapshot := range h.kept {
		files[snapshot.Name] = snapshot.Size
	}
	h.evidence.Files.Snapshots[key] = files
	if !h.record.Source.IsZero() {
		h.evidence.Files.Parents[key] = h.record.Source
	}
}

// chainRun has every verb about snapshots in it, on the clone db-01 of a snapshot of base.
func chainRun(t *testing.T) Evidence {
	source := historyOf(t, base)
	source.command("b1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	source.command("b2", volume.VerbSnapshot, volume.Args{Snapshot: "monday"})
	source.command("b3", volume.VerbSnapshot, volume.Args{Snapshot: "sunday"})
	source.command("b4", volume.VerbDeleteSnapshot, volume.Args{Snapshot: "sunday"})
	source.command("b5", volume.VerbDelete, volume.Args{}) // rejected: it has a snapshot
	source.command("b6", volume.VerbFlatten, volume.Args{})

	clone := historyOf(t, db01)
	clone.now = source.now
	clone.command("c1", volume.VerbCreate, ofBase)
	clone.command("c2", volume.VerbSnapshot, tuesday)
	clone.command("c3", volume.VerbResize, volume.Args{Size: 2 * volume.MiB})
	clone.cancelled("c4", "c5", volume.VerbSnapshot, volume.Args{Snapshot: "friday"})
	clone.cancelled("c6", "c7", volume.VerbRestore, tuesday)
	clone.command("c8", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}) // rejected: half restored
	clone.command("c9", volume.VerbRestore, tuesday)
	clone.command("d1", volume.VerbDeleteSnapshot, volume.Args{Snapshot: "friday"})
	clone.command("d2", volume.VerbSnapshot, volume.Args{Snapshot: "friday"})
	clone.command("d3", volume.VerbReconcile, volume.Args{})
	return merged(source.rest(), clone.rest())
}

// merged is the evidence of both.
func merged(a, b Evidence) Evidence {
	a.Commands = append(a.Commands, b.Commands...)
	a.Transitions = append(a.Transitions, b.Transitions...)
	a.Objects = append(b.Objects, a.Objects...)
	a.Effects = append(a.Effects, b.Effects...)
	a.Entries = append(a.Entries, b.Entries...)
	maps.Copy(a.Records, b.Records)
	maps.Copy(a.Outcomes, b.Outcomes)
	maps.Copy(a.Snapshots, b.Snapshots)
	maps.Copy(a.Files.Data, b.Files.Data)
	maps.Copy(a.Files.Snapshots, b.Files.Snapshots)
	maps.Copy(a.Files.Parents, b.Files.Parents)
	return a
}

func TestAll_ChainRun_NoFault(t *testing.T) {
	e := chainRun(t)
	if faults := All(e); len(faults) > 0 {
		t.Errorf("got faults in a clean run:\n%s", lines(faults))
	}
	if got := e.Records[db01]; got.Snapshots != 2 || got.Source != monday || got.Size != volume.MiB {
		t.Errorf("the run ends with %d snapshots of a clone of %s, %s; want 2, %s, 1MiB", got.Snapshots, got.Source, got.Size, monday)
	}
}

// A clone that was flattened is no clone; a view stays one.
func TestAll_FlattenedRun_NoFault(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		clone := newHistory(t)
		clone.command("c1", volume.VerbCreate, volume.Args{Source: monday, ReadOnly: readOnly})
		clone.command("c2", volume.VerbFlatten, volume.Args{})
		e := clone.rest()
		if faults := All(e); len(faults) > 0 {
			t.Errorf("read only %t: got faults in a clean run:\n%s", readOnly, lines(faults))
		}
		if entries := len(e.Entries); (entries == 1) != readOnly {
			t.Errorf("read only %t: got %d entries", readOnly, entries)
		}
	}
}

// A restore that did not end leaves what it has copied.
func TestBackend_RestoreCancelled_ItsCopyIsExcused(t *testing.T) {
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.command("c2", volume.VerbSnapshot, tuesday)
	h.cancelled("c3", "c4", volume.VerbRestore, tuesday)
	e := h.rest()
	e.Files.Restored = map[volume.Key]volume.Bytes{db01: volume.MiB}
	if faults := All(e); len(faults) > 0 {
		t.Errorf("got faults:\n%s", lines(faults))
	}
}

func TestTally_ChainRun_CountsByVerb(t *testing.T) {
	want := "clone=1/1 create=1/1 delete=0/1 attach=0/1 resize=1/1 reconcile=1/1 snapshot=4/5 delete_snapshot=2/2 restore=1/2 flatten=0/1"
	if got := Tally(chainRun(t)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
