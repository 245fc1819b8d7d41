package history

import (
	"slices"

	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// succeeded returns the volume after its operation ended well in the state that the
// answer tells. An operation begins and ends with a transition, and each attempt that
// failed in between is two: the failure and the retry.
func (m model) succeeded(c verify.Command, to volume.State, steps uint64) (model, bool) {
	from := m.state
	m.state = to
	if c.Verb == volume.VerbReconcile {
		return m.reconciled(from, steps)
	}
	if steps%2 != 0 {
		return m, false
	}
	switch c.Verb {
	case volume.VerbCreate:
		return m, to == volume.StateAvailable
	case volume.VerbAttach:
		m.node, m.nodeUnknown = c.Args.Node, false
		return m, to == volume.StateAttached
	case volume.VerbDetach:
		m.node, m.nodeUnknown = "", false
		return m, to == volume.StateAvailable
	case volume.VerbDelete:
		m.node, m.nodeUnknown = "", false
		return m, to == volume.StateDeleted
	case volume.VerbResize:
		m.minSize, m.maxSize = c.Args.Size, c.Args.Size
		return m, to == from
	default:
		return m, false
	}
}

// reconciled returns the volume after a reconcile: one transition. The backend is
// believed where the record knows nothing better; else only a volume that is gone there
// is in error.
func (m model) reconciled(from volume.State, steps uint64) (model, bool) {
	if steps != 1 {
		return m, false
	}
	if from == volume.StateAvailable || from == volume.StateAttached {
		return m, m.state == from || m.state == volume.StateError
	}
	m.minSize, m.maxSize = 0, unknownSize
	m.node, m.nodeUnknown = "", m.state == volume.StateAttached
	return m, slices.Contains([]volume.State{volume.StatePending, volume.StateAvailable, volume.StateAttached}, m.state)
}

// failed returns the volume after its operation was given up, which leaves it in error,
// or was cancelled, which leaves it as the backend has it.
func (m model) failed(c verify.Command, to volume.State, steps uint64, code volume.Code) (model, bool) {
	from := m.state
	m.state = to
	if steps < 3 || steps%2 == 0 {
		return m, false
	}
	m.maxSize = max(m.maxSize, c.Args.Size)
	if to == volume.StateError {
		m.nodeUnknown = true // an attach or detach may have got through
		return m, true
	}
	if code != volume.ErrCancelled {
		return m, false
	}
	if c.Verb == volume.VerbAttach && to == volume.StateAttached {
		m.node, m.nodeUnknown = c.Args.Node, false
	}
	if to == volume.StateAvailable {
		m.node, m.nodeUnknown = "", false
	}
	return m, to == from && c.Verb != volume.VerbCreate || slices.Contains(cancelledIn[c.Verb], to)
}

// cancelledIn are the states in which a cancelled operation can leave a volume, besides
// error and, but for a create, the one in which it began.
var cancelledIn = map[volume.Verb][]volume.State{
	volume.VerbCreate: {volume.StatePending, volume.StateAvailable},
	volume.VerbAttach: {volume.StateAttached},
	volume.VerbDetach: {volume.StateAvailable},
	// A volume in error or pending may turn out to be there.
	volume.VerbDelete: {volume.StateDeleted, volume.StateAvailable, volume.StateAttached},
}
