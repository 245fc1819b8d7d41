package fsm_test

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/volume"
)

// taken are the verbs with a state in which each is taken up, and what deciding allocates.
var taken = []struct {
	verb   volume.Verb
	state  volume.State
	allocs int
}{
	{volume.VerbCreate, volume.StatePending, 14},
	{volume.VerbDelete, volume.StateAvailable, 10},
	{volume.VerbAttach, volume.StateAvailable, 10},
	{volume.VerbDetach, volume.StateAttached, 10},
	{volume.VerbResize, volume.StateAvailable, 10},
	{volume.VerbNodeGone, volume.StateAttached, 11},
	{volume.VerbSnapshot, volume.StateAvailable, 12},
	{volume.VerbDeleteSnapshot, volume.StateAvailable, 11},
	{volume.VerbRestore, volume.StateAvailable, 11},
	{volume.VerbFlatten, volume.StateAvailable, 10},
	{volume.VerbUnmanage, volume.StateAvailable, 11},
	{volume.VerbReconcile, volume.StateAvailable, 0},
	{volume.VerbAdopt, volume.StatePending, 0},
}

// published empties the outbox, as it is once its events are on the stream.
func published(record volume.Record) volume.Record {
	record.Outbox = nil
	return record
}

// decisions are the decisions on a command of each verb.
func decisions(t testing.TB) []alloctest.Work {
	var works []alloctest.Work
	for _, of := range taken {
		s := in(t, of.state)
		switch of.verb {
		case volume.VerbFlatten:
			s = cloneIn(t, of.state)
		case volume.VerbDeleteSnapshot, volume.VerbRestore:
			s.run(volume.VerbSnapshot)
		}
		record, command := published(s.record), s.usual(of.verb)
		works = append(works, alloctest.Work{Name: "verb=" + string(of.verb), Allocs: of.allocs, Do: func() error {
			_, err := fsm.Decide(record, command, epoch)
			return err
		}})
	}
	return works
}

// ends are the other decisions: what follows from an attempt, and a refusal.
func ends(t testing.TB) []alloctest.Work {
	creating := published(in(t, volume.StateCreating).record)
	failed := published(in(t, volume.StateCreatingFailed).record)
	attaching := published(in(t, volume.StateAttaching).record)
	available := in(t, volume.StateAvailable)
	refused := available.usual(volume.VerbDetach)
	_, why := fsm.Decide(available.record, refused, epoch)
	record := published(available.record)
	policy := fsm.DefaultRetryPolicy()
	of := func(name string, allocs int, decide func() (fsm.Decision, error)) alloctest.Work {
		return alloctest.Work{Name: "end=" + name, Allocs: allocs, Do: func() error { _, err := decide(); return err }}
	}
	return []alloctest.Work{
		of("ready", 8, func() (fsm.Decision, error) { return fsm.Succeed(creating, nil, epoch) }),
		of("attached", 12, func() (fsm.Decision, error) { return fsm.Succeed(attaching, on("n1"), epoch) }),
		of("error", 9, func() (fsm.Decision, error) { return fsm.Fail(creating, errBusy, policy, epoch) }),
		of("retry", 7, func() (fsm.Decision, error) { return fsm.Retry(failed, epoch) }),
		of("fail", 9, func() (fsm.Decision, error) { return fsm.GiveUp(failed, epoch) }),
		of("rejected", 16, func() (fsm.Decision, error) { return fsm.Reject(record, refused, why, epoch), nil }),
	}
}

// lookups are the parts of a decision that look something up.
func lookups(t testing.TB) []alloctest.Work {
	record := published(in(t, volume.StateCreating).record)
	policy := fsm.DefaultRetryPolicy()
	var waited time.Duration
	return []alloctest.Work{
		{Name: "lookup=transition", Allocs: 4, Do: func() error {
			_, err := fsm.Next(volume.StateAvailable, volume.EventAttach, fsm.Facts{})
			return err
		}},
		{Name: "lookup=guarded", Allocs: 4, Do: func() error {
			_, err := fsm.Next(volume.StateAttachingFailed, volume.EventFail, fsm.Facts{})
			return err
		}},
		{Name: "lookup=step", Allocs: 0, Do: func() error { fsm.NextStep(record); return nil }},
		{Name: "lookup=backoff", Allocs: 0, Do: func() error { waited += policy.Wait(3); return nil }},
	}
}

func BenchmarkDecide(b *testing.B) { alloctest.Benchmark(b, decisions(b)) }
func BenchmarkEnd(b *testing.B)    { alloctest.Benchmark(b, ends(b)) }
func BenchmarkLookup(b *testing.B) { alloctest.Benchmark(b, lookups(b)) }

func TestAllocations_OfDecisions_WithinTheirBounds(t *testing.T) {
	alloctest.Test(t, decisions(t))
	alloctest.Test(t, ends(t))
	alloctest.Test(t, lookups(t))
}
