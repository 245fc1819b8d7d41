// Package history checks with porcupine that the answers which many clients got are
// those of volumes that do one command at a time: for each volume there must be an order
// of its commands in which every answer is right, and in which each command stands
// between the moment when it was given and the moment when it was answered.
//
// The order itself is what package verify compares with the publish order. Here nothing
// but the clients' view counts: no events, no sequences, only who asked what, when, and
// what was said. A command whose publisher did not wait is open to the end of the run,
// with the answer that is stored for it.
package history

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Options bound a check.
type Options struct {
	// Limit is how long one volume may take. A volume that is undecided then is a fault.
	Limit time.Duration
	// Dir is where pictures of volumes with a fault are written: history-<key>.html.
	Dir string
}

// Result is what a check has found.
type Result struct {
	Operations int // that were checked
	Faults     []verify.Fault
}

// volumesAtOnce bounds the volumes that are checked at the same time: each needs memory
// of about the square of its operations, in bits.
const volumesAtOnce = 2

// maxPictures bounds the files that one check writes.
const maxPictures = 5

// Check checks the evidence's commands. The error is of a picture that could not be
// written.
func Check(e verify.Evidence, o Options) (Result, error) {
	var mu sync.Mutex // guards result
	var result Result
	var checks errgroup.Group
	checks.SetLimit(volumesAtOnce)
	pictures := 0
	for key, operations := range operationsOf(e) {
		checks.Go(func() error {
			check := newCheck(operations)
			condensed := condense(operations)
			begin := fresh(factsOf(condensed))
			verdict := porcupine.CheckOperationsTimeout(check.model(begin), condensed, o.Limit)
			mu.Lock()
			defer mu.Unlock()
			result.Operations += len(operations)
			if verdict == porcupine.Ok {
				return nil
			}
			fault := verify.Fault{Class: verify.Disagreement, Key: key, Detail: check.explain(verdict, o.Limit)}
			var err error
			if pictures++; pictures <= maxPictures {
				path := filepath.Join(o.Dir, "history-"+key.String()+".html")
				fault.Detail += ", see " + path
				err = check.draw(path)
			}
			result.Faults = append(result.Faults, fault)
			return err
		})
	}
	err := checks.Wait()
	slices.SortFunc(result.Faults, func(a, b verify.Fault) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return result, err
}

// operationsOf returns what porcupine calls a history, for each volume. Malformed
// commands never reach a volume.
func operationsOf(e verify.Evidence) map[volume.Key][]porcupine.Operation {
	stored := map[volume.Key]map[volume.CommandID]volume.Outcome{}
	for key, outcomes := range e.Outcomes {
		stored[key] = byID(outcomes, stored[key])
	}
	for key, record := range e.Records {
		stored[key] = byID(record.Outcomes, stored[key])
	}
	all := map[volume.Key][]porcupine.Operation{}
	var first time.Time // times are counted from here, by the clock that never steps
	if len(e.Commands) > 0 {
		first = e.Commands[0].Called
	}
	for _, c := range e.Commands {
		if c.Kind == verify.Malformed {
			continue
		}
		var outcomes []volume.Outcome
		if outcome, found := stored[c.Key][c.ID]; found {
			outcomes = append(outcomes, outcome)
		}
		answer, _ := c.Answer(outcomes)
		all[c.Key] = append(all[c.Key], operation(c, answer, first))
	}
	return all
}

func byID(outcomes []volume.Outcome, into map[volume.CommandID]volume.Outcome) map[volume.CommandID]volume.Outcome {
	if into == nil {
		into = map[volume.CommandID]volume.Outcome{}
	}
	for _, outcome := range outcomes {
		into[outcome.CommandID] = outcome
	}
	return into
}

func operation(c verify.Command, answer commands.Reply, first time.Time) porcupine.Operation {
	op := porcupine.Operation{
		ClientId: c.Client, Input: c, Call: int64(c.Called.Sub(first)), Output: answer, Return: math.MaxInt64,
	}
	if !c.Returned.IsZero() {
		op.Return = int64(c.Returned.Sub(first))
	}
	return op
}

// check is the check of one volume.
type check struct {
	operations []porcupine.Operation

	mu      sync.Mutex       // guards the two below: porcupine goes on a while after its limit
	reached map[uint64]model // by generation
	highest uint64           // of these
}

func newCheck(operations []porcupine.Operation) *check {
	return &check{operations: operations, reached: map[uint64]model{0: fresh(nil)}}
}

// model returns the model as porcupine wants it, beginning with that volume.
func (c *check) model(begin model) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(state, input, output any) (bool, any) {
			next, possible := state.(model).take(input, output)
			if possible {
				c.note(next)
			}
			return possible, next
		},
		Hash:              func(state any) uint64 { return state.(model).generation },
		DescribeOperation: describeOperation,
		DescribeState:     describeState,
	}
}

func (c *check) note(m model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.reached[m.generation]; !known {
		c.reached[m.generation] = m
		c.highest = max(c.highest, m.generation)
	}
}

func (c *check) explain(verdict porcupine.CheckResult, limit time.Duration) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if verdict == porcupine.Unknown {
		return fmt.Sprintf("undecided after %s: %d commands, explained up to generation %d", limit, len(c.operations), c.highest)
	}
	return fmt.Sprintf("no order of its %d commands explains their answers, only up to generation %d", len(c.operations), c.highest)
}
