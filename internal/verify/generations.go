package verify

import (
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// Generations checks that the transitions of each volume are numbered 1, 2, 3 … on the
// stream without a gap or a double, that each begins in the state in which the one
// before it ended, that the state machine allows it, and that it tells of nodes that may
// hold the volume in that state. A rejected event takes no generation: it tells the one
// that it found.
func Generations(e Evidence) []Fault {
	var r report
	all := e.transitionsByVolume()
	for _, key := range sortedKeys(all) {
		r.chain(key, all[key])
	}
	return r.faults
}

func (r *report) chain(key volume.Key, transitions []volume.Transition) {
	state, generation := volume.StatePending, uint64(0)
	seen := map[string]bool{}
	for _, t := range transitions {
		if seen[t.ID] {
			r.add(Doubled, key, "event %s twice", t.ID)
			continue
		}
		seen[t.ID] = true
		if t.Event == volume.EventRejected {
			if t.Generation != generation || t.From != state || t.To != state {
				r.add(Disagreement, key, "event %s: %s → %s at generation %d, the volume is %s at %d", t.ID, t.From, t.To, t.Generation, state, generation)
			}
			continue
		}
		r.link(t, state, generation)
		r.held(t)
		state, generation = t.To, max(generation, t.Generation)
	}
}

// link checks one transition against where the one before it ended.
func (r *report) link(t volume.Transition, state volume.State, generation uint64) {
	switch {
	case t.Generation <= generation:
		r.add(Doubled, t.Key, "event %s (%s): generation %d after %d", t.ID, t.Event, t.Generation, generation)
	case t.Generation > generation+1:
		r.add(Lost, t.Key, "event %s (%s): generation %d after %d", t.ID, t.Event, t.Generation, generation)
	}
	if t.From != state {
		r.add(Disagreement, t.Key, "event %s (%s): from %s, the volume was %s", t.ID, t.Event, t.From, state)
	}
	if !fsm.CanTransition(t.From, t.Event) {
		r.add(Disagreement, t.Key, "event %s: the state machine has no %s from %s", t.ID, t.Event, t.From)
	}
}

// held checks who holds the volume after one transition.
func (r *report) held(t volume.Transition) {
	holders := t.Spec.Attachments
	if err := holders.Validate(); err != nil {
		r.add(Disagreement, t.Key, "event %s (%s): holders that cannot be: %v", t.ID, t.Event, err)
	}
	if t.To == volume.StateAttached && len(holders) == 0 || t.To == volume.StateAvailable && len(holders) > 0 {
		r.add(Disagreement, t.Key, "event %s (%s): %s held by %s", t.ID, t.Event, t.To, holders)
	}
}
