package history

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// released is a volume that is let go of once nothing stands in the way, and whose name lives
// again, as a clone.
func released() []call {
	const again = volume.ID("default.db-01.9")
	clone := volume.Args{Size: volume.MiB, Source: volume.SnapshotKey{Volume: "base-01", Snapshot: "gold"}}
	return []call{
		{id: "u01", verb: volume.VerbUnmanage, from: 1, to: 2, outcome: volume.Rejected, code: volume.ErrVolumeNotFound},
		{id: "u02", verb: volume.VerbCreate, args: mib, from: 3, to: 4, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 2},
		{id: "u03", verb: volume.VerbSnapshot, args: volume.Args{Snapshot: "monday"}, from: 5, to: 6, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 4},
		{id: "u04", verb: volume.VerbUnmanage, from: 7, to: 8, outcome: volume.Rejected, code: volume.ErrHasSnapshots, volume: first, state: volume.StateAvailable, generation: 4},
		{id: "u05", verb: volume.VerbDeleteSnapshot, args: volume.Args{Snapshot: "monday"}, from: 9, to: 10, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 6},
		{id: "u06", verb: volume.VerbUnmanage, from: 11, to: 12, outcome: volume.Succeeded, volume: first, state: volume.StateDeleted, generation: 8},
		{id: "u07", verb: volume.VerbCreate, args: clone, from: 13, to: 14, outcome: volume.Succeeded, volume: again, state: volume.StateAvailable, generation: 10},
		{id: "u08", verb: volume.VerbUnmanage, from: 15, to: 16, outcome: volume.Rejected, code: volume.ErrIsAClone, volume: again, state: volume.StateAvailable, generation: 10},
		{id: "u09", verb: volume.VerbFlatten, from: 17, to: 18, outcome: volume.Succeeded, volume: again, state: volume.StateAvailable, generation: 12},
		{id: "u10", verb: volume.VerbUnmanage, from: 19, to: 20, outcome: volume.Failed, code: volume.ErrBackendPrecondition, volume: again, state: volume.StateAvailable, generation: 15},
		{id: "u11", verb: volume.VerbUnmanage, from: 21, to: 22, outcome: volume.Failed, code: volume.ErrCancelled, volume: again, state: volume.StateDeleted, generation: 18},
	}
}

func TestCheck_Unmanage_NoFault(t *testing.T) {
	if result := mustCheck(t, released()); len(result.Faults) > 0 {
		t.Errorf("got faults %v", result.Faults)
	}
}

func TestCheck_Unmanage_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]struct {
		id     volume.CommandID
		change func(*call)
	}{
		"one with a snapshot went": {"u04", func(c *call) {
			c.outcome, c.code, c.state, c.generation = volume.Succeeded, "", volume.StateDeleted, 6
		}},
		"one without a snapshot has some": {"u06", func(c *call) {
			c.outcome, c.code, c.state, c.generation = volume.Rejected, volume.ErrHasSnapshots, volume.StateAvailable, 6
		}},
		"it stayed": {"u06", func(c *call) { c.state = volume.StateAvailable }},
		"a clone went": {"u08", func(c *call) {
			c.outcome, c.code, c.state, c.generation = volume.Succeeded, "", volume.StateDeleted, 12
		}},
		"what was none is one": {"u06", func(c *call) {
			c.outcome, c.code, c.state, c.generation = volume.Rejected, volume.ErrIsAClone, volume.StateAvailable, 6
		}},
		"a refusal took it away": {"u10", func(c *call) { c.state = volume.StateDeleted }},
		"it went without a step": {"u06", func(c *call) { c.generation = 7 }},
	} {
		t.Run(name, func(t *testing.T) {
			calls := released()
			at := slices.IndexFunc(calls, func(c call) bool { return c.id == plant.id })
			plant.change(&calls[at])
			if result := mustCheck(t, calls[:at+1]); len(result.Faults) == 0 {
				t.Error("got no fault")
			}
		})
	}
}
