package kv_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// lived returns the record of a volume in the middle of an attach, with the answers to that
// many commands before it.
func lived(t testing.TB, answers int) volume.Record {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	record := volume.Record{Key: db01, State: volume.StatePending}
	command := volume.Command{
		ID: "c-1", Key: db01, Verb: volume.VerbCreate, Backend: "local", Actor: "alice",
		Args: volume.Args{Size: volume.GiB, Labels: volume.Labels{"team": "db", "tier": "1"}},
	}
	for count := 1; ; count++ {
		decision, err := fsm.Decide(record, command, now)
		if err != nil {
			t.Fatal(err)
		}
		decision.Record.Owner = volume.Owner{Worker: "worker-1", Instance: "9nIaX2", Epoch: 1, Since: now}
		if count > answers {
			return decision.Record
		}
		if decision, err = fsm.Succeed(decision.Record, nil, now); err != nil {
			t.Fatal(err)
		}
		record = decision.Record
		record.Outbox = nil // its events are on the stream
		command.ID, command.Sequence = volume.CommandID(fmt.Sprintf("c-%d", count+1)), uint64(count+1)
		command.Verb, command.Args = volume.VerbResize, volume.Args{Size: record.Size + volume.GiB}
		if count == answers {
			command.Verb, command.Args = volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}
		}
	}
}

// recordWorks are the encodings and decodings of a volume's first record, of a common one,
// and of one with all the answers that it may hold.
func recordWorks(t testing.TB) []alloctest.Work {
	var works []alloctest.Work
	for _, of := range []struct{ answers, encode, decode int }{
		{0, 27, 70},
		{1, 22, 70},
		{fsm.MaxOutcomes - 1, 22, 158},
	} {
		record := lived(t, of.answers)
		data, err := kv.EncodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		works = append(works,
			alloctest.Work{Name: fmt.Sprintf("do=encode/answers=%d", of.answers), Allocs: of.encode, Do: func() error {
				_, err := kv.EncodeRecord(record)
				return err
			}},
			alloctest.Work{Name: fmt.Sprintf("do=decode/answers=%d", of.answers), Allocs: of.decode, Do: func() error {
				_, err := kv.DecodeRecord(data)
				return err
			}})
	}
	return works
}

func BenchmarkRecord(b *testing.B) { alloctest.Benchmark(b, recordWorks(b)) }

func TestAllocations_OfRecords_WithinTheirBounds(t *testing.T) { alloctest.Test(t, recordWorks(t)) }
