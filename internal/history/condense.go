package history

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Most commands of a contended volume are refused: they only look at it. There are too
// many orders of looks to try them all, and no need to, because an answer tells the
// generation that it found:
//
//   - all looks at one generation are checked as two, see [condense];
//   - a change can only come when all looks at the generation before it have been taken,
//     and only if no answer tells a generation that it would pass over. Without this rule
//     an order that left one behind would fail at the end of the history, where commands
//     that nobody waited for are due, and everything since would be tried anew.

// looks are commands that found the volume at one generation and left it as it was.
type looks []porcupine.Operation

// condense returns the same history with all looks at one generation as two: the one
// that was given last and the one that was answered first. The volume has to be at that
// generation some time after the former was given and some time before the latter was
// answered; then every other one has a place between the same two changes. So nothing is
// found and nothing missed by it.
func condense(operations []porcupine.Operation) []porcupine.Operation {
	var all []porcupine.Operation
	at := map[uint64]looks{}
	for _, op := range operations {
		if onlyLooked(op) {
			generation := op.Output.(commands.Reply).Generation
			at[generation] = append(at[generation], op)
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

// onlyLooked reports whether the volume is the same after the operation. A cancel changes
// nothing itself: its target ends in another way.
func onlyLooked(op porcupine.Operation) bool {
	c, answer := op.Input.(verify.Command), op.Output.(commands.Reply)
	switch answer.Outcome {
	case volume.Valid, volume.Rejected:
		return true
	}
	return c.Verb == volume.VerbCancel && answer.Outcome == volume.Succeeded
}

// facts are what is known of a history as a whole.
type facts struct {
	looks     map[uint64]int // operations that only look, by generation
	cancelled map[volume.CommandID]uint64
	told      []uint64 // every generation that an answer tells, in ascending order
}

func factsOf(operations []porcupine.Operation) *facts {
	f := &facts{looks: map[uint64]int{}, cancelled: map[volume.CommandID]uint64{}}
	for _, op := range operations {
		generation := op.Output.(commands.Reply).Generation
		several, condensed := op.Input.(looks)
		if !condensed {
			several = looks{op}
		}
		if op.Output.(commands.Reply).Outcome != "" {
			f.told = append(f.told, generation)
		}
		if condensed || onlyLooked(op) {
			f.looks[generation]++
		}
		for _, op := range several {
			if codeOf(op.Output.(commands.Reply)) == volume.ErrCancelled {
				f.cancelled[op.Input.(verify.Command).ID] = generation
			}
		}
	}
	slices.Sort(f.told)
	return f
}

// passesOver reports whether some answer tells a generation between the two.
func (f *facts) passesOver(from, to uint64) bool {
	next, _ := slices.BinarySearch(f.told, from+1)
	return next < len(f.told) && f.told[next] < to
}

// hadCancelled reports whether the command, or any if it is empty, had been cancelled by
// that generation.
func (f *facts) hadCancelled(target volume.CommandID, by uint64) bool {
	if target != "" {
		at, cancelled := f.cancelled[target]
		return cancelled && at <= by
	}
	for _, at := range f.cancelled {
		if at <= by {
			return true
		}
	}
	return false
}

// take returns the volume after an operation of a history, and false if it cannot come
// here.
func (m model) take(input, output any) (model, bool) {
	several, condensed := input.(looks)
	if !condensed {
		op := porcupine.Operation{Input: input, Output: output}
		if !onlyLooked(op) {
			return m.change(input.(verify.Command), output.(commands.Reply))
		}
		several = looks{op}
	}
	for _, op := range several {
		if _, possible := m.step(op.Input.(verify.Command), op.Output.(commands.Reply)); !possible {
			return m, false
		}
	}
	m.looked++
	return m, true
}

// change is a step that comes only after all looks at the volume as it was, and that
// leaves no other behind.
func (m model) change(c verify.Command, answer commands.Reply) (model, bool) {
	if answer.Outcome == "" {
		return m, true
	}
	if m.looked != m.facts.looks[m.generation] || m.facts.passesOver(m.generation, answer.Generation) {
		return m, false
	}
	next, possible := m.step(c, answer)
	next.looked = 0
	return next, possible
}
