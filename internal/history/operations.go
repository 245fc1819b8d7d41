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
	switch {
	case c.Verb == volume.VerbReconcile:
		return m.reconciled(c, from, steps)
	case c.Verb == volume.VerbAdopt && !imports(c):
		return m.adopted(to, steps)
	}
	if steps < 2 || steps%2 != 0 && !slices.Contains(long, c.Verb) {
		return m, false
	}
	if slices.Contains(wholeOnly, c.Verb) {
		m.chain.half = no // or it would have been refused
	}
	switch c.Verb {
	case volume.VerbCreate, volume.VerbAdopt:
		return m, to == volume.StateAvailable
	case volume.VerbAttach:
		if from == volume.StateAttached {
			m.held = m.held.joined(c.Args.Node)
		} else {
			m.held = one(c.Args)
		}
		return m, to == volume.StateAttached
	case volume.VerbDetach:
		return m.detached(c.Args.Node)
	case volume.VerbNodeGone:
		return m.gone(c.Args.Node, from)
	case volume.VerbDelete, volume.VerbUnmanage:
		m.held, m.chain = holders{}, chain{}
		return m, to == volume.StateDeleted
	case volume.VerbResize:
		m.minSize, m.maxSize = c.Args.Size, c.Args.Size
		return m, to == from
	default:
		return m.chained(c, from)
	}
}

// adopted returns the volume after what the backend had of it got a record: one transition.
func (m model) adopted(to volume.State, steps uint64) (model, bool) {
	m.held = holders{unknown: to == volume.StateAttached}
	return m, steps == 1 && slices.Contains(inUse, to)
}

// detached returns the volume after its node has gone, from which it is available or still
// attached.
func (m model) detached(node volume.Node) (model, bool) {
	switch {
	case m.state == volume.StateAttached && node != "":
		left, possible := m.held.left(node)
		m.held = left
		return m, possible
	case m.state == volume.StateAvailable:
		possible := m.held.emptied(node)
		m.held = holders{}
		return m, possible
	}
	return m, false
}

// gone returns the volume after a node that perhaps held it was evicted. A volume in error
// is then what the backend says.
func (m model) gone(node volume.Node, from volume.State) (model, bool) {
	switch from {
	case volume.StateAttached:
		return m.detached(node)
	case volume.StateError:
		m.minSize, m.maxSize = 0, unknownSize
		m.held = holders{unknown: m.state == volume.StateAttached}
		return m, m.state == volume.StateAvailable || m.state == volume.StateAttached
	default:
		return m, m.state == from
	}
}

// inUse are the states of a volume that is there and at rest.
var inUse = []volume.State{volume.StateAvailable, volume.StateAttached}

// reconciled returns the volume after a reconcile: one transition. The backend is
// believed where the record knows nothing better, or the command says so; else only a volume
// that is gone there is in error, or deleted, as the policy of the backend is.
func (m model) reconciled(c verify.Command, from volume.State, steps uint64) (model, bool) {
	if steps != 1 {
		return m, false
	}
	settled := slices.Contains(inUse, from)
	switch {
	case settled && m.state == volume.StateDeleted:
		m.held, m.chain = holders{}, chain{}
		return m, true
	case settled && (m.state == volume.StateError || m.state == from && c.Args.Believe == ""):
		return m, true
	case settled && c.Args.Believe == "":
		return m, false
	case from == volume.StateError && m.state == from: // a node has it that nobody asked for
		return m, c.Args.Believe == ""
	}
	m.minSize, m.maxSize = 0, unknownSize
	m.held = holders{unknown: m.state == volume.StateAttached}
	if m.state == volume.StatePending {
		m.chain.sure, m.chain.maybe = "", ""
	}
	return m, slices.Contains([]volume.State{volume.StatePending, volume.StateAvailable, volume.StateAttached}, m.state)
}

// failed returns the volume after its operation was given up, which leaves it in error,
// or was cancelled, which leaves it as the backend has it.
func (m model) failed(c verify.Command, to volume.State, steps uint64, code volume.Code) (model, bool) {
	from := m.state
	m.state = to
	if steps < 3 || steps%2 == 0 && !slices.Contains(long, c.Verb) {
		return m, false
	}
	m.maxSize = max(m.maxSize, c.Args.Size)
	m.chain = m.chain.unchained(c, code)
	if to == volume.StateError {
		m.held = anybody() // an attach or detach may have got through
		return m, true
	}
	if imports(c) && slices.Contains(imageCodes, code) { // refused after the look
		return m, slices.Contains(cancelledIn[c.Verb], to)
	}
	if code != volume.ErrCancelled {
		return m, to == from && givenUpInPlace(c, code)
	}
	if stayed := to == from && c.Verb != volume.VerbCreate && !imports(c); !stayed && !slices.Contains(cancelledIn[c.Verb], to) {
		return m, false
	}
	return m.cancelled(c, from)
}

// cancelled returns the volume, which is in its new state, after an operation was
// cancelled that had perhaps been done.
func (m model) cancelled(c verify.Command, from volume.State) (model, bool) {
	switch {
	case m.state == volume.StateAvailable && c.Verb == volume.VerbDetach,
		m.state == volume.StateAvailable && c.Verb == volume.VerbNodeGone && from == volume.StateAttached:
		return m.detached(c.Args.Node)
	case m.state != volume.StateAttached:
		m.held = holders{}
	case c.Verb == volume.VerbAttach && from == volume.StateAvailable:
		m.held = one(c.Args)
	case c.Verb == volume.VerbAttach:
		m.held = m.held.mayHaveJoined(c.Args.Node)
	case c.Verb == volume.VerbDetach, c.Verb == volume.VerbNodeGone && from == volume.StateAttached:
		m.held = m.held.mayHaveLeft(c.Args.Node)
	case from != volume.StateAttached:
		m.held = anybody()
	}
	return m, true
}

// cancelledIn are the states in which a cancelled operation can leave a volume, besides
// error and, but for a create, the one in which it began.
var cancelledIn = map[volume.Verb][]volume.State{
	volume.VerbCreate: {volume.StatePending, volume.StateAvailable},
	volume.VerbAdopt:  {volume.StatePending, volume.StateAvailable}, // of an image
	volume.VerbAttach: {volume.StateAttached},
	volume.VerbDetach: {volume.StateAvailable},
	// From error it is where the backend has it.
	volume.VerbNodeGone: {volume.StateAvailable, volume.StateAttached},
	// A volume in error or pending may turn out to be there.
	volume.VerbDelete: {volume.StateDeleted, volume.StateAvailable, volume.StateAttached},

	volume.VerbUnmanage: {volume.StateDeleted, volume.StateAttached},
}
