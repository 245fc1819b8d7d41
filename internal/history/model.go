package history

import (
	"slices"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// model is a volume between two commands, as far as answers tell of it. It is a second,
// smaller statement of what a volume is, made from the documents and not from the state
// machine, so that a mistake in one of them shows.
type model struct {
	id         volume.ID    // empty until the name's first create
	state      volume.State // settled: a command is one step here
	generation uint64
	// The size is somewhere between these two, which differ after a resize that failed.
	minSize, maxSize volume.Bytes
	held             holders
	chain            chain
	looked           int    // looks taken at this generation
	facts            *facts // of the whole history
}

// unknownSize is more than any volume has.
const unknownSize = volume.Bytes(1 << 62)

func fresh(f *facts) model { return model{state: volume.StatePending, facts: f} }

// exists reports whether users know such a volume.
func (m model) exists() bool { return m.id != "" && m.state != volume.StateDeleted }

// step returns the volume after a command with that answer, and false if the command
// cannot have got this answer here. An answer without an outcome is of a command that
// nobody was told about and of which nothing is stored: it has done nothing.
func (m model) step(c verify.Command, answer commands.Reply) (model, bool) {
	code := codeOf(answer)
	switch {
	case answer.Outcome == "":
		return m, true
	case answer.Outcome == volume.Valid:
		return m, c.ValidateOnly && m.tells(answer) && m.allows(c, "")
	case answer.Outcome == volume.Rejected:
		if code == "" || !m.tells(answer) {
			return m, false
		}
		return m, m.refused(c, code)
	case c.ValidateOnly || !m.allows(c, ""):
		return m, false
	case c.Verb == volume.VerbCancel:
		return m, answer.Outcome == volume.Succeeded && m.tells(answer)
	case answer.Generation <= m.generation:
		return m, false
	}
	return m.operate(c, answer)
}

// operate returns the volume after a command that was carried out, well or not.
func (m model) operate(c verify.Command, answer commands.Reply) (next model, possible bool) {
	steps := answer.Generation - m.generation
	next = m
	next.generation = answer.Generation
	if c.Verb == volume.VerbCreate {
		next.id = volume.NewID(c.Key, m.generation+1)
		next.minSize, next.maxSize, next.held, next.chain = c.Args.Size, c.Args.Size, holders{}, newChain(c.Args)
		if c.Args.Size == 0 { // that of the source
			next.maxSize = unknownSize
		}
	}
	if imports(c) {
		next.id = volume.NewID(c.Key, m.generation+1)
		next.minSize, next.maxSize, next.held, next.chain = 0, unknownSize, holders{}, chain{}
	} else if c.Verb == volume.VerbAdopt {
		next.id = answer.VolumeID
		next.minSize, next.maxSize, next.held, next.chain = 0, unknownSize, holders{}, chain{unknown: true}
	}
	if answer.Outcome == volume.Succeeded {
		next, possible = next.succeeded(c, answer.State, steps)
	} else {
		next, possible = next.failed(c, answer.State, steps, codeOf(answer))
	}
	return next, possible && next.tells(answer)
}

// tells reports whether the answer is about this volume as it is. A deleted one may be
// told as one that never was, when its tombstone is gone; validate_only tells a volume
// that never was as pending.
func (m model) tells(answer commands.Reply) bool {
	switch {
	case answer.Generation != m.generation:
		return false
	case m.exists():
		return answer.VolumeID == m.id && answer.State == m.state
	case answer.VolumeID == "":
		return answer.State == "" || answer.State == m.state
	default:
		return answer.VolumeID == m.id && answer.State == m.state
	}
}

// refused reports whether a command that changed nothing can have got that code here.
func (m model) refused(c verify.Command, code volume.Code) bool {
	switch {
	case m.allows(c, code), code == volume.ErrCancelled: // before it began
		return true
	case c.Verb == volume.VerbReconcile: // the backend did not say what it has
		return !c.ValidateOnly && m.allows(c, "") && slices.Contains(backendCodes, code)
	case imports(c):
		return m.allows(c, "") && slices.Contains(append(imageCodes, backendCodes...), code)
	case c.Verb == volume.VerbAdopt:
		return m.allows(c, "") && slices.Contains(append(adoptCodes, backendCodes...), code)
	}
	return false
}

// backendCodes are answers of a backend that can pass.
var backendCodes = []volume.Code{
	volume.ErrBackendBusy, volume.ErrBackendUnavailable, volume.ErrBackendAborted, volume.ErrBackendExhausted,
}

// adoptCodes are answers to an adopt of what the backend does not have, or not of that id, and
// imageCodes to one of an image.
var (
	adoptCodes = []volume.Code{volume.ErrBackendNotFound, volume.ErrPreconditionFailed}
	imageCodes = []volume.Code{volume.ErrBackendNotFound, volume.ErrBackendExists, volume.ErrBackendPrecondition}
)

// imports reports whether the command takes in an image that jetvol never made.
func imports(c verify.Command) bool { return c.Verb == volume.VerbAdopt && c.Args.Image != "" }

// livesFor reports whether the volume lives for a command that makes one.
func (m model) livesFor(c verify.Command) bool {
	looks := c.Verb == volume.VerbAdopt && !imports(c)
	return m.exists() && (looks || m.state != volume.StatePending)
}

// admission returns why a command is refused without a look at its verb's own rules.
func (m model) admission(c verify.Command) volume.Code {
	makes := c.Verb == volume.VerbAdopt || c.Verb == volume.VerbCreate
	switch {
	case makes && m.livesFor(c):
		return volume.ErrVolumeExists
	case !makes && c.Verb != volume.VerbCancel && !m.exists():
		return volume.ErrVolumeNotFound
	case !c.Deadline.IsZero() && c.Deadline.Before(c.Called):
		return volume.ErrDeadlineExceeded
	case c.IfState != "" && c.IfState != m.state:
		return volume.ErrPreconditionFailed
	case c.IfGeneration != nil && *c.IfGeneration != m.generation:
		return volume.ErrPreconditionFailed
	}
	return ""
}

// takenIn are the states in which a verb is taken up.
var takenIn = map[volume.Verb][]volume.State{
	volume.VerbCreate:    {volume.StatePending, volume.StateDeleted},
	volume.VerbAdopt:     {volume.StatePending, volume.StateDeleted},
	volume.VerbDelete:    {volume.StateAvailable, volume.StatePending, volume.StateError},
	volume.VerbAttach:    {volume.StateAvailable, volume.StateAttached},
	volume.VerbDetach:    {volume.StateAttached},
	volume.VerbResize:    {volume.StateAvailable, volume.StateAttached},
	volume.VerbReconcile: {volume.StateAvailable, volume.StateAttached, volume.StatePending, volume.StateError},
	volume.VerbNodeGone:  {volume.StateAvailable, volume.StateAttached, volume.StateError},

	volume.VerbSnapshot:       {volume.StateAvailable, volume.StateAttached},
	volume.VerbDeleteSnapshot: {volume.StateAvailable, volume.StateAttached},
	volume.VerbRestore:        {volume.StateAvailable},
	volume.VerbFlatten:        {volume.StateAvailable, volume.StateAttached},

	volume.VerbUnmanage: {volume.StateAvailable},
}

// allows reports whether the command can get that code here; the empty code says that it
// is taken up.
func (m model) allows(c verify.Command, code volume.Code) bool {
	if m.lookedUp(c, code) {
		return true
	}
	if refusal := m.admission(c); refusal != "" {
		return code == refusal
	}
	if c.Verb == volume.VerbCancel {
		// What was cancelled long ago may have left the record, so a refusal is always possible.
		return code == volume.ErrNothingToCancel || code == "" && m.facts.hadCancelled(c.Args.Target, m.generation)
	}
	if !slices.Contains(takenIn[c.Verb], m.state) {
		return code == volume.ErrInvalidTransition
	}
	return m.allowsArguments(c, code)
}

func (m model) allowsArguments(c verify.Command, code volume.Code) bool {
	if allowed, settled := m.allowsChain(c, code); settled {
		return allowed
	}
	refused := code != ""
	switch {
	case c.Verb == volume.VerbResize && refused:
		return code == volume.ErrInvalidSize && c.Args.Size <= m.maxSize
	case c.Verb == volume.VerbResize:
		return c.Args.Size > m.minSize
	case c.Verb == volume.VerbAttach && m.state == volume.StateAttached:
		return m.allowsShare(c.Args, code)
	case c.Verb == volume.VerbDetach:
		return m.allowsDetach(c.Args.Node, code)
	}
	return !refused
}

// allowsShare is for an attach of a volume that is attached.
func (m model) allowsShare(args volume.Args, code volume.Code) bool {
	if code == "" {
		return m.held.admits(args)
	}
	return code == volume.ErrInvalidTransition && m.held.refuses(args)
}

func (m model) allowsDetach(node volume.Node, code volume.Code) bool {
	switch code {
	case "":
		return node == "" && m.held.onlyOne() || node != "" && m.held.mayBe(node)
	case volume.ErrNodeRequired:
		return node == "" && m.held.several()
	case volume.ErrNodeMismatch:
		return node != "" && (m.held.unknown || !m.held.sure.has(string(node)))
	}
	return false
}

func codeOf(answer commands.Reply) volume.Code {
	if answer.Failure == nil {
		return ""
	}
	return answer.Failure.Code
}
