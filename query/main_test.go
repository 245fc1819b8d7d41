package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; nothing is asserted about shorter times.
const patience = 30 * time.Second

// world is a server with all streams and, after serve, a service.
type world struct {
	t       testing.TB
	ctx     context.Context
	nc      *nats.Conn
	js      jetstream.JetStream
	records kv.Volumes
	client  *query.Client
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, natstest.Start(t).Connect(t), 1)
}

func worldOn(t testing.TB, nc *nats.Conn, replicas int) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provision.Apply(ctx, js, provision.Options{Replicas: replicas}); err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, ctx: ctx, nc: nc, js: js, records: kv.NewVolumes(js),
		client: query.New(nc, query.WithTimeout(patience)),
	}
}

// serve starts a service that tells of one backend in memory.
func (w *world) serve(nc *nats.Conn, id string) *query.Service {
	w.t.Helper()
	backend := backends.New("fast", null.New(null.Options{}), backends.Options{})
	w.t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			w.t.Error(err)
		}
	})
	service, err := query.Serve(nc, query.Config{
		Worker: id, Version: "v1.2.3", DefaultBackend: "fast",
		Backends: map[string]*backends.Backend{"fast": backend},
		Policies: map[string]query.Policy{"fast": {MaxDepth: 7, Flatten: true}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := service.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	if err := nc.FlushTimeout(patience); err != nil {
		w.t.Fatal(err)
	}
	return service
}

func key(name string) volume.Key { return volume.Key{Project: "default", Name: volume.Name(name)} }

// record is that of an available volume.
func record(name string) volume.Record {
	k := key(name)
	return volume.Record{
		SchemaVersion: volume.SchemaVersion, Key: k, ID: volume.NewID(k, 1), State: volume.StateAvailable, Generation: 2,
		Spec: volume.Spec{Size: volume.GiB, Backend: "fast"},
	}
}

// put stores a record and returns its revision.
func (w *world) put(r volume.Record) uint64 {
	w.t.Helper()
	revision, err := w.records.Create(w.ctx, r.Key.String(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return revision
}

// join gives a worker a lease that does not expire.
func (w *world) join(id, instance string, partitions ...int) {
	w.t.Helper()
	lease := ownership.Lease{SchemaVersion: 1, Worker: id, Instance: instance, JoinedAt: time.Now().UTC(), Partitions: partitions}
	if _, err := kv.Open[ownership.Lease](w.js, kv.LeasesBucket).Create(w.ctx, ownership.LeaseKey(id), lease); err != nil {
		w.t.Fatal(err)
	}
}

// everyPartition is what a worker without others has.
func everyPartition() []int {
	all := make([]int, commands.Partitions)
	for i := range all {
		all[i] = i
	}
	return all
}

// command stores a command and returns its sequence.
func (w *world) command(name string, verb volume.Verb, id, payload string) uint64 {
	w.t.Helper()
	m := nats.NewMsg(commands.Subject(key(name), verb))
	m.Data = []byte(payload)
	if id != "" {
		m.Header.Set(commands.HeaderID, id)
	}
	m.Header.Set(commands.HeaderActor, "tester")
	ack, err := w.js.PublishMsg(w.ctx, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return ack.Sequence
}

// event stores an event of a volume.
func (w *world) event(name string, generation uint64) {
	w.t.Helper()
	transition := volume.Transition{
		ID: fmt.Sprintf("%s/%d", key(name), generation), Key: key(name), VolumeID: volume.NewID(key(name), 1),
		Event: volume.EventAttach, From: volume.StateAvailable, To: volume.StateAttaching, Generation: generation,
		CommandID: "c", Verb: volume.VerbAttach, Worker: "w1", Time: time.Now().UTC(),
	}
	data, err := events.Encode(transition)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.Publish(w.ctx, events.PublishSubject(key(name), transition.Event), data); err != nil {
		w.t.Fatal(err)
	}
}

// ask sends a request as any client would.
func (w *world) ask(endpoint query.Endpoint, data string) *nats.Msg {
	w.t.Helper()
	reply, err := w.nc.RequestWithContext(w.ctx, endpoint.Subject(), []byte(data))
	if err != nil {
		w.t.Fatalf("%s %s: %v", endpoint, data, err)
	}
	return reply
}
