package events_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; none should come near it.
const testTimeout = 30 * time.Second

var (
	dbKey  = volume.Key{Project: "default", Name: "db-01"}
	webKey = volume.Key{Project: "shop", Name: "web-01"}
)

// trail is a server with an event stream and a publisher.
type trail struct {
	t         testing.TB
	server    *natstest.Server
	js        jetstream.JetStream
	publisher *events.Publisher
}

func newTrail(t testing.TB) *trail {
	t.Helper()
	server := natstest.Start(t)
	tr := &trail{t: t, server: server, js: server.JetStream(t)}
	if _, err := tr.js.CreateStream(testContext(t), events.StreamConfig(1)); err != nil {
		t.Fatal(err)
	}
	tr.publisher = tr.newPublisher()
	return tr
}

func (tr *trail) newPublisher() *events.Publisher {
	tr.t.Helper()
	publisher, err := events.NewPublisher(testContext(tr.t), tr.js)
	if err != nil {
		tr.t.Fatal(err)
	}
	return publisher
}

// publish stores one event and returns its sequence.
func (tr *trail) publish(transition volume.Transition, after uint64) uint64 {
	tr.t.Helper()
	sequence, err := tr.tryPublish(transition, after)
	if err != nil {
		tr.t.Fatal(err)
	}
	return sequence
}

func (tr *trail) tryPublish(transition volume.Transition, after uint64) (uint64, error) {
	tr.t.Helper()
	pending, err := tr.publisher.Start(transition, after)
	if err != nil {
		return 0, err
	}
	return pending.Wait(testContext(tr.t))
}

// messages returns how many messages the stream holds.
func (tr *trail) messages() uint64 {
	tr.t.Helper()
	stream, err := tr.js.Stream(testContext(tr.t), events.StreamName)
	if err != nil {
		tr.t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// transition returns an event of a volume with only what the stream cares about.
func transition(key volume.Key, generation uint64, event volume.Event) volume.Transition {
	return volume.Transition{
		ID: fmt.Sprintf("%s/%d", key, generation), Key: key, VolumeID: volume.NewID(key, 1), Event: event,
		From: volume.StatePending, To: volume.StateCreating, Generation: generation,
		CommandID: "c-1", CommandDigest: "d1", CommandSequence: 1, Verb: volume.VerbCreate, Worker: "w1", Attempt: 1,
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Spec: volume.Spec{Size: volume.GiB, Backend: "local"},
	}
}

// refusal returns the event of a refused command.
func refusal(key volume.Key, generation uint64, command volume.CommandID) volume.Transition {
	t := transition(key, generation, volume.EventRejected)
	t.ID = fmt.Sprintf("%s/rejected/%s", key, command)
	t.CommandID, t.To, t.Final = command, t.From, true
	return t
}
