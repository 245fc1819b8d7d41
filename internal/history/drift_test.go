package history

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// drifting is a volume that a reconcile finds gone, whose record goes for that, and which is
// adopted when it is back, held and with snapshots by then.
func drifting() []call {
	const other = volume.ID("default.db-01.77")
	return []call{
		{id: "d01", verb: volume.VerbAdopt, from: 1, to: 2, outcome: volume.Rejected, code: volume.ErrBackendNotFound},
		{id: "d02", verb: volume.VerbCreate, args: mib, from: 3, to: 4, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 2},
		{id: "d03", verb: volume.VerbAdopt, from: 5, to: 6, outcome: volume.Rejected, code: volume.ErrVolumeExists, volume: first, state: volume.StateAvailable, generation: 2},
		{id: "d04", verb: volume.VerbReconcile, from: 7, to: 8, outcome: volume.Succeeded, volume: first, state: volume.StateDeleted, generation: 3},
		{id: "d05", verb: volume.VerbAdopt, from: 9, to: 10, outcome: volume.Valid, validates: true, volume: first, state: volume.StateDeleted, generation: 3},
		{id: "d06", verb: volume.VerbAdopt, from: 11, to: 12, outcome: volume.Succeeded, volume: other, state: volume.StateAttached, generation: 4},
		{id: "d07", verb: volume.VerbDeleteSnapshot, args: volume.Args{Snapshot: "old"}, from: 13, to: 14, outcome: volume.Succeeded, volume: other, state: volume.StateAttached, generation: 6},
		{id: "d08", verb: volume.VerbDetach, args: volume.Args{Node: "n7"}, from: 15, to: 16, outcome: volume.Succeeded, volume: other, state: volume.StateAvailable, generation: 8},
		{id: "d09", verb: volume.VerbReconcile, args: volume.Args{Believe: volume.BelieveBackend}, from: 17, to: 18, outcome: volume.Succeeded, volume: other, state: volume.StateAttached, generation: 9},
		{id: "d10", verb: volume.VerbDetach, from: 19, to: 20, outcome: volume.Succeeded, volume: other, state: volume.StateAvailable, generation: 11},
		// An attach finds the volume on a node that nobody asked for.
		{id: "d11", verb: volume.VerbAttach, args: n1, from: 21, to: 22, outcome: volume.Failed, code: volume.ErrBackendPrecondition, volume: other, state: volume.StateError, generation: 14},
		{id: "d12", verb: volume.VerbReconcile, from: 23, to: 24, outcome: volume.Succeeded, volume: other, state: volume.StateError, generation: 15},
	}
}

func TestCheck_Drift_NoFault(t *testing.T) {
	if result := mustCheck(t, drifting()); len(result.Faults) > 0 {
		t.Errorf("got faults %v", result.Faults)
	}
}

func TestCheck_Drift_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]struct {
		id     volume.CommandID
		change func(*call)
	}{
		"adopted beside a volume":           {"d03", func(c *call) { c.outcome, c.code, c.generation = volume.Succeeded, "", 3 }},
		"adopted in two steps":              {"d06", func(c *call) { c.generation++ }},
		"adopted into a state of no object": {"d06", func(c *call) { c.state = volume.StatePending }},
		"a reconcile attached it":           {"d09", func(c *call) { c.args.Believe = "" }},
		"a reconcile of two steps":          {"d04", func(c *call) { c.generation++ }},
		"adopted, and told as the old life": {"d07", func(c *call) { c.volume = first }},
		"refused for what it did not ask":   {"d01", func(c *call) { c.code = volume.ErrHasSnapshots }},
	} {
		calls := drifting()
		at := slices.IndexFunc(calls, func(c call) bool { return c.id == plant.id })
		plant.change(&calls[at])
		if result := mustCheck(t, calls); len(result.Faults) == 0 {
			t.Errorf("%s: not seen", name)
		}
	}
}
