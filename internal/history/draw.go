package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// A picture shows so many generations before and after the point that no order gets
// past. All of a long history would be more than a browser bears.
const (
	shownBefore = 12
	shownAfter  = 6
)

// drawLimit bounds the search for what a picture shows.
const drawLimit = time.Second

// draw writes the picture of what stands around the highest generation that was reached.
func (c *check) draw(path string) error {
	c.mu.Lock()
	low := c.highest
	for range shownBefore {
		if low == 0 {
			break
		}
		low--
		for _, known := c.reached[low]; !known; _, known = c.reached[low] { // most have none
			low--
		}
	}
	first, high := c.reached[low], c.highest+shownAfter
	c.mu.Unlock()
	var shown []porcupine.Operation
	for _, op := range c.operations {
		if answer := op.Output.(commands.Reply); answer.Outcome != "" && low <= answer.Generation && answer.Generation <= high {
			shown = append(shown, op)
		}
	}
	first.looked, first.facts = 0, factsOf(shown)
	first.facts.cancelled = factsOf(c.operations).cancelled // also what is not shown
	again := newCheck(shown).model(first)
	_, info := porcupine.CheckOperationsVerbose(again, shown, drawLimit)
	return porcupine.VisualizePath(again, info, path)
}

func describeOperation(input, output any) string {
	c, answer := input.(verify.Command), output.(commands.Reply)
	var args []string
	mode := ""
	if c.Args.Mode == volume.ReadOnly {
		mode = string(c.Args.Mode)
	}
	for _, arg := range []string{string(c.Args.Node), mode, string(c.Args.Target), string(c.Args.Snapshot), c.Args.Source.String()} {
		if arg != "" {
			args = append(args, arg)
		}
	}
	if c.Args.Size != 0 {
		args = append(args, c.Args.Size.String())
	}
	if c.ValidateOnly {
		args = append(args, "validate_only")
	}
	text := fmt.Sprintf("%s %s(%s) → ", c.ID, c.Verb, strings.Join(args, ", "))
	if answer.Outcome == "" {
		return text + "no answer"
	}
	text += fmt.Sprintf("%s %s at %d", answer.Outcome, answer.State, answer.Generation)
	if code := codeOf(answer); code != "" {
		text += ": " + string(code)
	}
	return text
}

func describeState(state any) string {
	m := state.(model)
	text := fmt.Sprintf("%s at %d", m.state, m.generation)
	if m.id == "" {
		text = "never was"
	}
	if m.state == volume.StateAttached {
		text += " to " + m.held.String()
	}
	if m.chain.sure+m.chain.maybe != "" {
		text += fmt.Sprintf(", snapshots %sand perhaps %s", m.chain.sure, m.chain.maybe)
	}
	if !m.chain.source.IsZero() {
		text += ", a clone of " + m.chain.source.String()
	}
	return text
}
