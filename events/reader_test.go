package events_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// fill stores eight events of three volumes and returns them as they are stored.
func fill(t *testing.T, tr *trail) []events.Stored {
	t.Helper()
	otherKey := volume.Key{Project: "shop", Name: "db-01"}
	last := map[volume.Key]uint64{}
	for _, event := range []volume.Transition{
		transition(dbKey, 1, volume.EventCreate),
		transition(webKey, 1, volume.EventCreate),
		transition(dbKey, 2, volume.EventReady),
		transition(otherKey, 1, volume.EventCreate),
		refusal(dbKey, 2, "c-2"),
		transition(webKey, 2, volume.EventReady),
		transition(dbKey, 3, volume.EventAttach),
		transition(otherKey, 2, volume.EventReady),
	} {
		last[event.Key] = tr.publish(event, last[event.Key])
	}
	var all []events.Stored
	for stored, err := range events.Read(testContext(t), tr.js, events.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored)
	}
	if len(all) != 8 {
		t.Fatalf("got %d events, want 8", len(all))
	}
	return all
}

func TestRead_Filters(t *testing.T) {
	tr := newTrail(t)
	all := fill(t, tr)
	tests := []struct {
		name   string
		filter events.Filter
		want   []uint64
	}{
		{"everything", events.Filter{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		{"project", events.Filter{Project: "shop"}, []uint64{2, 4, 6, 8}},
		{"name in every project", events.Filter{Volume: "db-01"}, []uint64{1, 3, 4, 5, 7, 8}},
		{"volume", events.Filter{Project: "default", Volume: "db-01"}, []uint64{1, 3, 5, 7}},
		{"event", events.Filter{Event: volume.EventReady}, []uint64{3, 6, 8}},
		{"volume and event", events.Filter{Project: "shop", Volume: "web-01", Event: volume.EventReady}, []uint64{6}},
		{"refusals", events.Filter{Event: volume.EventRejected}, []uint64{5}},
		{"nothing matches", events.Filter{Project: "nobody"}, nil},
		{"from", events.Filter{From: 6}, []uint64{6, 7, 8}},
		{"from, filtered", events.Filter{From: 4, Event: volume.EventReady}, []uint64{6, 8}},
		{"from the last", events.Filter{From: 8}, []uint64{8}},
		{"from beyond the end", events.Filter{From: 9}, nil},
		{"since", events.Filter{Since: all[4].StoredAt}, []uint64{5, 6, 7, 8}},
		{"since just after", events.Filter{Since: all[4].StoredAt.Add(1)}, []uint64{6, 7, 8}},
		{"since, filtered", events.Filter{Since: all[4].StoredAt, Project: "default"}, []uint64{5, 7}},
		{"since long ago", events.Filter{Since: all[0].StoredAt.Add(-time.Hour)}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
		{"since the future", events.Filter{Since: all[7].StoredAt.Add(time.Hour)}, nil},
		{"from goes before since", events.Filter{From: 7, Since: all[0].StoredAt}, []uint64{7, 8}},
		{"last", events.Filter{Last: true}, []uint64{8}},
		{"last of a volume", events.Filter{Last: true, Project: "default", Volume: "db-01"}, []uint64{7}},
		{"last of an event", events.Filter{Last: true, Event: volume.EventCreate}, []uint64{4}},
		{"last of nothing", events.Filter{Last: true, Project: "nobody"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []uint64
			for stored, err := range events.Read(testContext(t), tr.js, test.filter) {
				if err != nil {
					t.Fatal(err)
				}
				if want := all[stored.Sequence-1]; stored.ID != want.ID || !stored.StoredAt.Equal(want.StoredAt) {
					t.Errorf("got %s at %d, want %s", stored.ID, stored.Sequence, want.ID)
				}
				got = append(got, stored.Sequence)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRead_EmptyStream(t *testing.T) {
	for stored, err := range events.Read(testContext(t), newTrail(t).js, events.Filter{}) {
		t.Errorf("got %+v, %v, want nothing", stored, err)
	}
}

func TestRead_CallerBreaksOff(t *testing.T) {
	tr := newTrail(t)
	fill(t, tr)
	for _, follow := range []bool{false, true} {
		count := 0
		for _, err := range events.Read(testContext(t), tr.js, events.Filter{Follow: follow}) {
			if err != nil {
				t.Fatal(err)
			}
			if count++; count == 3 {
				break
			}
		}
		if count != 3 {
			t.Errorf("got %d events, want 3", count)
		}
	}
}

// TestRead_Follow: first what is there, then what comes, until the context ends.
func TestRead_Follow(t *testing.T) {
	tests := map[string]struct {
		filter events.Filter
		want   []uint64
	}{
		"all":              {events.Filter{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"from":             {events.Filter{From: 8}, []uint64{8, 9, 10}},
		"last of a volume": {events.Filter{Last: true, Project: "default", Volume: "db-01"}, []uint64{7, 9, 10}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTrail(t)
			fill(t, tr)
			test.filter.Follow = true
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			var got []uint64
			for stored, err := range events.Read(ctx, tr.js, test.filter) {
				if err != nil {
					t.Fatal(err)
				}
				if len(got) == 0 {
					after := tr.publish(transition(dbKey, 4, volume.EventAttached), 7)
					tr.publish(transition(dbKey, 5, volume.EventDetach), after)
				}
				if got = append(got, stored.Sequence); len(got) == len(test.want) {
					cancel()
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestRead_Follow_FromBeyondTheEnd: the next event is not told, the one after it is.
func TestRead_Follow_FromBeyondTheEnd(t *testing.T) {
	tr := newTrail(t)
	fill(t, tr)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	began := make(chan struct{})
	tr.js = signalling{tr.js, began}
	var publishing sync.WaitGroup
	publishing.Go(func() {
		<-began
		after := tr.publish(transition(dbKey, 4, volume.EventAttached), 7)
		tr.publish(transition(dbKey, 5, volume.EventDetach), after)
	})
	defer publishing.Wait()
	for stored, err := range events.Read(ctx, tr.js, events.Filter{From: 10, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if stored.Sequence != 10 {
			t.Errorf("got sequence %d, want 10", stored.Sequence)
		}
		break
	}
}

// signalling closes a channel once the reader's consumer is made.
type signalling struct {
	jetstream.JetStream
	made chan struct{}
}

func (s signalling) OrderedConsumer(ctx context.Context, stream string, config jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	defer close(s.made)
	return s.JetStream.OrderedConsumer(ctx, stream, config)
}

// TestRead_EndsUnderSteadyTraffic: events go on being stored after reading began, so that
// there are always more behind the one that is told.
func TestRead_EndsUnderSteadyTraffic(t *testing.T) {
	tr := newTrail(t)
	fill(t, tr)
	last, generation, told := uint64(7), uint64(3), 0
	more := func() {
		generation++
		last = tr.publish(transition(dbKey, generation, volume.EventRetry), last)
	}
	for _, err := range events.Read(testContext(t), busy{tr.js, more}, events.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		told++
		more()
	}
	if told != 8 {
		t.Errorf("got %d events, want the 8 that there were when reading began", told)
	}
}

// busy stores another event just before the reader gets its first one.
type busy struct {
	jetstream.JetStream
	more func()
}

func (b busy) OrderedConsumer(ctx context.Context, stream string, config jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := b.JetStream.OrderedConsumer(ctx, stream, config)
	return busyConsumer{consumer, b.more}, err
}

type busyConsumer struct {
	jetstream.Consumer
	more func()
}

func (c busyConsumer) Messages(options ...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error) {
	c.more()
	return c.Consumer.Messages(options...)
}
