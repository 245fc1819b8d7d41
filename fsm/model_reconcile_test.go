package fsm_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// anothers is what a backend has in whose place of the volume another one is.
var anothers = fsm.Observation{ID: "default.db-01.4711"}

// lostID is the life of what a backend has of a volume without a record.
const lostID volume.ID = "default.db-01.1"

// acceptsAdopting says whether what the backend has is taken in.
func (m *model) acceptsAdopting(args volume.Args) volume.Code {
	switch {
	case !m.back.Present:
		return volume.ErrBackendNotFound
	case args.ID != "" && args.ID != lostID:
		return volume.ErrPreconditionFailed
	}
	return ""
}

// elsewhere reports whether the backend has the volume on a node that is neither recorded
// nor asked for.
func (m *model) elsewhere(asked volume.Node) bool {
	for node := range holdersOf(m.back.Attachments) {
		if _, recorded := m.nodes[node]; !recorded && node != asked {
			return true
		}
	}
	return false
}

// reconcile is the end of a reconcile.
func (m *model) reconcile(policy volume.RecordOnly, believe volume.Side) {
	gone := !m.back.Present && m.back.ID == ""
	switch {
	case m.state == volume.StatePending || m.state == volume.StateError:
		m.believe(volume.StatePending)
		return
	case m.back.Present && believe == volume.BelieveBackend:
		m.believe(volume.StateError)
		return
	}
	if m.back.Snapshots != nil {
		m.count = *m.back.Snapshots
	}
	switch {
	case !gone || policy == volume.RecordOnlyIgnore:
	case policy == volume.RecordOnlyDelete:
		m.state, m.exists, m.nodes, m.count = volume.StateDeleted, false, holders{}, 0
	default:
		m.state = volume.StateError
	}
}

// adopt is the end of an adopt: the volume is what the backend has.
func (m *model) adopt(sameLife bool) {
	half := m.half
	m.chain = chain{kept: m.kept}
	if sameLife {
		m.half = half
	}
	m.exists = true
	m.believe(volume.StateError)
	m.count = len(m.kept)
}

// look ends a command that is decided by what the backend has.
func (w *world) look(command volume.Command) (fsm.Decision, error) {
	back := w.model.back
	if command.Verb == volume.VerbReconcile {
		decision, err := w.step(func(r volume.Record, now time.Time) (fsm.Decision, error) {
			return fsm.Reconcile(r, command, back, now)
		})
		if err == nil {
			w.model.reconcile(command.RecordOnly, command.Args.Believe)
		}
		return decision, err
	}
	if !back.Present { // which the worker finds
		return fsm.Decision{}, volume.Errorf(volume.ErrBackendNotFound, "no such object")
	}
	sameLife := w.record.ID == lostID
	decision, err := w.step(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		spec := volume.Spec{Size: back.Size, Attachments: back.Attachments, Snapshots: len(w.model.kept)}
		return fsm.Adopt(r, command, lostID, spec, now)
	})
	if err == nil {
		w.model.adopt(sameLife)
	}
	return decision, err
}

// aboutDrift draws what a reconcile and an adopt are told.
func (w *world) aboutDrift(rt *rapid.T, command volume.Command) volume.Command {
	switch command.Verb {
	case volume.VerbReconcile:
		command.RecordOnly = rapid.SampledFrom(append(volume.RecordOnlyPolicies(), "")).Draw(rt, "record only")
		command.Args.Believe = rapid.SampledFrom([]volume.Side{"", "", volume.BelieveBackend}).Draw(rt, "believe")
	case volume.VerbAdopt:
		command.Args.ID = rapid.SampledFrom([]volume.ID{"", lostID, "default.db-01.7"}).Draw(rt, "id")
	default:
	}
	return command
}
