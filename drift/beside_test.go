package drift_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// names returns volumes in every partition.
func names(count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("v%03d", i)
	}
	return all
}

// eventsOf counts the events that commands of a verb have brought, by volume and event.
func (s *system) eventsOf(verb volume.Verb) map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	for stored, err := range events.Read(s.ctx, s.js, events.Filter{}) {
		s.must(err)
		if stored.Data.Verb == verb {
			counts[string(stored.Data.Name)+" "+string(stored.Data.Event)]++
		}
	}
	return counts
}

// enlarge has the backend differ from all these records.
func (s *system) enlarge(names []string) {
	s.t.Helper()
	for _, name := range names {
		s.must(s.driver.Resize(s.ctx, s.ref(name), 2*volume.MiB))
	}
}

// run runs a sweeper of a worker's partitions, which ends with the test.
func (s *system) run(w *worker.Worker, change ...func(*drift.Options)) {
	s.t.Helper()
	sweeper := s.sweeper(append(change, func(o *drift.Options) {
		o.Partitions, o.Interval, o.Soon = w, time.Hour, 10*time.Millisecond
	})...)
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sweeper.Run(ctx)
	}()
	s.t.Cleanup(func() { cancel(); <-done })
}

func TestRun_TakenOver_SweptSoonByTheNewOwnerOnly(t *testing.T) {
	s := prepare(t)
	first, _ := s.work("worker-1")
	all := names(24)
	s.create(all...)
	s.enlarge(all)
	second, _ := s.work("worker-2")
	s.run(second)
	mine := func(name string) bool {
		served, _ := second.Serves()
		return slices.Contains(served, commands.PartitionOf(key(name)))
	}
	s.await("findings of what worker-2 has taken over", func() bool {
		for _, name := range all {
			if _, found := s.finding(key(name).String()); mine(name) && !found {
				return false
			}
		}
		return true
	})
	others := 0
	for _, name := range all {
		_, found := s.finding(key(name).String())
		if found && !mine(name) {
			t.Errorf("%s: found, though worker-1 has its partition", name)
		}
		if !mine(name) {
			others++
		}
	}
	if served, _ := first.Serves(); others == 0 || len(served) == 0 {
		t.Fatal("worker-1 has no volume: the test shows nothing")
	}
}

// TestSweep_TwoAtOnce_OneEventPerVolume: as at a handover, when two workers take themselves
// for the owner.
func TestSweep_TwoAtOnce_OneEventPerVolume(t *testing.T) {
	s := start(t)
	all := names(20)
	s.create(all...)
	s.enlarge(all)
	var sweeping sync.WaitGroup
	for i := range 2 {
		sweeper := s.sweeper(func(o *drift.Options) { o.Actor = fmt.Sprint("sweep of ", i) })
		sweeping.Go(func() {
			if _, err := sweeper.Sweep(s.ctx, drift.All()); err != nil {
				t.Error(err)
			}
		})
	}
	sweeping.Wait()
	s.settle()
	s.wantOneDrifted(all)
}

func (s *system) wantOneDrifted(names []string) {
	s.t.Helper()
	counts := s.eventsOf(volume.VerbReconcile)
	for _, name := range names {
		if counts[name+" drifted"] != 1 {
			s.t.Errorf("%s: got %d drifted events, want 1", name, counts[name+" drifted"])
		}
		s.want(name, "size: wanted 1MiB, actual 2MiB")
	}
	if len(counts) != len(names) {
		s.t.Errorf("got events %v, want one for each volume and no others", counts)
	}
}

// TestSweep_KilledInTheMiddle_TheNextOneEndsIt: whatever was published before.
func TestSweep_KilledInTheMiddle_TheNextOneEndsIt(t *testing.T) {
	s := start(t)
	all := names(20)
	s.create(all...)
	s.enlarge(all)
	for _, looks := range []int64{1, 8, 21} {
		ctx, kill := context.WithCancel(s.ctx)
		var seen atomic.Int64
		s.driver.hook(func(_ context.Context, call string, _ volume.Key) error {
			if call == "get" && seen.Add(1) == looks {
				kill()
			}
			return nil
		})
		if _, err := s.sweeper().Sweep(ctx, drift.All()); err == nil {
			t.Errorf("killed at look %d: got no error", looks)
		}
		kill()
	}
	s.driver.hook(nil)
	s.sweep()
	s.settle()
	s.wantOneDrifted(all)
}

