package commands_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait of a test; none should come near it.
const testTimeout = 20 * time.Second

var db01 = volume.Key{Project: "default", Name: "db-01"}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func startConnected(t testing.TB) *nats.Conn {
	t.Helper()
	return natstest.Start(t).Connect(t)
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func createStream(t testing.TB, nc *nats.Conn, config jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	stream, err := jetStream(t, nc).CreateStream(testContext(t), config)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func newClient(t testing.TB, nc *nats.Conn, opts ...commands.Option) *commands.Client {
	t.Helper()
	client, err := commands.New(nc, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// delivery is one command as the fake worker got it.
type delivery struct {
	number   int // 1, 2, 3 … of this worker
	envelope commands.Envelope
}

// startWorker consumes the command stream and calls handle with each command.
func startWorker(t testing.TB, nc *nats.Conn, handle func(delivery)) {
	t.Helper()
	config := jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy}
	consumer, err := jetStream(t, nc).CreateConsumer(testContext(t), commands.StreamName, config)
	if err != nil {
		t.Fatal(err)
	}
	var number atomic.Int64
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		envelope, err := decodeDelivered(msg)
		if err != nil {
			t.Errorf("decode %s: %v", msg.Subject(), err)
		}
		handle(delivery{int(number.Add(1)), envelope})
		if err := msg.Ack(); err != nil {
			t.Errorf("ack %s: %v", msg.Subject(), err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consuming.Stop(); <-consuming.Closed() })
}

func decodeDelivered(msg jetstream.Msg) (commands.Envelope, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return commands.Envelope{}, err
	}
	return commands.Decode(commands.Incoming{
		Subject:  msg.Subject(),
		Header:   msg.Headers(),
		Data:     msg.Data(),
		Sequence: meta.Sequence.Stream,
		StoredAt: meta.Timestamp,
	})
}

// answer sends the reply that a command ended with the given outcome.
func answer(t testing.TB, nc *nats.Conn, envelope commands.Envelope, outcome volume.Outcome, repeat bool) {
	t.Helper()
	outcome.CommandID = envelope.ID
	publishJSON(t, nc, envelope.Reply, commands.NewReply(envelope.Key, outcome, repeat))
}

func publishJSON(t testing.TB, nc *nats.Conn, subject string, value any) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Error(err)
		return
	}
	if err := nc.Publish(subject, data); err != nil {
		t.Error(err)
	}
}

// succeed answers every command with success and the state available.
func succeed(t testing.TB, nc *nats.Conn) func(delivery) {
	return func(d delivery) {
		answer(t, nc, d.envelope, volume.Outcome{Result: volume.Succeeded, State: volume.StateAvailable, Generation: 2}, d.number > 1)
	}
}

// receive returns the next value of a channel, or fails the test.
func receive[T any](t testing.TB, values <-chan T) T {
	t.Helper()
	select {
	case value := <-values:
		return value
	case <-time.After(testTimeout):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
