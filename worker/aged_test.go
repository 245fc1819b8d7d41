package worker_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// lines are what a worker logs.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// age lets every event that is stored age out, and those that come do it as soon.
func (s *system) age() {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, events.StreamName)
	s.must(err)
	config := stream.CachedInfo().Config
	config.MaxAge, config.Duplicates = time.Second, time.Second
	_, err = s.js.UpdateStream(s.ctx, config)
	s.must(err)
	s.await("the end of all events", func() bool {
		info, err := stream.Info(s.ctx)
		s.must(err)
		return info.State.Msgs == 0
	})
}

// prune takes from the record of a volume at rest the events that are stored, as its next
// write would.
func (s *system) prune(name string) {
	s.t.Helper()
	entry, err := s.records.ByKey(s.ctx, key(name))
	s.must(err)
	stream, err := s.js.Stream(s.ctx, events.StreamName)
	s.must(err)
	entry.Value.Outbox, entry.Value.EventSequence = nil, stream.CachedInfo().State.LastSeq
	_, err = s.records.CompareAndSet(s.ctx, entry.Key, entry.Value, entry.Revision)
	s.must(err)
}

// told returns the events that a plain subscriber is told from now on.
func (s *system) told() func() []volume.Transition {
	s.t.Helper()
	sub, err := s.nc.SubscribeSync("volume.event.>")
	s.must(err)
	s.must(s.nc.Flush())
	return func() []volume.Transition {
		var all []volume.Transition
		s.must(s.nc.Flush())
		for {
			var msg *nats.Msg
			if msg, err = sub.NextMsg(time.Millisecond); err != nil {
				return all
			}
			envelope, err := events.Decode(msg.Data)
			s.must(err)
			all = append(all, envelope.Data)
		}
	}
}

// A volume that nobody touched for longer than events are kept has none on the stream. Its
// next command is like any other, for the worker that knows the volume and for one that does
// not, and nobody is told an event twice.
func TestWorker_AllEventsAgedOut_GoesOnWithTheNext(t *testing.T) {
	tests := map[string]struct{ another, pruned bool }{
		"the same worker": {},
		"another one":     {another: true},
		"another one, after a write without an event": {another: true, pruned: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := &lines{}
			s := start(t, func(c *worker.Config) { c.Logger = zerolog.New(log).Level(zerolog.WarnLevel) })
			s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
			s.awaitNoCommands()
			before := s.record("v")
			if test.pruned {
				s.prune("v")
			}
			s.age()
			told := s.told()
			if test.another {
				s.must(s.stop())
				s.config.ID = "worker-2"
				s.startWorker()
			}
			reply := s.attach("v", "n1")
			s.wantReply(reply, volume.Succeeded, volume.StateAttached, "")
			if reply.Repeat {
				t.Error("the first answer says that it is a repeat")
			}
			s.awaitNoCommands()
			var got []volume.Event
			hash := before.EventHash
			for _, e := range told() {
				got = append(got, e.Event)
				if e.Previous != hash {
					t.Errorf("event %s: tied to %q, want %q", e.ID, e.Previous, hash)
				}
				var err error
				hash, err = events.Chain(&e, e.Previous)
				s.must(err)
			}
			if want := []volume.Event{volume.EventAttach, volume.EventAttached}; !slices.Equal(got, want) {
				t.Errorf("got events %v, want %v", got, want)
			}
			if record := s.record("v"); record.EventHash != hash || record.Generation != before.Generation+2 {
				t.Errorf("record: got hash %q, generation %d, want %q, %d", record.EventHash, record.Generation, hash, before.Generation+2)
			}
			if text := log.String(); text != "" {
				t.Errorf("logged: %s", text)
			}
		})
	}
}
