package fsm_test

import (
	"maps"
	"slices"
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

// strange reports whether the backend has the volume on a node that is none of the wanted.
func (m *model) strange(wanted []volume.Node) bool {
	return slices.ContainsFunc(m.back.Attachments, func(one volume.Attachment) bool { return !slices.Contains(wanted, one.Node) })
}

// names are the nodes; never nil.
func (h holders) names() []volume.Node {
	names := []volume.Node{}
	for node := range h {
		names = append(names, node)
	}
	return names
}

// reconcile is the end of a reconcile.
func (m *model) reconcile(policy volume.RecordOnly, believe volume.Side) {
	gone := !m.back.Present && m.back.ID == ""
	unsure := m.state == volume.StatePending || m.state == volume.StateError
	believed := m.back.Present && believe == volume.BelieveBackend
	if unsure && !believed && m.wanted != nil && m.state == volume.StateError && m.strange(append(m.nodes.names(), m.wanted...)) {
		m.recount(m.state)
		return
	}
	if unsure || believed {
		m.wanted = nil
		m.believe(volume.StatePending)
		return
	}
	if m.back.Snapshots != nil {
		m.count = *m.back.Snapshots
	}
	m.wanted = nil
	if m.back.Present && !maps.Equal(holdersOf(m.back.Attachments), m.nodes) {
		m.wanted = m.nodes.names()
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
	m.exists, m.wanted = true, nil
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
		if rapid.Bool().Draw(rt, "of an image") {
			command = ofImage(command)
		}
	default:
	}
	return command
}
