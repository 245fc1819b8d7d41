package history

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func goneOf(node volume.Node) volume.Args { return volume.Args{Node: node, Reason: "a drill"} }

// gone is a history of nodes that were declared gone.
func gone() []call {
	in := func(state volume.State, c call) call { c.volume, c.state = first, state; return c }
	succeeded := volume.Succeeded
	return []call{
		in(volume.StateAvailable, call{id: "c01", verb: volume.VerbCreate, args: mib, from: 1, to: 2, outcome: succeeded, generation: 2}),
		in(volume.StateAvailable, call{id: "c02", verb: volume.VerbNodeGone, args: goneOf("n1"), from: 3, to: 4, outcome: succeeded, generation: 4}),
		in(volume.StateAttached, call{id: "c03", verb: volume.VerbAttach, args: r1, from: 5, to: 6, outcome: succeeded, generation: 6}),
		in(volume.StateAttached, call{id: "c04", verb: volume.VerbAttach, args: r2, from: 7, to: 8, outcome: succeeded, generation: 8}),
		// A reader goes, one that holds nothing, and the last one, whose detach it ends.
		in(volume.StateAttached, call{id: "c05", verb: volume.VerbNodeGone, args: goneOf("n1"), from: 9, to: 10, outcome: succeeded, generation: 10}),
		in(volume.StateAttached, call{id: "c06", verb: volume.VerbNodeGone, args: goneOf("n3"), from: 11, to: 12, outcome: succeeded, generation: 12}),
		in(volume.StateAttached, call{id: "c07", verb: volume.VerbDetach, args: off("n2"), from: 13, to: 16, outcome: volume.Failed, code: volume.ErrCancelled, generation: 15}),
		in(volume.StateAvailable, call{id: "c08", verb: volume.VerbNodeGone, args: goneOf("n2"), from: 14, to: 17, outcome: succeeded, generation: 17}),
		// One that fails, and comes again.
		in(volume.StateAttached, call{id: "c09", verb: volume.VerbAttach, args: n1, from: 18, to: 19, outcome: succeeded, generation: 19}),
		in(volume.StateError, call{id: "c10", verb: volume.VerbNodeGone, args: goneOf("n1"), from: 20, to: 21, outcome: volume.Failed, code: volume.ErrBackendInternal, generation: 22}),
		in(volume.StateAvailable, call{id: "c11", verb: volume.VerbNodeGone, args: goneOf("n1"), from: 22, to: 23, outcome: succeeded, generation: 24}),
		in(volume.StateAttached, call{id: "c12", verb: volume.VerbAttach, args: n2, from: 24, to: 25, outcome: succeeded, generation: 26}),
	}
}

func TestCheck_GoneHistory_NoFault(t *testing.T) {
	if result := mustCheck(t, gone()); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
}

func TestCheck_GoneHistory_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]func(calls []call){
		"the other reader went too":      func(calls []call) { calls[4].state = volume.StateAvailable },
		"the writer of another node":     func(calls []call) { calls[5].state = volume.StateAvailable },
		"the last reader stayed":         func(calls []call) { calls[7].state = volume.StateAttached },
		"nobody held it, and now it is":  func(calls []call) { calls[1].state = volume.StateAttached },
		"no transition of its own":       func(calls []call) { calls[1].generation = 3 },
		"still in error after a success": func(calls []call) { calls[10].state = volume.StateError },
		"refused where it is taken up": func(calls []call) {
			calls[11].verb, calls[11].outcome, calls[11].code = volume.VerbNodeGone, volume.Rejected, volume.ErrInvalidTransition
			calls[11].state, calls[11].generation = volume.StateAvailable, 24
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := gone()
			plant(calls)
			if result := mustCheck(t, calls); len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "no order") {
				t.Errorf("got %v, want one fault", result.Faults)
			}
		})
	}
}
