package verify

import (
	"reflect"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// Answers checks that every command was answered and ended exactly once:
//
//   - an ordinary command has one final event, whose content is what the answer said,
//     and the stored outcome is that answer too. A cancel that succeeded has no event
//     of its own: its answer is in the stored outcome and in its target's final event.
//     If nobody waited for the answer, event and stored outcome must be there still;
//   - a validate_only command leaves no event and no outcome;
//   - a malformed command leaves no event, a dead letter and a refusal as its answer.
//
// An event of a command that nobody gave is a fault as well.
func Answers(e Evidence) []Fault {
	var r report
	w := witnessesOf(e)
	known := map[commandKey]bool{}
	for _, c := range e.Commands {
		id := commandKey{c.Key, c.ID}
		known[id] = true
		if missing := c.Asked - len(c.Answers); missing > 0 {
			r.add(Lost, c.Key, "command %s (%s): asked %d times, %d answers missing", c.ID, c.Verb, c.Asked, missing)
		}
		switch c.Kind {
		case ValidateOnly:
			r.untraced(c, w.events[id], w.outcomes[id])
		case Malformed:
			r.untraced(c, w.events[id], w.outcomes[id])
			r.buried(c, e.DeadLetters[c.ID])
		default:
			r.endedOnce(c, w.finals[id], w.outcomes[id])
		}
	}
	for _, t := range e.Transitions {
		if !known[commandKey{t.Key, t.CommandID}] {
			r.add(Disagreement, t.Key, "event %s: of command %s, which nobody gave", t.ID, t.CommandID)
		}
	}
	return r.faults
}

// witnesses is what events and buckets say of each command.
type witnesses struct {
	events   map[commandKey]int
	finals   map[commandKey][]volume.Transition
	outcomes map[commandKey][]volume.Outcome
}

func witnessesOf(e Evidence) witnesses {
	w := witnesses{
		events:   map[commandKey]int{},
		finals:   map[commandKey][]volume.Transition{},
		outcomes: map[commandKey][]volume.Outcome{},
	}
	for _, t := range e.Transitions {
		id := commandKey{t.Key, t.CommandID}
		w.events[id]++
		if t.Final {
			w.finals[id] = append(w.finals[id], t)
		}
	}
	add := func(key volume.Key, outcomes []volume.Outcome) {
		for _, outcome := range outcomes {
			id := commandKey{key, outcome.CommandID}
			w.outcomes[id] = append(w.outcomes[id], outcome)
		}
	}
	for key, record := range e.Records {
		add(key, record.Outcomes)
	}
	for key, outcomes := range e.Outcomes {
		add(key, outcomes)
	}
	return w
}

// endedOnce checks an ordinary command: its answer against its final events and its
// stored outcomes.
func (r *report) endedOnce(c Command, finals []volume.Transition, outcomes []volume.Outcome) {
	if len(finals) > 1 {
		r.add(Doubled, c.Key, "command %s (%s): %d final events, %s and %s", c.ID, c.Verb, len(finals), finals[0].ID, finals[1].ID)
	}
	answer, answered := c.Answer(outcomes)
	if !answered {
		if c.Accepted {
			r.add(Lost, c.Key, "command %s (%s): accepted, no outcome (%d final events)", c.ID, c.Verb, len(finals))
		}
		return // of an asked one the missing answer is told already
	}
	r.told(c, answer, finals)
	r.stored(c, answer, outcomes)
}

// told checks an answer against the command's final event.
func (r *report) told(c Command, answer commands.Reply, finals []volume.Transition) {
	eventless := c.Verb == volume.VerbCancel && answer.Outcome == volume.Succeeded
	switch {
	case eventless && len(finals) > 0:
		r.add(Doubled, c.Key, "command %s: a successful cancel with event %s of its own", c.ID, finals[0].ID)
	case eventless:
	case len(finals) == 0:
		r.add(Lost, c.Key, "command %s (%s): answered %s, no final event", c.ID, c.Verb, answer.Outcome)
	case !sameAnswer(replyOf(finals[0]), answer):
		r.add(Disagreement, c.Key, "command %s (%s): answer %s, event %s", c.ID, c.Verb, brief(answer), brief(replyOf(finals[0])))
	}
}

// stored checks an answer against the command's stored outcomes. There may be two equal
// ones: an answer goes to the bucket before the record lets go of it.
func (r *report) stored(c Command, answer commands.Reply, outcomes []volume.Outcome) {
	if len(outcomes) == 0 {
		r.add(Lost, c.Key, "command %s (%s): answered %s, no stored outcome", c.ID, c.Verb, answer.Outcome)
	}
	for _, outcome := range outcomes {
		if want := commands.NewReply(c.Key, outcome, false); !sameAnswer(want, answer) {
			r.add(Disagreement, c.Key, "command %s (%s): answer %s, stored outcome %s", c.ID, c.Verb, brief(answer), brief(want))
		}
	}
}

// untraced checks that a command that must not change anything did not.
func (r *report) untraced(c Command, events int, outcomes []volume.Outcome) {
	if events > 0 || len(outcomes) > 0 {
		r.add(Disagreement, c.Key, "command %s (%s, %s): left %d events and %d outcomes", c.ID, c.Verb, c.Kind, events, len(outcomes))
	}
}

// buried checks that a malformed command was refused and kept for its publisher.
func (r *report) buried(c Command, letters int) {
	if letters == 0 {
		r.add(Lost, c.Key, "command %s (%s): malformed, no dead letter", c.ID, c.Verb)
	}
	for _, answer := range c.Answers {
		if answer.Outcome != volume.Rejected || answer.Failure == nil || answer.Failure.Class != volume.InvalidArgument {
			r.add(Disagreement, c.Key, "command %s (%s): malformed, answer %s", c.ID, c.Verb, brief(answer))
		}
	}
}

// replyOf returns the answer that a final event stands for.
func replyOf(t volume.Transition) commands.Reply {
	outcome := volume.Outcome{
		CommandID: t.CommandID, Verb: t.Verb, Result: resultOf(t),
		Generation: t.Generation, VolumeID: t.VolumeID, Failure: t.Failure, Eviction: t.Eviction,
		Snapshot: t.Snapshot, Image: t.Image,
	}
	if t.VolumeID != "" { // a volume that never was has no state
		outcome.State = t.To
	}
	return commands.NewReply(t.Key, outcome, false)
}

// resultOf returns how a command has ended whose final event is t. A drift that an attach has
// found is its failure; one that a reconcile has found is what it was for.
func resultOf(t volume.Transition) volume.Result {
	switch t.Event {
	case volume.EventRejected:
		return volume.Rejected
	case volume.EventFail, volume.EventCancelled, volume.EventRefused:
		return volume.Failed
	case volume.EventDrifted:
		if t.Verb != volume.VerbReconcile {
			return volume.Failed
		}
		return volume.Succeeded
	default:
		return volume.Succeeded
	}
}

// sameAnswer compares all of two answers but whether they are repeats.
func sameAnswer(a, b commands.Reply) bool {
	a.Repeat, b.Repeat = false, false
	return reflect.DeepEqual(a, b)
}
