package history

import (
	"slices"

	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// chain is what is known of a volume's snapshots and of what it was made from: all of sure
// are there, and some of maybe. What depends on other volumes, such as whether a snapshot
// has clones, is not known here and may be either way.
type chain struct {
	sure, maybe set // of snapshots
	source      volume.SnapshotKey
	loose       bool // a flatten that did not end well may have ended the being a clone
	readOnly    bool
	unknown     bool      // adopted with whatever the backend had
	half        certainty // whether a restore began and did not end
}

// certainty is how sure something is.
type certainty int

const (
	no certainty = iota
	perhaps
	yes
)

func newChain(args volume.Args) chain { return chain{source: args.Source, readOnly: args.ReadOnly} }

func (c chain) mayHave(name volume.SnapshotName) bool {
	return c.unknown || c.sure.has(string(name)) || c.maybe.has(string(name))
}

func (c chain) mustHave(name volume.SnapshotName) bool { return c.sure.has(string(name)) }

// with has the snapshot, and without has it not.
func (c chain) with(name volume.SnapshotName) chain {
	c.sure, c.maybe = c.sure.with(string(name)), c.maybe.without(string(name))
	return c
}

func (c chain) without(name volume.SnapshotName) chain {
	c.sure, c.maybe = c.sure.without(string(name)), c.maybe.without(string(name))
	return c
}

// open has the snapshot perhaps.
func (c chain) open(name volume.SnapshotName) chain {
	c.sure, c.maybe = c.sure.without(string(name)), c.maybe.with(string(name))
	return c
}

// lookedUp reports whether the command can be refused with that code for what the store of
// snapshots says, which comes before all else.
func (m model) lookedUp(c verify.Command, code volume.Code) bool {
	name := c.Args.Snapshot
	if c.Verb == volume.VerbCreate { // busy: the snapshot is being deleted
		return !c.Args.Source.IsZero() && (code == volume.ErrSnapshotNotFound || code == volume.ErrBackendBusy)
	}
	switch {
	case !m.exists():
		return false
	case c.Verb == volume.VerbSnapshot:
		return code == volume.ErrSnapshotExists && m.chain.mayHave(name)
	case c.Verb == volume.VerbDeleteSnapshot && code == volume.ErrSnapshotInUse:
		return m.chain.mayHave(name)
	case c.Verb == volume.VerbDeleteSnapshot, c.Verb == volume.VerbRestore:
		return code == volume.ErrSnapshotNotFound && !m.chain.mustHave(name)
	}
	return false
}

var (
	// writing are the verbs that a volume refuses which is read only.
	writing = []volume.Verb{volume.VerbResize, volume.VerbSnapshot, volume.VerbRestore}
	// wholeOnly are those that one refuses whose restore did not end.
	wholeOnly = []volume.Verb{volume.VerbAttach, volume.VerbSnapshot, volume.VerbResize}
)

// allowsChain reports whether the volume's snapshots and its source let the command get
// that code. Settled says that nothing else has to be looked at.
func (m model) allowsChain(c verify.Command, code volume.Code) (allowed, settled bool) {
	if m.chain.readOnly && slices.Contains(writing, c.Verb) {
		return code == volume.ErrReadOnlyVolume, true
	}
	if c.Verb == volume.VerbUnmanage {
		return m.chain.allowsUnmanage(code), true
	}
	if allowed, settled = m.allowsHalf(c, code); settled {
		return allowed, settled
	}
	switch c.Verb {
	case volume.VerbCreate:
		return m.allowsClone(c, code)
	case volume.VerbDelete:
		return m.chain.allowsDelete(code), true
	case volume.VerbFlatten:
		return m.chain.allowsFlatten(code), true
	case volume.VerbSnapshot:
		return code == "" && !m.chain.mustHave(c.Args.Snapshot), true
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		return code == "" && m.chain.mayHave(c.Args.Snapshot), true
	case volume.VerbAttach:
		return code == volume.ErrReadOnlyVolume, m.chain.readOnly && m.state == volume.StateAvailable && c.Args.Mode != volume.ReadOnly
	}
	return false, false
}

// allowsHalf is for a volume whose restore did not end, or perhaps did not.
func (m model) allowsHalf(c verify.Command, code volume.Code) (allowed, settled bool) {
	concerns := slices.Contains(wholeOnly, c.Verb)
	if code == volume.ErrHalfRestored {
		return concerns && m.chain.half != no, true
	}
	return false, concerns && m.chain.half == yes
}

// allowsClone is for a create; the size of a clone is another volume's.
func (m model) allowsClone(c verify.Command, code volume.Code) (allowed, settled bool) {
	switch code {
	case "":
		allowed = true
	case volume.ErrInvalidSize:
		allowed = c.Args.Size != 0
	case volume.ErrInvalidArgument:
		allowed = c.Args.Source.Volume == c.Key.Name
	}
	return allowed, !c.Args.Source.IsZero()
}

func (c chain) allowsDelete(code volume.Code) bool {
	if code == volume.ErrHasSnapshots {
		return c.unknown || c.sure.size()+c.maybe.size() > 0
	}
	return code == "" && c.sure.size() == 0
}

// allowsUnmanage is for a volume that has to be whole, and nobody's source or clone.
func (c chain) allowsUnmanage(code volume.Code) bool {
	switch code {
	case volume.ErrIsAClone:
		return c.unknown || !c.source.IsZero()
	case volume.ErrHalfRestored:
		return c.half != no
	case "":
		return c.allowsDelete("") && c.half != yes && (c.unknown || c.loose || c.source.IsZero())
	}
	return c.allowsDelete(code)
}

func (c chain) allowsFlatten(code volume.Code) bool {
	if code == volume.ErrNotAClone {
		return c.unknown || c.source.IsZero() || c.loose
	}
	return code == "" && (c.unknown || !c.source.IsZero())
}

// long are operations that may tell of their progress any number of times.
var long = []volume.Verb{volume.VerbRestore, volume.VerbFlatten}

// chained returns the volume after an operation about a snapshot, or about its source, has
// ended well, and false if that cannot have come about.
func (m model) chained(c verify.Command, from volume.State) (model, bool) {
	switch c.Verb {
	case volume.VerbSnapshot:
		m.chain = m.chain.with(c.Args.Snapshot)
	case volume.VerbDeleteSnapshot:
		m.chain = m.chain.without(c.Args.Snapshot)
	case volume.VerbFlatten:
		m.chain.source, m.chain.loose = volume.SnapshotKey{}, false
	case volume.VerbRestore:
		m.chain.half = no
		m.minSize, m.maxSize = 0, unknownSize // that of the snapshot
	default:
		return m, false
	}
	return m, m.state == from
}

// unchained returns what is known after the operation did not end well.
func (c chain) unchained(of verify.Command, code volume.Code) chain {
	switch {
	case of.Verb == volume.VerbSnapshot && !c.mustHave(of.Args.Snapshot):
		return c.open(of.Args.Snapshot)
	case of.Verb == volume.VerbDeleteSnapshot && code != volume.ErrSnapshotInUse && c.mustHave(of.Args.Snapshot):
		return c.open(of.Args.Snapshot)
	case of.Verb == volume.VerbRestore:
		c.half = max(c.half, perhaps)
	case of.Verb == volume.VerbFlatten:
		c.loose = true
	}
	return c
}

// givenUpInPlace reports whether the operation leaves the volume where it began also when
// it was given up or refused.
func givenUpInPlace(c verify.Command, code volume.Code) bool {
	switch c.Verb {
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbFlatten:
		return true
	case volume.VerbRestore, volume.VerbDelete, volume.VerbUnmanage:
		return code.Class() == volume.Busy || code.Class() == volume.FailedPrecondition
	}
	return false
}
