package verify

import (
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// Lineage checks what the events of each volume say of its snapshots and of what it is a
// clone of: a snapshot is made once and deleted once, and counted; the source is that of
// the create until it is flattened; a volume is not deleted while it has snapshots; one
// whose restore did not end says so, and nothing but another restore or a delete begins.
func Lineage(e Evidence) []Fault {
	var r report
	all := e.transitionsByVolume()
	for _, key := range sortedKeys(all) {
		r.lineage(all[key])
	}
	return r.faults
}

// lineage is what a volume's events say of its snapshots and its source.
type lineage struct {
	// sure are the snapshots that are there, by name. Maybe are those of an operation that
	// did not end well: perhaps they are there, perhaps not.
	sure, maybe map[volume.SnapshotName]volume.Snapshot
	source      volume.SnapshotKey
	half        volume.SnapshotName
	owner       uint64 // epoch of whom the latest restore was begun by
	// unnamed says that there are snapshots whose names no event tells: they were adopted
	// with the volume, or are what a reconcile has found of those that were told.
	unnamed bool
}

func newLineage(source volume.SnapshotKey) *lineage {
	return &lineage{
		sure: map[volume.SnapshotName]volume.Snapshot{}, maybe: map[volume.SnapshotName]volume.Snapshot{}, source: source,
	}
}

// open reports whether nothing is known of the snapshot.
func (l *lineage) open(name volume.SnapshotName) bool {
	_, open := l.maybe[name]
	return open
}

// find returns the snapshot, also one that is perhaps not there.
func (l *lineage) find(name volume.SnapshotName) (volume.Snapshot, bool) {
	if snapshot, there := l.sure[name]; there {
		return snapshot, true
	}
	snapshot, open := l.maybe[name]
	return snapshot, open
}

// lineage follows the events of one volume and returns where they lead.
func (r *report) lineage(transitions []volume.Transition) *lineage {
	l := newLineage(volume.SnapshotKey{})
	begun := map[volume.CommandID]volume.Snapshot{}
	seen := map[string]bool{}
	for _, t := range transitions {
		if t.Event == volume.EventRejected || seen[t.ID] { // one that is there twice is told by Generations
			continue
		}
		seen[t.ID] = true
		if t.Event == volume.EventCreate || t.Event == volume.EventRecreate {
			l = newLineage(t.Spec.Source)
		}
		l.adopts(t)
		if t.Event == volume.EventSnapshot && t.Snapshot != nil {
			begun[t.CommandID] = *t.Snapshot
		}
		r.begins(t, l)
		r.snapshots(t, l, begun[t.CommandID])
		r.restores(t, l)
		r.describes(t, l)
	}
	return l
}

// adopts takes over what a backend had without a record.
func (l *lineage) adopts(t volume.Transition) {
	if t.Event == volume.EventAdopted {
		*l = *newLineage(t.Spec.Source)
		l.half, l.unnamed = t.Spec.HalfRestored, t.Spec.Snapshots > 0
	}
}

// begins checks that an operation may begin.
func (r *report) begins(t volume.Transition, l *lineage) {
	switch t.Event {
	case volume.EventSnapshot:
		r.beginsSnapshot(t, l)
	case volume.EventDelete, volume.EventDiscard:
		if len(l.sure) > 0 || t.Spec.Snapshots > 0 {
			r.add(Disagreement, t.Key, "event %s: deleted with %d snapshots", t.ID, max(len(l.sure), t.Spec.Snapshots))
		}
	case volume.EventFlatten:
		if l.source.IsZero() {
			r.add(Disagreement, t.Key, "event %s: flattened, and it is no clone", t.ID)
		}
	case volume.EventPrune, volume.EventRestore:
		if t.Snapshot == nil {
			r.add(Lost, t.Key, "event %s (%s): of no snapshot", t.ID, t.Event)
		} else if _, there := l.find(t.Snapshot.Name); !there && !l.unnamed {
			r.add(Disagreement, t.Key, "event %s: %s of snapshot %s, which there is not", t.ID, t.Event, t.Snapshot.Name)
		}
	default:
	}
	whole := []volume.Event{volume.EventAttach, volume.EventShare, volume.EventSnapshot, volume.EventExtend}
	if l.half != "" && slices.Contains(whole, t.Event) {
		r.add(Disagreement, t.Key, "event %s: %s of a volume whose restore of %s did not end", t.ID, t.Event, l.half)
	}
}

func (r *report) beginsSnapshot(t volume.Transition, l *lineage) {
	if t.Snapshot == nil {
		r.add(Lost, t.Key, "event %s (%s): of no snapshot", t.ID, t.Event)
		return
	}
	if _, there := l.sure[t.Snapshot.Name]; there {
		r.add(Doubled, t.Key, "event %s: snapshot %s begins and is there", t.ID, t.Snapshot.Name)
	}
	if want := volume.NewID(t.Key, t.Generation); t.Snapshot.ID != want {
		r.add(Disagreement, t.Key, "event %s: snapshot %s has id %s, want %s", t.ID, t.Snapshot.Name, t.Snapshot.ID, want)
	}
}

// snapshots follows which there are. Begun is the snapshot that the command of the event
// is to make, if it is one of those.
func (r *report) snapshots(t volume.Transition, l *lineage, begun volume.Snapshot) {
	if t.To == volume.StateDeleted { // deleted, or gone
		l.unnamed = false
		l.sure, l.maybe = map[volume.SnapshotName]volume.Snapshot{}, map[volume.SnapshotName]volume.Snapshot{}
	}
	if !t.Final || t.Verb == volume.VerbReconcile {
		if t.Verb == volume.VerbReconcile {
			l.compared(t)
		}
		return
	}
	switch {
	case t.Snapshot == nil:
	case t.Event == volume.EventSnapshotted:
		if t.Snapshot.ID != begun.ID {
			r.add(Disagreement, t.Key, "event %s: snapshot %s has id %s, it began with %s", t.ID, t.Snapshot.Name, t.Snapshot.ID, begun.ID)
		}
		l.sure[t.Snapshot.Name] = *t.Snapshot
		delete(l.maybe, t.Snapshot.Name)
	case t.Event == volume.EventPruned:
		delete(l.sure, t.Snapshot.Name)
		delete(l.maybe, t.Snapshot.Name)
	case t.Verb == volume.VerbSnapshot:
		if _, there := l.sure[t.Snapshot.Name]; !there {
			l.maybe[t.Snapshot.Name] = begun
		}
		l.settled(t)
	case t.Verb == volume.VerbDeleteSnapshot:
		if snapshot, there := l.find(t.Snapshot.Name); there {
			delete(l.sure, t.Snapshot.Name)
			l.maybe[t.Snapshot.Name] = snapshot
		}
		l.settled(t)
	}
}

// settled takes over what the end of an operation says that was cancelled or refused, for
// which the backend was asked. One that was given up says nothing new.
func (l *lineage) settled(t volume.Transition) {
	if t.Event == volume.EventCancelled || t.Event == volume.EventRefused {
		l.counted(t.Spec.Snapshots)
	}
}

// compared takes over what a reconcile says. One that finds another number than was recorded
// does not tell which are missing.
func (l *lineage) compared(t volume.Transition) {
	if t.Event == volume.EventDrifted && tellsDrift(t.Spec, volume.DriftSnapshots) {
		l.sure, l.maybe = map[volume.SnapshotName]volume.Snapshot{}, map[volume.SnapshotName]volume.Snapshot{}
		l.unnamed = t.Spec.Snapshots > 0
		return
	}
	l.counted(t.Spec.Snapshots)
}

// tellsDrift reports whether the volume is marked as drifted in that way.
func tellsDrift(spec volume.Spec, kind volume.DriftKind) bool {
	return spec.Drift != nil && slices.ContainsFunc(spec.Drift.Differences, func(d volume.Difference) bool { return d.Kind == kind })
}

// counted takes over how many there are: none or all of those that are open.
func (l *lineage) counted(count int) {
	switch count {
	case len(l.sure):
	case len(l.sure) + len(l.maybe):
		for name, snapshot := range l.maybe {
			l.sure[name] = snapshot
		}
	default:
		return
	}
	l.maybe = map[volume.SnapshotName]volume.Snapshot{}
}

// restores follows what the volume's content is.
func (r *report) restores(t volume.Transition, l *lineage) {
	if t.Event == volume.EventRestore {
		l.owner = t.Epoch
	}
	if t.Verb == volume.VerbRestore && t.Snapshot != nil {
		l.half = halfRestored(t, l)
		if made, there := l.find(t.Snapshot.Name); there && t.Event == volume.EventRestored && t.Spec.Size != made.Size {
			r.add(Disagreement, t.Key, "event %s: restored to size %s, snapshot %s had %s", t.ID, t.Spec.Size, t.Snapshot.Name, made.Size)
		}
	}
	if t.Spec.HalfRestored != l.half {
		r.add(Disagreement, t.Key, "event %s (%s): half restored %q, want %q", t.ID, t.Event, t.Spec.HalfRestored, l.half)
		l.half = t.Spec.HalfRestored // told once
	}
}

// halfRestored returns what an event of a restore has to say of the content.
func halfRestored(t volume.Transition, l *lineage) volume.SnapshotName {
	switch {
	case t.Event == volume.EventRestored:
		return ""
	case t.Event == volume.EventProgress, t.Event == volume.EventError && !refusedUnchanged(t.Failure):
		return t.Snapshot.Name
	case t.Epoch != l.owner && t.Spec.HalfRestored == t.Snapshot.Name:
		return t.Snapshot.Name // nobody knows how far the former owner has come
	}
	return l.half
}

// refusedUnchanged reports whether the backend has said that it changed nothing.
func refusedUnchanged(failure *volume.Failure) bool {
	return failure != nil && failure.Code != volume.ErrCancelled &&
		(failure.Class == volume.FailedPrecondition || failure.Class == volume.Busy)
}

// endedWhole reports whether a flatten that was cancelled or refused had come to its end.
func endedWhole(t volume.Transition) bool {
	settled := t.Event == volume.EventCancelled || t.Event == volume.EventRefused
	return settled && t.Verb == volume.VerbFlatten && t.Spec.Source.IsZero()
}

// describes checks the volume that an event tells of.
func (r *report) describes(t volume.Transition, l *lineage) {
	spec := t.Spec
	if t.Event == volume.EventFlattened || endedWhole(t) {
		l.source = volume.SnapshotKey{}
	}
	if spec.Source != l.source {
		r.add(Disagreement, t.Key, "event %s (%s): a clone of %q, want %q", t.ID, t.Event, spec.Source, l.source)
		l.source = spec.Source
	}
	if least, most := len(l.sure), len(l.sure)+len(l.maybe); !l.unnamed && (spec.Snapshots < least || spec.Snapshots > most) {
		r.add(Disagreement, t.Key, "event %s (%s): %d snapshots, want %d to %d", t.ID, t.Event, spec.Snapshots, least, most)
	}
	if spec.ReadOnly && !spec.Attachments.ReadOnly() {
		r.add(Disagreement, t.Key, "event %s (%s): read only, held by %s", t.ID, t.Event, spec.Attachments)
	}
}
