package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

// delivered returns a worker that does not run, and a command as a real server delivers it.
func delivered(t testing.TB) (*Worker, jetstream.Msg) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	server := natstest.Start(t)
	js := server.JetStream(t)
	_, err := provision.Apply(t.Context(), js, provision.Options{})
	must(err)
	backend := backends.New("null", null.New(null.Options{}), backends.Options{})
	t.Cleanup(func() { must(backend.Close()) })
	w, err := New(t.Context(), server.Connect(t), Config{
		ID: "worker-1", Backends: map[string]*backends.Backend{"null": backend}, DefaultBackend: "null", Logger: zerolog.Nop(),
	})
	must(err)
	t.Cleanup(w.lanes.Dismiss)
	msg, err := commands.NewMessage(volume.Command{
		ID: "c-1", Key: volume.Key{Project: "default", Name: "db-01"}, Verb: volume.VerbCreate, Actor: "alice",
		Args: volume.Args{Size: volume.GiB},
	}, "_INBOX.1")
	must(err)
	_, err = js.PublishMsg(t.Context(), msg)
	must(err)
	consumer, err := w.stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	must(err)
	came, err := consumer.Next(jetstream.FetchMaxWait(10 * time.Second))
	must(err)
	return w, came
}

// laneWorks lead a command to its lane: decoded with what the delivery adds; put into a lane
// that is there and taken out again; put into one that begins and, having nothing that it may
// go on with, is freed.
func laneWorks(t testing.TB) []alloctest.Work {
	t.Helper()
	w, msg := delivered(t)
	meta, err := msg.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	d := newDelivery(msg, meta)
	serving, ending := tenureOf(t, w), tenureOf(t, w)
	ending.stopTaking()
	there := &lane{tenure: serving, key: d.laneKey()}
	return []alloctest.Work{
		{Name: "do=decode", Allocs: 19, Do: func() error {
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			return newDelivery(msg, meta).err
		}},
		{Name: "do=dispatch/lane=there", Allocs: 1, Do: func() error {
			serving.active[there.key] = there
			serving.dispatch(d)
			if serving.nextOf(there) != d {
				return errors.New("the lane has not got the command")
			}
			serving.release(d)
			return nil
		}},
		{Name: "do=dispatch/lane=new", Allocs: 3, Do: func() error {
			ending.dispatch(d)
			w.lanes.running.Wait()
			ending.release(d)
			if len(ending.active) > 0 {
				return errors.New("a lane without work is still there")
			}
			return nil
		}},
	}
}

func tenureOf(t testing.TB, w *Worker) *tenure {
	t.Helper()
	tenure, err := newTenure(t.Context(), w.partitions[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return tenure
}

func BenchmarkLane(b *testing.B) { alloctest.Benchmark(b, laneWorks(b)) }

func TestAllocations_OfLanes_WithinTheirBounds(t *testing.T) { alloctest.Test(t, laneWorks(t)) }
