package worker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// chainOf returns what the volume's events carry as Previous, and what each should: the
// hash of the one before.
func (s *system) chainOf(name string) (previous, hashes []string, ids []string) {
	s.t.Helper()
	hashes = []string{""}
	for stored, err := range events.Read(s.ctx, s.js, events.Filter{Project: "default", Volume: volume.Name(name)}) {
		s.must(err)
		previous, hashes, ids = append(previous, stored.Data.Previous), append(hashes, stored.Hash), append(ids, stored.Data.ID)
	}
	return previous, hashes, ids
}

// wantChain checks that each event of the volume names the one before, and the record the last.
func (s *system) wantChain(name string) {
	s.t.Helper()
	previous, hashes, ids := s.chainOf(name)
	for i, id := range ids {
		if previous[i] != hashes[i] {
			s.t.Errorf("event %s: previous %q, the event before has %q", id, previous[i], hashes[i])
		}
	}
	if record := s.record(name); record.EventHash != hashes[len(hashes)-1] {
		s.t.Errorf("record of %s: event hash %q, the last event has %q", name, record.EventHash, hashes[len(hashes)-1])
	}
}

func TestWorker_Chain_OverRefusalsRestartsAndLives(t *testing.T) {
	s := start(t)
	s.attach("v", "n1") // refused: the name's first event
	s.create("v", volume.MiB)
	s.create("v", volume.MiB) // refused
	s.attach("v", "n1")
	must(t, s.stop())
	s.startWorker()
	s.verb("v", volume.VerbDetach)
	s.verb("v", volume.VerbReconcile)
	s.verb("v", volume.VerbDelete)
	s.create("v", volume.MiB) // its second life
	s.wantChain("v")
}

func TestWorker_Chain_RecordExpired_GoesOn(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.TombstoneTTL = time.Second })
	s.create("v", volume.MiB)
	s.verb("v", volume.VerbDelete)
	s.awaitRecordGone("v")
	must(t, s.stop())
	s.startWorker()
	s.create("v", volume.MiB)
	s.wantChain("v")
}

// A build before the chain has left records and events without a hash.
func TestWorker_Chain_AfterAnEarlierBuild_BeginsAtItsLastEvent(t *testing.T) {
	for _, published := range []bool{true, false} {
		s := prepare(t)
		record := s.earlierBuild("v", published)
		if err := s.plant(record); err != nil {
			t.Fatal(err)
		}
		s.startWorker()
		s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
		previous, hashes, ids := s.chainOf("v")
		if len(ids) != 3 || previous[0] != "" || previous[1] != hashes[1] || previous[2] != hashes[2] {
			t.Errorf("published %v: previous %q of %q, want the first empty, then %q", published, previous, ids, hashes[1:])
		}
	}
}

// earlierBuild returns the record of a name whose one command was refused, as it was before
// there were hashes.
func (s *system) earlierBuild(name string, published bool) volume.Record {
	s.t.Helper()
	command := volume.Command{ID: "old", Key: key(name), Verb: volume.VerbDelete, Sequence: 1}
	decision := fsm.Reject(volume.Record{Key: key(name), State: volume.StatePending}, command, volume.NotFound, time.Now().UTC().Round(0))
	if published {
		publisher, err := events.NewPublisher(s.ctx, s.js)
		s.must(err)
		pending, err := publisher.Start(*decision.Transition, 0)
		s.must(err)
		_, err = pending.Wait(s.ctx)
		s.must(err)
	}
	return decision.Record
}

func (s *system) plant(record volume.Record) error {
	_, err := s.records.Create(s.ctx, record.Key.String(), record)
	return err
}

// What was stored is not what stands on the stream: the next event proves it.
func TestWorker_Chain_LastEventChanged_BreaksBehindIt(t *testing.T) {
	s := prepare(t)
	record := s.earlierBuild("v", false)
	forged := record.Outbox[0]
	hash, err := events.Chain(&record.Outbox[0], "")
	s.must(err)
	record.EventHash = hash
	s.must(s.plant(record))
	forged.Actor = "mallory"
	publisher, err := events.NewPublisher(s.ctx, s.js)
	s.must(err)
	pending, err := publisher.Start(forged, 0)
	s.must(err)
	_, err = pending.Wait(s.ctx)
	s.must(err)

	s.startWorker()
	s.create("v", volume.MiB)
	if previous, hashes, ids := s.chainOf("v"); len(ids) != 3 || previous[1] != hash || previous[1] == hashes[1] {
		t.Errorf("previous of %q: %q, want %q as stored and not the changed one's %q", ids, previous, hash, hashes[1])
	}
}

// BenchmarkChain is what the hash chain adds to each transition.
func BenchmarkChain(b *testing.B) {
	command := volume.Command{ID: "c", Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Backend: "local"}, Sequence: 1}
	decision, err := fsm.Decide(volume.Record{Key: command.Key, State: volume.StatePending}, command, time.Now().UTC().Round(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("do=hash", func(b *testing.B) {
		b.ReportAllocs()
		previous := ""
		for b.Loop() {
			if previous, err = events.Chain(decision.Transition, previous); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("do=encode-both", func(b *testing.B) { // what a transition is encoded for besides
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(decision.Record); err != nil {
				b.Fatal(err)
			}
			if _, err := events.Encode(*decision.Transition); err != nil {
				b.Fatal(err)
			}
		}
	})
}
