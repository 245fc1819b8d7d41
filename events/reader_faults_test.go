package events_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// TestRead_ResumesAcrossARestart: nothing is lost and nothing told twice.
func TestRead_ResumesAcrossARestart(t *testing.T) {
	tr := newTrail(t)
	last := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	last = tr.publish(transition(dbKey, 2, volume.EventReady), last)
	var got []uint64
	for stored, err := range events.Read(testContext(t), tr.js, events.Filter{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, stored.Data.Generation)
		if len(got) == 2 {
			tr.server.Restart(t)
			publishOnceUp(t, tr, transition(dbKey, 3, volume.EventAttach), last)
		}
		if len(got) == 3 {
			break
		}
	}
	if want := []uint64{1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("got generations %v, want %v", got, want)
	}
}

// publishOnceUp publishes as the worker does: again until it is stored.
func publishOnceUp(t *testing.T, tr *trail, event volume.Transition, after uint64) {
	t.Helper()
	ctx := testContext(t)
	for {
		_, err := tr.tryPublish(event, after)
		if err == nil {
			return
		}
		if !errors.Is(err, volume.Unavailable) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestRead_Undecodable_IsToldAndPassed: it is told, with its place, and reading goes on.
func TestRead_Undecodable_IsToldAndPassed(t *testing.T) {
	tr := newTrail(t)
	first := tr.publish(transition(dbKey, 1, volume.EventCreate), 0)
	for _, junk := range []string{"", "junk", `{"specversion":"1.0"}`, "\xff\x00"} {
		msg := &nats.Msg{Subject: events.PublishSubject(webKey, volume.EventReady), Data: []byte(junk)}
		if _, err := tr.js.PublishMsg(testContext(t), msg); err != nil {
			t.Fatal(err)
		}
	}
	tr.publish(transition(dbKey, 2, volume.EventReady), first)
	var good, bad []uint64
	for stored, err := range events.Read(testContext(t), tr.js, events.Filter{}) {
		switch {
		case err == nil:
			good = append(good, stored.Sequence)
		case errors.Is(err, volume.ErrInvalidPayload):
			bad = append(bad, stored.Sequence)
		default:
			t.Fatal(err)
		}
	}
	if !slices.Equal(good, []uint64{1, 6}) || !slices.Equal(bad, []uint64{2, 3, 4, 5}) {
		t.Errorf("got good %v and bad %v", good, bad)
	}
}

func TestRead_Errors(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	full := newTrail(t)
	fill(t, full)
	tests := map[string]struct {
		ctx context.Context
		tr  *trail
	}{
		"no stream":     {testContext(t), &trail{js: natstest.Start(t).JetStream(t)}},
		"ended context": {ended, full},
	}
	for name, test := range tests {
		var got []error
		for _, err := range events.Read(test.ctx, test.tr.js, events.Filter{}) {
			got = append(got, err)
		}
		if len(got) != 1 || !errors.Is(got[0], volume.Unavailable) {
			t.Errorf("%s: got %v, want one error of class %s", name, got, volume.Unavailable)
		}
	}
}
