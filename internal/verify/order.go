package verify

import "github.com/jetvol/jetvol/volume"

// Order checks that the commands of each volume took effect in the order in which they
// were published: along its events the command stream's sequence never goes down.
func Order(e Evidence) []Fault {
	var r report
	latest := map[volume.Key]volume.Transition{}
	for _, t := range e.Transitions {
		last := latest[t.Key]
		if t.CommandSequence < last.CommandSequence {
			r.add(Reordered, t.Key, "event %s: command %s at sequence %d after %s at %d",
				t.ID, t.CommandID, t.CommandSequence, last.CommandID, last.CommandSequence)
			continue
		}
		latest[t.Key] = t
	}
	return r.faults
}
