package events_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// ears subscribes plainly, as `nats sub` does.
func ears(t *testing.T, tr *trail, subject string) *nats.Subscription {
	t.Helper()
	nc := tr.server.Connect(t)
	subscription, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return subscription
}

// heard returns the ids of the next n events.
func heard(t *testing.T, subscription *nats.Subscription, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		msg, err := subscription.NextMsgWithContext(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := events.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		if want := events.Subject(envelope.Data.Key, envelope.Data.Event); msg.Subject != want {
			t.Errorf("got subject %s, want %s", msg.Subject, want)
		}
		if got := msg.Header.Get("Content-Type"); got != events.ContentType {
			t.Errorf("got content type %q, want %q", got, events.ContentType)
		}
		ids = append(ids, envelope.ID)
	}
	return ids
}

// TestStream_PlainSubscriber_HearsOnlyWhatIsCommitted: what was refused is not heard. The event behind the refused
// ones ends the wait: the server republishes in the order in which it stores.
func TestStream_PlainSubscriber_HearsOnlyWhatIsCommitted(t *testing.T) {
	tr := newTrail(t)
	everything, oneVolume := ears(t, tr, "volume.event.>"), ears(t, tr, "volume.event.shop.web-01.*")
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	if _, err := tr.tryPublish(transition(dbKey, 9, volume.EventReady), 0); !errors.Is(err, events.ErrConflict) {
		t.Fatalf("got %v, want %v", err, events.ErrConflict)
	}
	tr.publish(transition(dbKey, 1, volume.EventCreate), 0) // a repeat
	tr.publish(refusal(dbKey, 1, "c-2"), first)
	tr.publish(transition(webKey, 1, volume.EventCreate), 0)

	want := []string{"default.db-01/1", "default.db-01/rejected/c-2", "shop.web-01/1"}
	if got := heard(t, everything, 3); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := heard(t, oneVolume, 1); !slices.Equal(got, want[2:]) {
		t.Errorf("got %q, want %q", got, want[2:])
	}
}

// TestStream_PublishSubject_HearsWhatIsRefusedToo is why there are two subjects.
func TestStream_PublishSubject_HearsWhatIsRefusedToo(t *testing.T) {
	tr := newTrail(t)
	raw := ears(t, tr, "volume.tx.>")
	event := transition(dbKey, 1, volume.EventCreate)
	tr.publish(event, 0)
	tr.publish(event, 0)
	for i := range 2 {
		if _, err := raw.NextMsgWithContext(testContext(t)); err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
	}
}

// TestStream_ForgedEvents_AreNotStored: nobody gets an event onto the stream but through the subject
// that permissions keep for workers.
func TestStream_ForgedEvents_AreNotStored(t *testing.T) {
	tr := newTrail(t)
	forged, err := events.Encode(transition(dbKey, 1, volume.EventDeleted))
	if err != nil {
		t.Fatal(err)
	}
	subjects := []string{
		events.Subject(dbKey, volume.EventDeleted), "volume.event.default.db-01", "volume.event.a.b.c.d",
		"volume.tx.default.db-01", "volume.tx.default.db-01.deleted.more", "volume.tx",
	}
	for _, subject := range subjects {
		if _, err := tr.js.Publish(testContext(t), subject, forged, jetstream.WithRetryAttempts(0)); !errors.Is(err, jetstream.ErrNoStreamResponse) {
			t.Errorf("subject %s: got %v, want %v", subject, err, jetstream.ErrNoStreamResponse)
		}
	}
	if got := tr.messages(); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}

func TestStream_IsAppendOnly(t *testing.T) {
	tr := newTrail(t)
	sequence := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	ctx := testContext(t)
	stream, err := tr.js.Stream(ctx, events.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	allowing := func(change func(*jetstream.StreamConfig)) error {
		config := stream.CachedInfo().Config
		change(&config)
		_, err := tr.js.UpdateStream(ctx, config)
		return err
	}
	attempts := map[string]error{
		"delete":         stream.DeleteMsg(ctx, sequence),
		"secure delete":  stream.SecureDeleteMsg(ctx, sequence),
		"purge":          stream.Purge(ctx),
		"purge a volume": stream.Purge(ctx, jetstream.WithPurgeSubject(events.Subject(dbKey, volume.EventCreate))),
		"allow delete":   allowing(func(c *jetstream.StreamConfig) { c.DenyDelete = false }),
		"allow purge":    allowing(func(c *jetstream.StreamConfig) { c.DenyPurge = false }),
	}
	for name, err := range attempts {
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if got := tr.messages(); got != 1 {
		t.Errorf("got %d messages, want 1", got)
	}
}
