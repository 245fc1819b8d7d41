package events_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

func TestNewPublisher_NoStream(t *testing.T) {
	if _, err := events.NewPublisher(testContext(t), natstest.Start(t).JetStream(t)); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("got %v, want %v", err, jetstream.ErrStreamNotFound)
	}
}

func TestPublisher_StartTwice_StoredOnce(t *testing.T) {
	tr := newTrail(t)
	event := transition(dbKey, 1, volume.EventCreate)
	var sequences [2]uint64
	var pending [2]*events.Pending
	for i := range pending {
		var err error
		if pending[i], err = tr.publisher.Start(event, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range pending {
		var err error
		if sequences[i], err = pending[i].Wait(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	if sequences != [2]uint64{1, 1} || tr.messages() != 1 {
		t.Errorf("got sequences %v and %d messages, want one at 1", sequences, tr.messages())
	}
}

// TestPublisher_LostAck_SameSequence: the owner died after the event was stored and before it knew;
// the next one publishes it again, also when more has happened since.
func TestPublisher_LostAck_SameSequence(t *testing.T) {
	tr := newTrail(t)
	tr.publish(transition(webKey, 1, volume.EventCreate), 0)
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	second := tr.publish(transition(dbKey, 2, volume.EventReady), first)
	tr.publisher = tr.newPublisher()
	if again := tr.publish(transition(dbKey, 2, volume.EventReady), first); again != second {
		t.Errorf("got sequence %d, want %d", again, second)
	}
	if again := tr.publish(transition(dbKey, 1, volume.EventCreate), 0); again != first {
		t.Errorf("got sequence %d, want %d", again, first)
	}
	if got := tr.messages(); got != 3 {
		t.Errorf("got %d messages, want 3", got)
	}
}

func TestPublisher_AnotherEventInItsPlace_Conflict(t *testing.T) {
	other := transition(dbKey, 1, volume.EventCreate)
	tests := map[string]struct {
		event volume.Transition
		after uint64
	}{
		"another generation":                     {transition(dbKey, 2, volume.EventReady), 0},
		"a refusal":                              {refusal(dbKey, 0, "c-2"), 0},
		"the same generation of an earlier life": {of("c-9", transition(dbKey, 1, volume.EventCreate)), 0},
		"after what is not there": {
			transition(dbKey, 5, volume.EventReady), 99, // the stream was lost, or restored from an old copy
		},
		"after another volume's event": {transition(dbKey, 2, volume.EventReady), 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTrail(t)
			tr.publish(other, 0)
			tr.publish(transition(webKey, 1, volume.EventCreate), 0)
			_, err := tr.tryPublish(test.event, test.after)
			if !errors.Is(err, events.ErrConflict) || !errors.Is(err, volume.Aborted) || volume.ClassOf(err) != volume.Aborted {
				t.Errorf("got %v, want %v", err, events.ErrConflict)
			}
			if got := tr.messages(); got != 2 {
				t.Errorf("got %d messages, want 2", got)
			}
		})
	}
}

// TestPublisher_RefusalsTakeAPlace: they have no generation, but their place in the row.
func TestPublisher_RefusalsTakeAPlace(t *testing.T) {
	tr := newTrail(t)
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	second := tr.publish(refusal(dbKey, 1, "c-2"), first)
	if _, err := tr.tryPublish(transition(dbKey, 2, volume.EventReady), first); !errors.Is(err, events.ErrConflict) {
		t.Errorf("got %v, want %v", err, events.ErrConflict)
	}
	if third := tr.publish(transition(dbKey, 2, volume.EventReady), second); third != 3 {
		t.Errorf("got sequence %d, want 3", third)
	}
}

func TestPublisher_VolumesDoNotWaitForEachOther(t *testing.T) {
	tr := newTrail(t)
	keys := []volume.Key{dbKey, webKey, {Project: "default", Name: "db-011"}, {Project: "default", Name: "db"}}
	last := map[volume.Key]uint64{}
	for generation := uint64(1); generation <= 20; generation++ {
		pending := map[volume.Key]*events.Pending{}
		for _, key := range keys {
			started, err := tr.publisher.Start(transition(key, generation, volume.EventRetry), last[key])
			if err != nil {
				t.Fatal(err)
			}
			pending[key] = started
		}
		for key, started := range pending {
			sequence, err := started.Wait(testContext(t))
			if err != nil || sequence <= last[key] {
				t.Fatalf("%s: got sequence %d after %d, %v", key, sequence, last[key], err)
			}
			last[key] = sequence
		}
	}
	if got := tr.messages(); got != 80 {
		t.Errorf("got %d messages, want 80", got)
	}
}

func TestPending_DoneAfterWait(t *testing.T) {
	tr := newTrail(t)
	pending, err := tr.publisher.Start(transition(dbKey, 1, volume.EventCreate), 0)
	if err != nil {
		t.Fatal(err)
	}
	waited, err := pending.Wait(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sequence, ok := pending.Done(); !ok || sequence != waited {
			t.Errorf("got %d, %v, want %d", sequence, ok, waited)
		}
	}
	if again, err := pending.Wait(testContext(t)); err != nil || again != waited {
		t.Errorf("got %d, %v, want %d", again, err, waited)
	}
}

func TestPublisher_Published_NeedsNoServer(t *testing.T) {
	var publisher *events.Publisher
	for _, want := range []uint64{0, 7} {
		pending := publisher.Published(want)
		if got, ok := pending.Done(); !ok || got != want {
			t.Errorf("got %d, %v, want %d", got, ok, want)
		}
		if got, err := pending.Wait(context.Background()); err != nil || got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
}

func TestPending_Wait_ContextEnds(t *testing.T) {
	tr := newTrail(t)
	tr.server.Stop(t)
	pending, err := tr.publisher.Start(transition(dbKey, 1, volume.EventCreate), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := pending.Done(); ok {
		t.Error("got a sequence from a stopped server")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errDrained)
	if _, err := pending.Wait(ctx); !errors.Is(err, errDrained) {
		t.Errorf("got %v, want %v", err, errDrained)
	}
}

var errDrained = errors.New("drained")

// TestPublisher_ServerRestarts_StoredOnce: whatever became of the publish, trying until
// it works ends with one event.
func TestPublisher_ServerRestarts_StoredOnce(t *testing.T) {
	tr := newTrail(t)
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	event := transition(dbKey, 2, volume.EventReady)
	pending, err := tr.publisher.Start(event, first)
	if err != nil {
		t.Fatal(err)
	}
	tr.server.Restart(t)
	ctx := testContext(t)
	sequence, err := pending.Wait(ctx)
	for errors.Is(err, volume.Unavailable) && ctx.Err() == nil {
		sequence, err = tr.tryPublish(event, first)
	}
	if err != nil || sequence != 2 || tr.messages() != 2 {
		t.Errorf("got sequence %d, %v and %d messages, want 2", sequence, err, tr.messages())
	}
}

func TestPublisher_Last(t *testing.T) {
	tr := newTrail(t)
	if _, ok, err := tr.publisher.Last(testContext(t), dbKey); ok || err != nil {
		t.Errorf("got %v, %v, want none", ok, err)
	}
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	second := tr.publish(transition(dbKey, 2, volume.EventReady), first)
	tr.publish(transition(webKey, 1, volume.EventCreate), 0)
	last, ok, err := tr.publisher.Last(testContext(t), dbKey)
	if err != nil || !ok || last.Sequence != second || last.Data.Generation != 2 || last.StoredAt.IsZero() {
		t.Errorf("got %+v, %v, %v", last, ok, err)
	}
}

func TestPublisher_Last_Undecodable(t *testing.T) {
	tr := newTrail(t)
	if _, err := tr.js.Publish(testContext(t), events.PublishSubject(dbKey, volume.EventReady), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	// Whatever it is, it stands on the stream: its sequence is what the next guard needs.
	if last, ok, err := tr.publisher.Last(testContext(t), dbKey); !ok || err != nil || last.Sequence != 1 || last.ID != "" {
		t.Errorf("got %+v, %v, %v, want sequence 1 alone", last, ok, err)
	}
}

func TestPublisher_Last_NoAnswer(t *testing.T) {
	tr := newTrail(t)
	tr.server.Stop(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ok, err := tr.publisher.Last(ctx, dbKey); ok || !errors.Is(err, volume.Unavailable) {
		t.Errorf("got %v, %v, want %v", ok, err, volume.Unavailable)
	}
}

// of is the transition as another command's.
func of(command volume.CommandID, t volume.Transition) volume.Transition {
	t.CommandID = command
	return t
}

// TestPublisher_StartEncoded_SameBytes: what was encoded for the hash is what the stream gets.
func TestPublisher_StartEncoded_SameBytes(t *testing.T) {
	tr := newTrail(t)
	event := transition(dbKey, 1, volume.EventCreate)
	event.Reason = "not UTF-8: \xff"
	hash, encoded, err := events.ChainEncoded(&event, "before")
	if err != nil {
		t.Fatal(err)
	}
	pending, err := tr.publisher.StartEncoded(&event, encoded, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	last, _, err := tr.publisher.Last(testContext(t), dbKey)
	if err != nil || last.Hash != hash || last.Data.Previous != "before" || last.ID != event.ID {
		t.Errorf("got %+v, %v, want hash %s", last, err, hash)
	}
}
