package history

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// imagesTakenIn is a name under which images are taken in: one that is not there, one that goes
// before it is taken, one that is taken in while that is cancelled, and one that is.
func imagesTakenIn() []call {
	const again, third = volume.ID("default.db-01.4"), volume.ID("default.db-01.9")
	image := volume.Args{Image: "web-disk"}
	return []call{
		{id: "i01", verb: volume.VerbAdopt, args: image, from: 1, to: 2, outcome: volume.Rejected, code: volume.ErrBackendNotFound},
		{id: "i02", verb: volume.VerbAdopt, args: image, from: 3, to: 4, outcome: volume.Failed, code: volume.ErrBackendPrecondition, volume: first, state: volume.StatePending, generation: 3},
		{id: "i03", verb: volume.VerbAdopt, args: image, from: 5, to: 6, outcome: volume.Failed, code: volume.ErrCancelled, volume: again, state: volume.StateAvailable, generation: 6},
		{id: "i04", verb: volume.VerbDelete, from: 7, to: 8, outcome: volume.Succeeded, volume: again, state: volume.StateDeleted, generation: 8},
		{id: "i05", verb: volume.VerbAdopt, args: image, from: 9, to: 10, outcome: volume.Succeeded, volume: third, state: volume.StateAvailable, generation: 10},
		{id: "i06", verb: volume.VerbAdopt, args: image, from: 11, to: 12, outcome: volume.Rejected, code: volume.ErrVolumeExists, volume: third, state: volume.StateAvailable, generation: 10},
	}
}

func TestCheck_AdoptImage_NoFault(t *testing.T) {
	if result := mustCheck(t, imagesTakenIn()); len(result.Faults) > 0 {
		t.Errorf("got faults %v", result.Faults)
	}
}

func TestCheck_AdoptImage_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]struct {
		id     volume.CommandID
		change func(*call)
	}{
		"a refusal broke the volume": {"i02", func(c *call) { c.state = volume.StateAttached }},
		"it has the id of an object": {"i05", func(c *call) { c.volume = second }},
		"it went without a step":     {"i05", func(c *call) { c.generation = 9 }},
		"it is on a node":            {"i05", func(c *call) { c.state = volume.StateAttached }},
		"it was taken over another": {"i06", func(c *call) {
			c.outcome, c.code, c.volume, c.generation = volume.Succeeded, "", "default.db-01.11", 12
		}},
		"it has a snapshot": {"i06", func(c *call) {
			c.verb, c.args, c.outcome, c.code = volume.VerbDelete, volume.Args{}, volume.Rejected, volume.ErrHasSnapshots
		}},
	} {
		t.Run(name, func(t *testing.T) {
			calls := imagesTakenIn()
			at := slices.IndexFunc(calls, func(c call) bool { return c.id == plant.id })
			plant.change(&calls[at])
			if result := mustCheck(t, calls[:at+1]); len(result.Faults) == 0 {
				t.Error("got no fault")
			}
		})
	}
}
