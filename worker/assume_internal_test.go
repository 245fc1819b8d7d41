package worker

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

// TestLoad_EarlierEventAgesOutBetweenTwoReads_OwnEventIsPublished: the last event that was read is
// of an earlier life, and is gone when the first is asked for. It has the ID of the record's own
// event, which is therefore not to be taken for published.
func TestLoad_EarlierEventAgesOutBetweenTwoReads_OwnEventIsPublished(t *testing.T) {
	ctx := t.Context()
	js := natstest.Start(t).JetStream(t)
	if _, err := provision.Apply(ctx, js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	publisher, err := events.NewPublisher(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	key := volume.Key{Project: "default", Name: "v"}
	begun := func(id volume.CommandID) volume.Record {
		decision, err := fsm.Decide(
			volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, State: volume.StatePending},
			volume.Command{ID: id, Key: key, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, Sequence: 1, Backend: "local"},
			time.Now().UTC())
		if err != nil {
			t.Fatal(err)
		}
		return decision.Record
	}
	earlier, record := begun("create-1"), begun("create-2")
	record.Assumed = true
	last := events.Stored{Sequence: 7, Envelope: events.Wrap(earlier.Outbox[0])} // read, and then aged out
	w, h := &Worker{js: js, publisher: publisher}, &head{record: record}
	refuted, err := h.refuted(ctx, w, last, true)
	if err != nil || refuted {
		return // to be read again, or taken away: either is safe
	}
	_ = h.resume(ctx, w, last, true)
	at, _ := h.last.Done()
	if _, found, err := publisher.Last(ctx, key); err != nil || !found {
		t.Errorf("event of the record: got found %t, %v, want it on the stream; the head believes that it is stored at %d", found, err, at)
	}
}
