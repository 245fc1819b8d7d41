package kv_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

var db01 = volume.Key{Project: "default", Name: "db-01"}

func record(key volume.Key, generation uint64) volume.Record {
	return volume.Record{
		SchemaVersion: volume.SchemaVersion, Key: key, ID: volume.NewID(key, generation),
		State: volume.StateAvailable, Generation: generation + 1, Spec: volume.Spec{Size: volume.GiB},
		UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
}

// Requirement D4: by name and by id, from a process that has read nothing before.
func TestVolumes_Lookup_ColdProcess(t *testing.T) {
	s := natstest.Start(t)
	js := s.JetStream(t)
	provision(t, js, 1)
	ctx := testContext(t)
	warm := kv.NewVolumes(js)
	misplaced := volume.Key{Project: "default", Name: "misplaced"}
	for key, stored := range map[volume.Key]volume.Record{db01: record(db01, 5), misplaced: record(db01, 5)} {
		if _, err := warm.Create(ctx, key.String(), stored); err != nil {
			t.Fatal(err)
		}
	}
	cold := kv.NewVolumes(s.JetStream(t))
	tests := []struct {
		name string
		find func() (kv.Entry[volume.Record], error)
		want error
	}{
		{"by key", func() (kv.Entry[volume.Record], error) { return cold.ByKey(ctx, db01) }, nil},
		{"by id", func() (kv.Entry[volume.Record], error) { return cold.ByID(ctx, "default.db-01.5") }, nil},
		{"key without record", func() (kv.Entry[volume.Record], error) {
			return cold.ByKey(ctx, volume.Key{Project: "default", Name: "db-02"})
		}, kv.ErrNotFound},
		{"id of an earlier life", func() (kv.Entry[volume.Record], error) { return cold.ByID(ctx, "default.db-01.1") }, kv.ErrNotFound},
		{"id without record", func() (kv.Entry[volume.Record], error) { return cold.ByID(ctx, "default.db-02.1") }, kv.ErrNotFound},
		{"malformed id", func() (kv.Entry[volume.Record], error) { return cold.ByID(ctx, "default.db-01") }, volume.ErrInvalidName},
		{"record of another key", func() (kv.Entry[volume.Record], error) { return cold.ByKey(ctx, misplaced) }, kv.ErrCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.find()
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && (got.Value.ID != "default.db-01.5" || got.Value.Size != volume.GiB || got.Revision == 0) {
				t.Errorf("got %+v, want the stored record", got)
			}
		})
	}
}

func TestOutcomes_FirstAnswerWins(t *testing.T) {
	outcomes := kv.NewOutcomes(startStore(t))
	ctx := testContext(t)
	const id volume.CommandID = "order/1:a@b=c+d"
	if _, err := outcomes.Get(ctx, db01, id); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("got %v, want %v", err, kv.ErrNotFound)
	}
	first := volume.Outcome{CommandID: id, Verb: volume.VerbCreate, Result: volume.Succeeded, Generation: 2}
	second := volume.Outcome{CommandID: id, Verb: volume.VerbCreate, Result: volume.Failed, Generation: 9}
	for _, outcome := range []volume.Outcome{first, second, first} {
		kept, err := outcomes.Put(ctx, db01, outcome)
		if err != nil || kept != first {
			t.Errorf("put %+v: kept %+v, %v, want the first", outcome, kept, err)
		}
	}
	if got, err := outcomes.Get(ctx, db01, id); err != nil || got != first {
		t.Errorf("got %+v, %v, want %+v", got, err, first)
	}
	if _, err := outcomes.Get(ctx, db01, "order/2"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("another command: got %v, want %v", err, kv.ErrNotFound)
	}
}

func TestOutcomes_ForeignRecord_IsCorrupt(t *testing.T) {
	js := startStore(t)
	ctx := testContext(t)
	if _, err := js.Publish(ctx, "$KV.outcomes."+kv.OutcomeKey(db01, "c1"), []byte(`{"command_id":"c2"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.NewOutcomes(js).Get(ctx, db01, "c1"); !errors.Is(err, kv.ErrCorrupt) {
		t.Errorf("got %v, want %v", err, kv.ErrCorrupt)
	}
}

func TestOutcomeKey(t *testing.T) {
	// printf c1 | sha256sum | head -c 32
	const want = "default.db-01.d0f631ca1ddba8db3bcfcb9e057cdc98"
	if got := kv.OutcomeKey(db01, "c1"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
