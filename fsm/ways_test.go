package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// way leads a volume into a state: what is carried out first, what is then begun, and
// whether that fails.
type way struct {
	done  []volume.Verb
	begun volume.Verb
	fails error
}

var (
	made     = []volume.Verb{volume.VerbCreate}
	attached = []volume.Verb{volume.VerbCreate, volume.VerbAttach}
	kept     = []volume.Verb{volume.VerbCreate, volume.VerbSnapshot}
)

var ways = map[volume.State]way{
	volume.StatePending:            {},
	volume.StateCreating:           {nil, volume.VerbCreate, nil},
	volume.StateCreatingFailed:     {nil, volume.VerbCreate, errBusy},
	volume.StateAvailable:          {made, "", nil},
	volume.StateAttaching:          {made, volume.VerbAttach, nil},
	volume.StateAttachingFailed:    {made, volume.VerbAttach, errBusy},
	volume.StateAttached:           {attached, "", nil},
	volume.StateDetaching:          {attached, volume.VerbDetach, nil},
	volume.StateDetachingFailed:    {attached, volume.VerbDetach, errBusy},
	volume.StateDeleting:           {made, volume.VerbDelete, nil},
	volume.StateDeletingFailed:     {made, volume.VerbDelete, errBusy},
	volume.StateDeleted:            {[]volume.Verb{volume.VerbCreate, volume.VerbDelete}, "", nil},
	volume.StateError:              {nil, volume.VerbCreate, errBroken}, // and given up
	volume.StateExtending:          {made, volume.VerbResize, nil},
	volume.StateExtendingFailed:    {made, volume.VerbResize, errBusy},
	volume.StateEvicting:           {attached, volume.VerbNodeGone, nil},
	volume.StateEvictingFailed:     {attached, volume.VerbNodeGone, errBusy},
	volume.StateSnapshotting:       {made, volume.VerbSnapshot, nil},
	volume.StateSnapshottingFailed: {made, volume.VerbSnapshot, errBusy},
	volume.StatePruning:            {kept, volume.VerbDeleteSnapshot, nil},
	volume.StatePruningFailed:      {kept, volume.VerbDeleteSnapshot, errBusy},
	volume.StateRestoring:          {kept, volume.VerbRestore, nil},
	volume.StateRestoringFailed:    {kept, volume.VerbRestore, errBusy},
	volume.StateFlattening:         {made, volume.VerbFlatten, nil},
	volume.StateFlatteningFailed:   {made, volume.VerbFlatten, errBusy},
}

// in returns a story whose volume has come to the given state by real steps. It is a clone
// in the states that only a clone has.
func in(t testing.TB, state volume.State) *story {
	t.Helper()
	s := newStory(t)
	if ways[state].begun == volume.VerbFlatten {
		s.make = cloned
	}
	return s.goTo(state)
}

// cloneIn is in for a volume that is a clone in every state.
func cloneIn(t testing.TB, state volume.State) *story {
	t.Helper()
	s := newStory(t)
	s.make = cloned
	return s.goTo(state)
}

func (s *story) goTo(state volume.State) *story {
	s.t.Helper()
	to, known := ways[state]
	if !known {
		s.t.Fatalf("no way leads to %s", state)
	}
	for _, verb := range to.done {
		s.run(verb)
	}
	if to.begun != "" {
		s.begin(to.begun)
	}
	if to.fails != nil {
		s.fail(to.fails)
	}
	if state == volume.StateError {
		s.giveUp()
	}
	if s.record.State != state {
		s.t.Fatalf("got state %s, want %s", s.record.State, state)
	}
	return s
}

// keptSize is the size of every snapshot that a command names.
const keptSize = volume.GiB

// cloned makes a clone of the source.
var (
	source = volume.SnapshotKey{Volume: "base-01", Snapshot: "gold"}
	cloned = volume.Args{Source: source, Labels: volume.Labels{"team": "db"}}
)