// TestSweep_UnderLoad_NothingPublished: what changes at this moment is its owner's matter.
func TestSweep_UnderLoad_NothingPublished(t *testing.T) {
	s := start(t)
	const volumes, rounds = 8, 12
	all := names(volumes)
	s.create(all...)
	var working sync.WaitGroup
	var ended atomic.Bool
	for _, name := range all {
		working.Go(func() {
			for range rounds {
				s.attach(name, "n1")
				s.do(name, volume.VerbDetach, volume.Args{Node: "n1"})
			}
			s.do(name, volume.VerbDelete, volume.Args{})
			s.create(name)
		})
	}
	go func() {
		working.Wait()
		ended.Store(true)
	}()
	sweeper, sweeps := s.sweeper(func(o *drift.Options) { o.LeftAfter = time.Nanosecond }), 0
	for ; !ended.Load(); sweeps++ {
		report, err := sweeper.Sweep(s.ctx, drift.All())
		s.must(err)
		if report.Commands > 0 || report.Skipped > 0 {
			t.Errorf("sweep %d: got %+v, want nothing published and nothing skipped", sweeps, report)
		}
	}
	if counts := s.eventsOf(volume.VerbReconcile); len(counts) > 0 || sweeps < 2 {
		t.Errorf("%d sweeps: got events %v, want none", sweeps, counts)
	}
	for _, name := range all {
		s.want(name)
	}
}

// begun stores the record of a volume as it is while a command is carried out, without
// the command itself: somebody took it out of the stream.
func (s *system) begun(name string, verb volume.Verb, args volume.Args) {
	s.t.Helper()
	entry, err := s.records.ByKey(s.ctx, key(name))
	s.must(err)
	decision, err := fsm.Decide(entry.Value, volume.Command{
		ID: volume.CommandID("lost-" + name), Key: key(name), Verb: verb, Args: args, Sequence: entry.Value.CommandSequence + 1,
	}, time.Now().UTC())
	s.must(err)
	_, err = s.records.CompareAndSet(s.ctx, key(name).String(), decision.Record, entry.Revision)
	s.must(err)
}

func TestSweep_CommandRemovedByHand_OperationLedOut(t *testing.T) {
	s := prepare(t)
	_, stop := s.work("worker-1")
	s.create("attach", "delete", "young")
	stop()
	s.begun("attach", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
	s.begun("delete", volume.VerbDelete, volume.Args{})
	s.work("worker-2")

	if report := s.sweep(); report.Commands != 0 {
		t.Errorf("at once: got %+v, want it let be for a while", report)
	}
	old := func(o *drift.Options) { o.LeftAfter = time.Nanosecond }
	if report := s.sweep(old); report.Commands != 2 {
		t.Errorf("later: got %+v, want both asked for", report)
	}
	s.settle()
	if state := s.record("attach").State; state != volume.StateAttached {
		t.Errorf("attach: got %s, want attached", state)
	}
	if state := s.record("delete").State; state != volume.StateDeleted {
		t.Errorf("delete: got %s, want deleted", state)
	}
	if report := s.sweep(old); report.Commands != 0 {
		t.Errorf("afterwards: got %+v, want nothing", report)
	}
}

// TestSweep_CommandWaits_LetBe: an operation under way whose command is in the stream, also
// where no worker is.
func TestSweep_CommandWaits_LetBe(t *testing.T) {
	s := prepare(t)
	_, stop := s.work("worker-1")
	s.create("busy", "queued")
	stop()
	s.begun("busy", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
	s.enlarge([]string{"queued"})
	for _, name := range []string{"busy", "queued"} {
		_, err := s.client.Publish(s.ctx, commands.Request{Key: key(name), Verb: volume.VerbReconcile})
		s.must(err)
	}
	report := s.sweep(func(o *drift.Options) { o.LeftAfter = time.Nanosecond })
	if report.Commands != 0 || s.messages(commands.StreamName) != 2 {
		t.Errorf("got %+v, want nothing published", report)
	}
	s.want("queued")
}
