package verify

import (
	"slices"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// snapshot returns what the operation is about, or "".
func (op *operation) snapshot() volume.SnapshotName {
	if op.begin.Snapshot == nil {
		return ""
	}
	return op.begin.Snapshot.Name
}

// may reports whether the effect is one that the operation can have: its own, or the
// removal of what is left of a snapshot that is in its way.
func (op *operation) may(effect Effect) bool {
	if effect.Change == fsm.ActionDeleteSnapshot && op.action == fsm.ActionSnapshot || op.action == effect.Change {
		return effect.Snapshot == op.snapshot()
	}
	return false
}

// tidied reports whether the effect has removed a snapshot that was left over: one that no
// operation has made or deleted to its end. A reconcile does that, and so do a delete and
// the end of what was cancelled.
func tidied(operations []*operation, effect Effect) bool {
	if effect.Change != fsm.ActionDeleteSnapshot {
		return false
	}
	after := slices.IndexFunc(operations, func(op *operation) bool { return op.begin.Time.After(effect.Time) })
	if after < 0 {
		after = len(operations)
	}
	return openBefore(operations[:after], effect.Snapshot)
}

// openBefore reports whether the last of the operations that was about the snapshot did
// not end well, so that nobody knows whether it is there.
func openBefore(operations []*operation, name volume.SnapshotName) bool {
	for _, op := range slices.Backward(operations) {
		if op.snapshot() == name && (op.action == fsm.ActionSnapshot || op.action == fsm.ActionDeleteSnapshot) {
			return !op.succeeded()
		}
	}
	return false
}

// tookTurns checks the effects of an operation that makes a snapshot: what an attempt has
// made is removed before the next one makes it again, and it is there in the end. Excused
// is one of which an entry of the journal may be missing, or which may find a snapshot
// that was there before.
func (r *report) tookTurns(op *operation, excused bool) {
	there := false
	for _, effect := range op.effects {
		makes := effect.Change == fsm.ActionSnapshot
		if makes == there && !excused {
			r.add(Doubled, op.begin.Key, "command %s: %s of snapshot %s at %s, it is there: %t",
				op.begin.CommandID, effect.Change, op.snapshot(), stamp(effect.Time), there)
		}
		there = makes
	}
	if !op.succeeded() {
		return
	}
	if !there && !excused {
		r.add(Lost, op.begin.Key, "command %s: snapshot %s of %s succeeded without an effect in the journal",
			op.begin.CommandID, op.snapshot(), op.begin.VolumeID)
	}
	if there && op.effects[len(op.effects)-1].Size != op.begin.Snapshot.Size {
		r.add(Disagreement, op.begin.Key, "command %s: snapshot of size %s, event %s says %s", op.begin.CommandID,
			op.effects[len(op.effects)-1].Size, op.begin.ID, op.begin.Snapshot.Size)
	}
}
