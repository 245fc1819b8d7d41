package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

// loader returns a worker that can do nothing but read and publish events.
func loader(t *testing.T) *Worker {
	t.Helper()
	js := natstest.Start(t).JetStream(t)
	if _, err := provision.Apply(t.Context(), js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	publisher, err := events.NewPublisher(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return &Worker{js: js, publisher: publisher}
}

// begunBy returns the record that begins a create of the volume by that command.
func begunBy(t *testing.T, id volume.CommandID) volume.Record {
	t.Helper()
	key := volume.Key{Project: "default", Name: "v"}
	decision, err := fsm.Decide(
		volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, State: volume.StatePending},
		volume.Command{ID: id, Key: key, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, Sequence: 1, Backend: "local"},
		time.Now().UTC())
	if err != nil {
		t.Fatal(err)
	}
	return decision.Record
}

// TestLoad_EarlierEventAgesOutBetweenTwoReads_OwnEventIsPublished: the last event that was read is
// of an earlier life, and is gone when the first is asked for. It has the ID of the record's own
// event, which is therefore not to be taken for published.
func TestLoad_EarlierEventAgesOutBetweenTwoReads_OwnEventIsPublished(t *testing.T) {
	ctx, w := t.Context(), loader(t)
	earlier, record := begunBy(t, "create-1"), begunBy(t, "create-2")
	record.Assumed = true
	last := events.Stored{Sequence: 7, Envelope: events.Wrap(earlier.Outbox[0])} // read, and then aged out
	h := &head{record: record}
	refuted, err := h.refuted(ctx, w, last, true)
	if err != nil || refuted {
		return // to be read again, or taken away: either is safe
	}
	_ = h.resume(ctx, w, last, true)
	at, _ := h.last.Done()
	if _, found, err := w.publisher.Last(ctx, record.Key); err != nil || !found {
		t.Errorf("event of the record: got found %t, %v, want it on the stream; the head believes that it is stored at %d", found, err, at)
	}
}

// TestLoad_EarlierEventComesBetweenTwoReads_IsReadAgain: there was no event when the last one was
// read, and there is one when the outbox is compared with the stream. It is another life's, and
// has the ID of the record's own event, which is not to be taken for published by it.
func TestLoad_EarlierEventComesBetweenTwoReads_IsReadAgain(t *testing.T) {
	ctx, w := t.Context(), loader(t)
	earlier, record := begunBy(t, "create-1"), begunBy(t, "create-2")
	record.Assumed = true
	h := &head{record: record}
	if refuted, err := h.refuted(ctx, w, events.Stored{}, false); err != nil || refuted {
		t.Fatalf("without events: got refuted %t, %v", refuted, err)
	}
	begun, err := w.publisher.Start(earlier.Outbox[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begun.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.resume(ctx, w, events.Stored{}, false); !errors.Is(err, events.ErrConflict) {
		t.Errorf("got %v, want %v", err, events.ErrConflict)
	}
}
