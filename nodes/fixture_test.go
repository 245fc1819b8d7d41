package nodes_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds every wait of these tests.
const limit = 60 * time.Second

// hooked is the null driver with a say before evictions and attaches.
type hooked struct {
	*null.Driver
	mu     sync.Mutex
	before func(ctx context.Context, call string, ref backends.Ref) error
}

func (h *hooked) hook(before func(context.Context, string, backends.Ref) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = before
}

func (h *hooked) ask(ctx context.Context, call string, ref backends.Ref) error {
	h.mu.Lock()
	before := h.before
	h.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, call, ref)
}

func (h *hooked) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	if err := h.ask(ctx, "evict", ref); err != nil {
		return backends.Eviction{}, err
	}
	return h.Driver.Evict(ctx, ref, node)
}

func (h *hooked) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if err := h.ask(ctx, "attach", ref); err != nil {
		return volume.Attachment{}, err
	}
	return h.Driver.Attach(ctx, ref, node, mode)
}

// system is a real server with a worker over the null driver.
type system struct {
	t       *testing.T
	ctx     context.Context
	js      jetstream.JetStream
	backend *hooked
	records kv.Volumes
	client  *commands.Client
	nodes   *nodes.Client
}

func start(t *testing.T) *system {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	server := natstest.Start(t)
	s := &system{t: t, ctx: ctx, js: server.JetStream(t), backend: &hooked{Driver: null.New(null.Options{})}}
	_, err := provision.Apply(ctx, s.js, provision.Options{})
	s.must(err)
	s.records = kv.NewVolumes(s.js)
	s.client, err = commands.New(server.Connect(t))
	s.must(err)
	t.Cleanup(func() { s.must(s.client.Close()) })
	s.nodes = nodes.New(s.records, s.client)
	backend := backends.New("null", s.backend, backends.Options{})
	t.Cleanup(func() { s.must(backend.Close()) })
	retry := fsm.DefaultRetryPolicy()
	retry.InitialWait = time.Millisecond
	w, err := worker.New(ctx, server.Connect(t), worker.Config{
		ID: "worker-1", Backends: map[string]*backends.Backend{"null": backend}, DefaultBackend: "null",
		Retry: retry, Logger: zerolog.Nop(),
	})
	s.must(err)
	ended := make(chan error, 1)
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() { ended <- w.Run(working) }()
	t.Cleanup(func() { stop(); s.must(<-ended) })
	return s
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func key(name string) volume.Key { return volume.Key{Project: "default", Name: volume.Name(name)} }

// attached makes a volume that the nodes hold: one of them to write, several to read.
func (s *system) attached(k volume.Key, holders ...volume.Node) {
	s.t.Helper()
	_, err := s.client.Create(s.ctx, k, volume.Args{Size: volume.MiB})
	s.must(err)
	mode := volume.ReadWrite
	if len(holders) > 1 {
		mode = volume.ReadOnly
	}
	for _, node := range holders {
		_, err := s.client.Attach(s.ctx, k, node, mode)
		s.must(err)
	}
}

// many returns the keys of volumes made beside each other.
func (s *system) many(count int, holders ...volume.Node) []volume.Key {
	s.t.Helper()
	keys := make([]volume.Key, count)
	var making sync.WaitGroup
	for i := range keys {
		keys[i] = key(fmt.Sprintf("v%02d", i))
		making.Go(func() { s.attached(keys[i], holders...) })
	}
	making.Wait()
	return keys
}

func (s *system) record(k volume.Key) volume.Record {
	s.t.Helper()
	entry, err := s.records.ByKey(s.ctx, k)
	s.must(err)
	return entry.Value
}

// told counts the events of one kind of a volume.
func (s *system) told(k volume.Key, event volume.Event) int {
	s.t.Helper()
	count := 0
	for stored, err := range events.Read(s.ctx, s.js, events.Filter{Project: k.Project, Volume: k.Name}) {
		s.must(err)
		if stored.Data.Event == event {
			count++
		}
	}
	return count
}

func (s *system) held(node volume.Node) []nodes.Holding {
	s.t.Helper()
	found, err := nodes.List(s.ctx, s.records, nodes.Filter{Node: node})
	s.must(err)
	return found
}
