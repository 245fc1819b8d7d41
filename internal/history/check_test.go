package history

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

var key = volume.Key{Project: "default", Name: "db-01"}

const (
	first  = volume.ID("default.db-01.1")
	second = volume.ID("default.db-01.12")
)

// call is one command with its answer; the numbers are seconds of a run.
type call struct {
	id         volume.CommandID
	verb       volume.Verb
	args       volume.Args
	from, to   int // to 0: nobody waited
	outcome    volume.Result
	code       volume.Code
	volume     volume.ID
	state      volume.State
	generation uint64
	validates  bool
}

var (
	mib = volume.Args{Size: volume.MiB}
	n1  = volume.Args{Node: "n1", Mode: volume.ReadWrite}
	n2  = volume.Args{Node: "n2", Mode: volume.ReadWrite}
)

// clean is a history with everything in it that is allowed.
func clean() []call {
	return []call{
		{id: "c01", verb: volume.VerbAttach, args: n1, from: 1, to: 2, outcome: volume.Rejected, code: volume.ErrVolumeNotFound},
		{id: "c02", verb: volume.VerbCreate, args: mib, from: 1, to: 3, outcome: volume.Valid, validates: true, state: volume.StatePending},
		{id: "c03", verb: volume.VerbCreate, args: mib, from: 3, to: 5, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 2},
		// Two attaches and a detach at the same time; one attach has been tried twice.
		{id: "c04", verb: volume.VerbAttach, args: n1, from: 6, to: 9, outcome: volume.Rejected, code: volume.ErrInvalidTransition, volume: first, state: volume.StateAttached, generation: 6},
		{id: "c05", verb: volume.VerbAttach, args: n2, from: 6, to: 9, outcome: volume.Succeeded, volume: first, state: volume.StateAttached, generation: 6},
		{id: "c06", verb: volume.VerbDetach, args: volume.Args{Node: "n2"}, from: 6, to: 9, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 8},
		// A cancelled attach, its cancel, and one that came too late.
		{id: "c07", verb: volume.VerbAttach, args: n1, from: 10, to: 13, outcome: volume.Failed, code: volume.ErrCancelled, volume: first, state: volume.StateAvailable, generation: 11},
		{id: "c08", verb: volume.VerbCancel, args: volume.Args{Target: "c07"}, from: 11, to: 13, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 11},
		{id: "c09", verb: volume.VerbCancel, from: 14, to: 15, outcome: volume.Rejected, code: volume.ErrNothingToCancel, volume: first, state: volume.StateAvailable, generation: 11},
		// A resize that nobody waited for.
		{id: "c10", verb: volume.VerbResize, args: volume.Args{Size: 2 * volume.MiB}, from: 16, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 13},
		{id: "c11", verb: volume.VerbResize, args: mib, from: 16, to: 18, outcome: volume.Rejected, code: volume.ErrInvalidSize, volume: first, state: volume.StateAvailable, generation: 13},
		{id: "c12", verb: volume.VerbReconcile, from: 19, to: 20, outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: 14},
		{id: "c13", verb: volume.VerbCreate, args: mib, from: 19, to: 21, outcome: volume.Rejected, code: volume.ErrVolumeExists, volume: first, state: volume.StateAvailable, generation: 14},
		{id: "c14", verb: volume.VerbAttach, args: n1, from: 22}, // never arrived
	}
}

func evidence(calls []call) verify.Evidence {
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	e := verify.Evidence{Outcomes: map[volume.Key][]volume.Outcome{}}
	for i, call := range calls {
		c := verify.Command{
			Key: key, ID: call.id, Verb: call.verb, Args: call.args, Kind: verify.Ordinary, Client: i, Called: at(call.from),
		}
		if call.validates {
			c.ValidateOnly, c.Kind = true, verify.ValidateOnly
		}
		outcome := volume.Outcome{
			CommandID: call.id, Verb: call.verb, Result: call.outcome, State: call.state, Generation: call.generation, VolumeID: call.volume,
		}
		if call.code != "" {
			outcome.Failure = &volume.Failure{Code: call.code}
		}
		switch {
		case call.to > 0:
			c.Returned, c.Asked = at(call.to), 1
			c.Answers = []commands.Reply{commands.NewReply(key, outcome, false)}
		case call.outcome != "":
			e.Outcomes[key] = append(e.Outcomes[key], outcome)
		}
		e.Commands = append(e.Commands, c)
	}
	return e
}

