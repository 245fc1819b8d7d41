package history

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

var (
	r1 = volume.Args{Node: "n1", Mode: volume.ReadOnly}
	r2 = volume.Args{Node: "n2", Mode: volume.ReadOnly}
	r3 = volume.Args{Node: "n3", Mode: volume.ReadOnly}
)

func off(node volume.Node) volume.Args { return volume.Args{Node: node} }

// shared is a history of nodes that read one volume together.
func shared() []call {
	attached := func(c call) call { c.volume, c.state = first, volume.StateAttached; return c }
	available := func(c call) call { c.volume, c.state = first, volume.StateAvailable; return c }
	return []call{
		{id: "c01", verb: volume.VerbCreate, args: mib, from: 1, to: 2, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 2},
		// Two readers and a writer at the same time; the writer came last.
		attached(call{id: "c02", verb: volume.VerbAttach, args: r1, from: 3, to: 6, outcome: volume.Succeeded, generation: 4}),
		attached(call{id: "c03", verb: volume.VerbAttach, args: r2, from: 3, to: 6, outcome: volume.Succeeded, generation: 6}),
		attached(call{id: "c04", verb: volume.VerbAttach, args: n2, from: 3, to: 6, outcome: volume.Rejected, code: volume.ErrInvalidTransition, generation: 6}),
		attached(call{id: "c05", verb: volume.VerbAttach, args: r1, from: 7, to: 8, outcome: volume.Rejected, code: volume.ErrInvalidTransition, generation: 6}),
		attached(call{id: "c06", verb: volume.VerbDetach, from: 7, to: 8, outcome: volume.Rejected, code: volume.ErrNodeRequired, generation: 6}),
		attached(call{id: "c07", verb: volume.VerbDetach, args: off("n3"), from: 7, to: 8, outcome: volume.Rejected, code: volume.ErrNodeMismatch, generation: 6}),
		// A share that was cancelled: nobody said whether n3 got it, until its detach.
		attached(call{id: "c08", verb: volume.VerbAttach, args: r3, from: 9, to: 11, outcome: volume.Failed, code: volume.ErrCancelled, generation: 9}),
		attached(call{id: "c09", verb: volume.VerbCancel, args: volume.Args{Target: "c08"}, from: 10, to: 11, outcome: volume.Succeeded, generation: 9}),
		attached(call{id: "c10", verb: volume.VerbDetach, args: off("n3"), from: 12, to: 13, outcome: volume.Succeeded, generation: 11}),
		// The readers go one by one.
		attached(call{id: "c11", verb: volume.VerbDetach, args: off("n1"), from: 14, to: 15, outcome: volume.Succeeded, generation: 13}),
		available(call{id: "c12", verb: volume.VerbDetach, from: 16, to: 17, outcome: volume.Succeeded, generation: 15}),
		attached(call{id: "c13", verb: volume.VerbAttach, args: n1, from: 18, to: 19, outcome: volume.Succeeded, generation: 17}),
		attached(call{id: "c14", verb: volume.VerbAttach, args: r2, from: 20, to: 21, outcome: volume.Rejected, code: volume.ErrInvalidTransition, generation: 17}),
	}
}

func TestCheck_SharedHistory_NoFault(t *testing.T) {
	if result := mustCheck(t, shared()); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
	// The other end of the cancelled share: n3 did not get it.
	calls := shared()
	calls[9].outcome, calls[9].code, calls[9].generation = volume.Rejected, volume.ErrNodeMismatch, 9
	for i := range calls[10:] {
		calls[10+i].generation -= 2
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("without n3: got %v, want none", result.Faults)
	}
	// A detach that was cancelled after it was done.
	calls = shared()
	calls[10].outcome, calls[10].code, calls[10].generation = volume.Failed, volume.ErrCancelled, 14
	for i := range calls[11:] {
		calls[11+i].generation++
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("with a cancelled detach: got %v, want none", result.Faults)
	}
}

func TestCheck_PlantedViolationOfReaders_IsFound(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(calls []call) []call
	}{
		{"a writer came in beside readers", func(calls []call) []call {
			calls[3].outcome, calls[3].code, calls[3].generation = volume.Succeeded, "", 8
			return calls[:4]
		}},
		{"a reader came in beside a writer", func(calls []call) []call {
			calls[13].outcome, calls[13].code, calls[13].generation = volume.Succeeded, "", 19
			return calls
		}},
		{"a reader came in twice", func(calls []call) []call {
			calls[4].outcome, calls[4].code, calls[4].generation = volume.Succeeded, "", 8
			return calls[:5]
		}},
		{"a reader was refused beside a reader", func(calls []call) []call {
			calls[2].outcome, calls[2].code, calls[2].generation = volume.Rejected, volume.ErrInvalidTransition, 4
			return calls[:3]
		}},
		{"a detach without a node took one of two", func(calls []call) []call {
			calls[5].outcome, calls[5].code, calls[5].generation = volume.Succeeded, "", 8
			return calls[:6]
		}},
		{"a detach without a node took both", func(calls []call) []call {
			calls[5].outcome, calls[5].code, calls[5].generation, calls[5].state = volume.Succeeded, "", 8, volume.StateAvailable
			return calls[:6]
		}},
		{"a detach of one took both", func(calls []call) []call {
			calls[10].state = volume.StateAvailable
			return calls[:11]
		}},
		{"a detach of one lost the other", func(calls []call) []call {
			calls[11].outcome, calls[11].code, calls[11].generation = volume.Rejected, volume.ErrInvalidTransition, 13
			calls[11].state = volume.StateAttached
			return calls[:12]
		}},
		{"the last detach left somebody", func(calls []call) []call {
			calls[11].args, calls[11].state = off("n2"), volume.StateAttached
			return calls[:12]
		}},
		{"a node was required where one holds it", func(calls []call) []call {
			calls[11].outcome, calls[11].code, calls[11].generation = volume.Rejected, volume.ErrNodeRequired, 13
			calls[11].state = volume.StateAttached
			return calls[:12]
		}},
		{"a reader was not known", func(calls []call) []call {
			calls[6].args = off("n2")
			return calls
		}},
		{"a node that never came was detached", func(calls []call) []call {
			calls[9].args = off("n4")
			return calls
		}},
		{"a cancelled share freed the volume", func(calls []call) []call {
			calls[7].state, calls[8].state = volume.StateAvailable, volume.StateAvailable
			return calls[:9]
		}},
		{"a cancelled detach of one of two freed the volume", func(calls []call) []call {
			calls[10].outcome, calls[10].code, calls[10].generation, calls[10].state = volume.Failed, volume.ErrCancelled, 14, volume.StateAvailable
			return calls[:11]
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := mustCheck(t, test.plant(shared()))
			if len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "no order") {
				t.Errorf("got %v, want one fault", result.Faults)
			}
		})
	}
}
