package preload_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// limit bounds every wait of these tests; nothing is asserted about shorter times.
const limit = time.Minute

func newServer(t *testing.T) (context.Context, jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	js := natstest.Start(t).JetStream(t)
	if _, err := provision.Apply(ctx, js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	return ctx, js
}

func TestFill_ManyVolumes_EventsAndRecordsProveEachOther(t *testing.T) {
	const volumes = 2500 // more than are sent without waiting
	ctx, js := newServer(t)
	if err := preload.Fill(ctx, js, volumes, nil); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(ctx, js, audit.Options{})
	if err != nil || !report.Clean() || report.Volumes != volumes || report.Events != 2*volumes || report.Records != volumes {
		t.Fatalf("got %+v, %v, want %d volumes of two events and a record", report, err, volumes)
	}
	records := kv.NewVolumes(js)
	last, err := records.ByKey(ctx, preload.Key(volumes-1))
	if err != nil || last.Value.State != volume.StateAvailable || last.Value.Backend != "null" || last.Value.EventSequence != 2*volumes-1 || len(last.Value.Outbox) != 1 {
		t.Errorf("got %+v, %v, want an available volume whose last event is in the outbox", last, err)
	}
	last.Value.Size += volume.MiB
	if _, err := records.CompareAndSet(ctx, preload.Key(volumes-1).String(), last.Value, last.Revision); err != nil {
		t.Fatal(err)
	}
	if report, err = audit.Verify(ctx, js, audit.Options{}); err != nil || len(report.Faults) != 1 {
		t.Errorf("got faults %v, %v, want that of the changed record", report.Faults, err)
	}
}

func TestWriter_StreamsOfOthers_Refused(t *testing.T) {
	ctx, js := newServer(t)
	w, err := preload.NewWriter(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	if err := preload.Fill(ctx, js, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Record(ctx, volume.Record{SchemaVersion: volume.SchemaVersion, Key: preload.Key(1)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(ctx); err == nil {
		t.Error("got no error, want that others write to the stream")
	}
}

func TestCreated_WithoutSize_Refused(t *testing.T) {
	if _, err := preload.Created(volume.Command{Key: preload.Key(0), Verb: volume.VerbCreate}, volume.Owner{}); err == nil {
		t.Error("got no error, want that of the state machine")
	}
}
