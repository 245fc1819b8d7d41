package history

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// looks are commands that found the volume at one generation and left it as it was.
type looks []porcupine.Operation

// fit reports whether all of them can have got their answers there.
func (l looks) fit(m model) bool {
	for _, op := range l {
		if _, possible := m.step(op.Input.(verify.Command), op.Output.(commands.Reply)); !possible {
			return false
		}
	}
	return true
}

// condense returns the same history with all commands that only looked at one generation
// as two: the one that was given last and the one that was answered first. The volume
// has to be at that generation some time after the former was given and some time before
// the latter was answered; then every other one has a place between the same two changes.
// So nothing is found or missed by it, but the orders of refusals among each other, of
// which there are too many to try, need not be tried.
func condense(operations []porcupine.Operation) []porcupine.Operation {
	var all []porcupine.Operation
	at := map[uint64]looks{}
	for _, op := range operations {
		if answer := op.Output.(commands.Reply); onlyLooked(op.Input.(verify.Command), answer) {
			at[answer.Generation] = append(at[answer.Generation], op)
		} else {
			all = append(all, op)
		}
	}
	for _, looks := range at {
		last := slices.MaxFunc(looks, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		first := slices.MinFunc(looks, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
		last.Input, first.Input = looks, looks
		all = append(all, last, first)
	}
	return all
}

// onlyLooked reports whether the volume is the same after a command with that answer. One
// that was cancelled before it began is remembered by the cancels after it.
func onlyLooked(c verify.Command, answer commands.Reply) bool {
	switch answer.Outcome {
	case volume.Valid:
		return true
	case volume.Rejected:
		return c.ValidateOnly || c.Verb != volume.VerbCancel && codeOf(answer) != volume.ErrCancelled
	}
	return false
}
