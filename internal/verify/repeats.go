package verify

import (
	"fmt"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// Repeats checks that a command which came again got its first answer again, was
// carried out for one of its publishers at most, and that another command under its ID
// was refused as a reuse. A validate_only command may be answered differently each time.
func Repeats(e Evidence) []Fault {
	var r report
	for _, c := range e.Commands {
		if c.Kind == Ordinary {
			r.sameAnswers(c)
		}
		r.refusedReuses(c)
	}
	return r.faults
}

func (r *report) sameAnswers(c Command) {
	carriedOut := 0
	for _, answer := range c.Answers {
		if !answer.Repeat {
			carriedOut++
		}
		if first := c.Answers[0]; !sameAnswer(first, answer) {
			r.add(Disagreement, c.Key, "command %s (%s): first answer %s, another %s", c.ID, c.Verb, brief(first), brief(answer))
		}
	}
	if carriedOut > 1 {
		r.add(Doubled, c.Key, "command %s (%s): %d answers that are no repeats", c.ID, c.Verb, carriedOut)
	}
}

func (r *report) refusedReuses(c Command) {
	if missing := c.Reused - len(c.Reuses); missing > 0 {
		r.add(Lost, c.Key, "command %s: reused %d times, %d answers missing", c.ID, c.Reused, missing)
	}
	for _, answer := range c.Reuses {
		if answer.Outcome != volume.Rejected || answer.Failure == nil || answer.Failure.Code != volume.ErrCommandIDReused {
			r.add(Disagreement, c.Key, "command %s: reused for another body, answer %s, want %s", c.ID, brief(answer), volume.ErrCommandIDReused)
		}
	}
}

// brief returns what matters of an answer for a report.
func brief(reply commands.Reply) string {
	text := fmt.Sprintf("%s in %q at generation %d of %q", reply.Outcome, reply.State, reply.Generation, reply.VolumeID)
	if reply.Failure != nil {
		text += fmt.Sprintf(" (%s: %s)", reply.Failure.Code, reply.Failure.Message)
	}
	return text
}