func mustCheck(t *testing.T, calls []call) Result {
	t.Helper()
	result, err := Check(evidence(calls), Options{Limit: time.Minute, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestCheck_CleanHistory_NoFault(t *testing.T) {
	result := mustCheck(t, clean())
	if len(result.Faults) > 0 || result.Operations != len(clean()) {
		t.Errorf("got %d operations with faults %v, want %d and none", result.Operations, result.Faults, len(clean()))
	}
}

// plants are histories that no volume can have had.
var plants = []struct {
	name  string
	plant func(calls []call) []call
}{
	{"two attaches of one volume succeeded", func(calls []call) []call {
		calls[3].outcome, calls[3].code = volume.Succeeded, ""
		return calls
	}},
	{"two attaches after one another succeeded", func(calls []call) []call {
		calls[3].outcome, calls[3].code, calls[3].generation = volume.Succeeded, "", 8
		return calls[:5]
	}},
	{"a detach found the node of the attach that was refused", func(calls []call) []call {
		calls[5].args.Node = "n1"
		return calls
	}},
	{"an update was lost: generations go on without it", func(calls []call) []call {
		calls[9].outcome = "" // the resize of generation 12 and 13
		return calls
	}},
	{"an update was overwritten", func(calls []call) []call {
		calls[11].generation = 13
		calls[9].generation = 13
		return calls[:12]
	}},
	{"a stale answer: the state of before the detach", func(calls []call) []call {
		calls[12].state, calls[12].generation = volume.StateAttached, 6
		return calls
	}},
	{"a stale validate_only", func(calls []call) []call {
		stale := calls[1]
		stale.from, stale.to = 6, 7
		return append(calls, stale)
	}},
	{"reordered: a command took effect after one that was given when it had been answered", func(calls []call) []call {
		calls[5].generation, calls[5].from, calls[5].to = 8, 10, 11 // detach, after
		late := call{id: "x", verb: volume.VerbReconcile, from: 12, to: 13, outcome: volume.Succeeded, volume: first, state: volume.StateAttached, generation: 7}
		calls[5].generation = 9
		return append(calls[:6], late)
	}},
	{"a command took effect before it was given", func(calls []call) []call {
		calls[4].from, calls[4].to = 30, 31
		return calls
	}},
	{"a rejection without a reason", func(calls []call) []call {
		calls[12].verb, calls[12].args = volume.VerbReconcile, volume.Args{}
		return calls
	}},
	{"a refused one should have been taken up", func(calls []call) []call {
		calls[10].args.Size = 5 * volume.MiB
		return calls
	}},
	{"a cancel of a command that was not cancelled", func(calls []call) []call {
		calls[7].args.Target = "c05"
		return calls
	}},
	{"a second create made a new volume", func(calls []call) []call {
		calls[12].outcome, calls[12].code, calls[12].volume, calls[12].generation = volume.Succeeded, "", second, 16
		return calls
	}},
	{"a volume of another life answered", func(calls []call) []call {
		calls[11].volume = second
		return calls
	}},
	{"half an operation: one transition is missing", func(calls []call) []call {
		calls[2].generation = 3
		return calls[:3]
	}},
}

func TestCheck_PlantedViolation_IsFoundAndDrawn(t *testing.T) {
	for _, test := range plants {
		t.Run(test.name, func(t *testing.T) {
			result := mustCheck(t, test.plant(clean()))
			if len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "no order") {
				t.Fatalf("got %v, want one fault", result.Faults)
			}
			_, path, _ := strings.Cut(result.Faults[0].Detail, "see ")
			if html, err := os.ReadFile(path); err != nil || !strings.Contains(string(html), "c03") {
				t.Errorf("picture %s: %v, %d bytes", path, err, len(html))
			}
		})
	}
}

// Refusals at one generation are checked together, and each of them is.
func TestCheck_ManyRefusalsAtOnce_AreDecided(t *testing.T) {
	calls := clean()
	for i := range 60 {
		calls = append(calls, call{
			id: volume.CommandID(fmt.Sprint("r", i)), verb: volume.VerbAttach, args: n1, from: 6, to: 12,
			outcome: volume.Rejected, code: volume.ErrInvalidTransition, volume: first, state: volume.StateAttached, generation: 6,
		})
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
	for _, plant := range []func(*call){
		func(c *call) { c.code = volume.ErrVolumeExists },
		func(c *call) { c.from, c.to = 10, 11 }, // after the detach was answered
		func(c *call) { c.from, c.to = 4, 5 },   // before the attach was given
	} {
		wrong := slices.Clone(calls)
		plant(&wrong[len(wrong)/2])
		if result := mustCheck(t, wrong); len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "no order") {
			t.Errorf("got %v, want one fault", result.Faults)
		}
	}
}

// An operation may have failed any number of times in between, so the attach that was
// given first, and carried out last, could as well have been the only one. That it was not
// shows in commands that are open to the end; it must not take until then to find out.
func TestCheck_LaterCommandFitsEarlier_IsDecided(t *testing.T) {
	calls := clean()[:3]
	generation, at := uint64(2), 10
	for i := range 300 {
		id := func(kind string) volume.CommandID { return volume.CommandID(fmt.Sprint(kind, i)) }
		done := func(id volume.CommandID, verb volume.Verb, args volume.Args, from, to int, state volume.State) call {
			generation += 2
			return call{id: id, verb: verb, args: args, from: from, to: to, outcome: volume.Succeeded, volume: first, state: state, generation: generation}
		}
		open := done(id("a"), volume.VerbAttach, n1, at+1, 0, volume.StateAttached)
		detach := done(id("d"), volume.VerbDetach, volume.Args{}, at+2, 0, volume.StateAvailable)
		late := done(id("l"), volume.VerbAttach, n1, at, at+5, volume.StateAttached)
		calls = append(calls, late, open, detach, done(id("e"), volume.VerbDetach, volume.Args{}, at+6, at+7, volume.StateAvailable))
		at += 10
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
}

func TestCheck_TimeIsUp_IsAFault(t *testing.T) {
	dir := t.TempDir()
	var calls []call
	for i := range 2000 {
		calls = append(calls, call{
			id: volume.CommandID(fmt.Sprint("c", i)), verb: volume.VerbReconcile, from: 1, to: 99,
			outcome: volume.Succeeded, volume: first, state: volume.StateAvailable, generation: uint64(i) + 3,
		})
	}
	slices.Reverse(calls)
	calls = append(calls, clean()[2])
	calls[2000].from, calls[2000].to = 1, 99
	result, err := Check(evidence(calls), Options{Limit: time.Millisecond, Dir: dir})
	if err != nil || len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "undecided") {
		t.Errorf("got %v, %v, want one that is undecided", result.Faults, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "history-default.db-01.html")); err != nil {
		t.Error(err)
	}
}
