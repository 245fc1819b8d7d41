package verify

import (
	"reflect"
	"slices"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// Effects checks that no step was done twice to the backend. Every effect must fall
// into an operation of the same kind on the same volume, an operation has one effect
// at most however often it was begun again, and a volume is created and deleted once.
//
// Three operations are different. A restore may be done again by a repeat. One that makes
// a snapshot removes what is left of an earlier attempt first, so that snapshot and
// deletion take turns in it. What a backend does to flatten a clone is not journaled.
//
// The journal is written after the change, by the process that may be killed: an effect
// is therefore missing if the kill came between the two, and the repeat finds the work
// done. So a missing effect is excused if there was a kill during its operation, and
// else is a fault, because a journal that is not written would prove nothing.
//
// Nothing else is excused. A worker that was stopped (SIGSTOP) in its call, or cut off
// from the server, goes on with it later: its change must come before the operation's end
// or not at all, whoever ends the operation. Times of events and effects must be of one
// clock.
//
// A backend that keeps no journal is not checked.
func Effects(e Evidence) []Fault {
	var r report
	if e.NoJournal {
		return nil
	}
	operations := operationsOf(e.Transitions)
	lives := map[volume.ID]map[fsm.Action]int{}
	for _, effect := range e.Effects {
		key, _ := effect.ID.Key() // an ID that is none matches no operation either
		op := within(operations[effect.ID], effect)
		if op == nil && tidied(operations[effect.ID], effect) {
			continue
		}
		if op == nil {
			r.add(Doubled, key, "%s of %s at %s: in no operation of that kind", effect.Change, effect.ID, stamp(effect.Time))
			continue
		}
		op.effects = append(op.effects, effect)
		if lives[effect.ID] == nil {
			lives[effect.ID] = map[fsm.Action]int{}
		}
		lives[effect.ID][effect.Change]++
	}
	for _, t := range e.Transitions {
		if ops := operations[t.VolumeID]; len(ops) > 0 && ops[0].begin.ID == t.ID {
			r.life(t.Key, t.VolumeID, ops, lives[t.VolumeID], e.Kills)
		}
	}
	return r.faults
}

// Disturbed returns how many operations there was one of the spans in: what a run has
// really put to the test by its kills or its stops.
func Disturbed(e Evidence, by []Span) int {
	count := 0
	for _, operations := range operationsOf(e.Transitions) {
		for _, op := range operations {
			if op.overlaps(by) {
				count++
			}
		}
	}
	return count
}

// operation is one command's work on the backend.
type operation struct {
	action  fsm.Action
	begin   volume.Transition
	end     volume.Transition // final; zero while it is under way
	effects []Effect
}

// beginnings says which events begin an operation, and what it does to the backend.
var beginnings = map[volume.Event]fsm.Action{
	volume.EventCreate:   fsm.ActionCreate,
	volume.EventRecreate: fsm.ActionCreate,
	volume.EventAttach:   fsm.ActionAttach,
	volume.EventShare:    fsm.ActionAttach,
	volume.EventDetach:   fsm.ActionDetach,
	volume.EventExtend:   fsm.ActionResize,
	volume.EventDelete:   fsm.ActionDelete,
	volume.EventDiscard:  fsm.ActionDelete,
	volume.EventEvict:    fsm.ActionEvict,
	volume.EventSnapshot: fsm.ActionSnapshot,
	volume.EventPrune:    fsm.ActionDeleteSnapshot,
	volume.EventRestore:  fsm.ActionRestore,
	volume.EventFlatten:  fsm.ActionFlatten,
}

// operationsOf returns the operations of each life of each volume, in their order.
func operationsOf(transitions []volume.Transition) map[volume.ID][]*operation {
	operations := map[volume.ID][]*operation{}
	for _, t := range transitions {
		if t.Event == volume.EventRejected {
			continue
		}
		if action, begins := beginnings[t.Event]; begins {
			switch t.Verb {
			case volume.VerbUnmanage:
				action = fsm.ActionRelease
			case volume.VerbAdopt:
				action = fsm.ActionImport
			default: // what the event says
			}
			operations[t.VolumeID] = append(operations[t.VolumeID], &operation{action: action, begin: t})
			continue
		}
		ops := operations[t.VolumeID]
		if t.Final && len(ops) > 0 && ops[len(ops)-1].begin.CommandID == t.CommandID {
			ops[len(ops)-1].end = t
		}
	}
	return operations
}

// within returns the operation that an effect belongs to, or nil.
func within(operations []*operation, effect Effect) *operation {
	for _, op := range operations {
		if op.may(effect) && op.covers(effect.Time) {
			return op
		}
	}
	return nil
}

func (op *operation) covers(moment time.Time) bool {
	return !moment.Before(op.begin.Time) && (op.end.ID == "" || !moment.After(op.end.Time))
}

// life checks all operations of one life of a volume.
func (r *report) life(key volume.Key, id volume.ID, operations []*operation, effects map[fsm.Action]int, kills []Span) {
	for _, once := range []fsm.Action{fsm.ActionCreate, fsm.ActionDelete, fsm.ActionRelease, fsm.ActionImport} {
		if effects[once] > 1 {
			r.add(Doubled, key, "%d effects %s of %s", effects[once], once, id)
		}
	}
	for i, op := range operations {
		r.evicted(op)
		switch {
		case op.action == fsm.ActionSnapshot:
			r.tookTurns(op, openBefore(operations[:i], op.snapshot()) || op.overlaps(kills))
		case op.action == fsm.ActionRestore && len(op.effects) > 1:
			r.asOrdered(op)
		case len(op.effects) > 1:
			r.add(Doubled, key, "command %s: %d effects %s of %s, at %s and %s", op.begin.CommandID,
				len(op.effects), op.action, id, stamp(op.effects[0].Time), stamp(op.effects[1].Time))
		case len(op.effects) == 1:
			r.asOrdered(op)
		case op.action == fsm.ActionDeleteSnapshot && openBefore(operations[:i], op.snapshot()):
		case op.mustHaveEffect() && !op.overlaps(kills):
			r.add(Lost, key, "command %s: %s of %s succeeded without an effect in the journal", op.begin.CommandID, op.action, id)
		}
	}
}

// mustHaveEffect reports whether the operation cannot have ended as it did without
// changing the backend. What is discarded may never have been there, and a node that is
// gone may hold nothing.
func (op *operation) mustHaveEffect() bool {
	if op.begin.Event == volume.EventEvict {
		_, held := op.begin.Spec.Attachments.Of(op.node())
		return held && op.succeeded() && op.begin.From != volume.StateError
	}
	return op.succeeded() && op.begin.Event != volume.EventDiscard && op.action != fsm.ActionFlatten
}

func (op *operation) succeeded() bool {
	return op.end.ID != "" && resultOf(op.end) == volume.Succeeded
}

// node returns the node that the operation declares gone.
func (op *operation) node() volume.Node {
	if op.begin.Eviction == nil {
		return ""
	}
	return op.begin.Eviction.Node
}

func (op *operation) overlaps(spans []Span) bool {
	return slices.ContainsFunc(spans, func(s Span) bool {
		return !s.To.Before(op.begin.Time) && (op.end.ID == "" || !s.From.After(op.end.Time))
	})
}

// sized are what gives a volume its size.
var sized = []fsm.Action{fsm.ActionCreate, fsm.ActionImport, fsm.ActionResize, fsm.ActionRestore}

// asOrdered checks that the effect is the one that the operation's end tells of.
func (r *report) asOrdered(op *operation) {
	if !op.succeeded() {
		return
	}
	effect, spec := op.effects[len(op.effects)-1], op.end.Spec
	switch {
	case slices.Contains(sized, op.action) && effect.Size != spec.Size:
		r.add(Disagreement, op.begin.Key, "command %s: %s to %s, event %s says %s", op.begin.CommandID, op.action, effect.Size, op.end.ID, spec.Size)
	case op.action == fsm.ActionCreate && effect.Source != spec.Source:
		r.add(Disagreement, op.begin.Key, "command %s: created from %q, event %s says %q", op.begin.CommandID, effect.Source, op.end.ID, spec.Source)
	case op.action == fsm.ActionAttach || op.action == fsm.ActionDetach:
		r.asHeld(op, effect.Node)
	case op.action == fsm.ActionEvict && effect.Node != op.node():
		r.add(Disagreement, op.begin.Key, "command %s: evicted node %s, event %s says %s", op.begin.CommandID, effect.Node, op.begin.ID, op.node())
	case op.action == fsm.ActionEvict && op.begin.From != volume.StateError:
		r.asHeld(op, effect.Node)
	}
}

// evicted checks that a node_gone tells why, from its first event on, and that a node which
// is gone holds the volume no more, whether or not it had to be evicted.
func (r *report) evicted(op *operation) {
	if op.action != fsm.ActionEvict {
		return
	}
	if e := op.begin.Eviction; e == nil || e.Reason == "" {
		r.add(Lost, op.begin.Key, "command %s: event %s evicts without a reason", op.begin.CommandID, op.begin.ID)
	}
	if _, held := op.end.Spec.Attachments.Of(op.node()); held && op.succeeded() {
		r.add(Disagreement, op.begin.Key, "command %s: event %s says that node %s still holds the volume", op.begin.CommandID, op.end.ID, op.node())
	}
}

// asHeld checks that an attach or detach has changed what the end tells of the effect's
// node, and nothing about any other.
func (r *report) asHeld(op *operation, node volume.Node) {
	before, after := op.begin.Spec.Attachments, op.end.Spec.Attachments
	_, heldBefore := before.Of(node)
	_, heldAfter := after.Of(node)
	if held := op.action == fsm.ActionAttach; heldAfter != held || heldBefore == held ||
		!reflect.DeepEqual(before.Without(node), after.Without(node)) {
		r.add(Disagreement, op.begin.Key, "command %s: %s of node %s, held by %s before, event %s says %s",
			op.begin.CommandID, op.action, node, before, op.end.ID, after)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
