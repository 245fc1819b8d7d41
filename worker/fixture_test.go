package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds every wait of these tests; nothing is asserted about shorter times.
const limit = 30 * time.Second

// system is a real server on disk, the local backend on disk, and a worker that can be
// stopped and started again.
type system struct {
	t       testing.TB
	ctx     context.Context
	server  *natstest.Server
	nc      *nats.Conn
	js      jetstream.JetStream
	client  *commands.Client
	records kv.Volumes
	dir     string
	backend *hooked
	config  worker.Config
	stop    func() error
}

// hooked is the local driver with a say before and after each call that changes something.
type hooked struct {
	*local.Driver
	mu     sync.Mutex
	before func(ctx context.Context, call string, ref backends.Ref) error
	after  func(call string, ref backends.Ref) error
	calls  []string
	fault  error // of the last call that failed
	fence  func() error
	// clients are what an eviction fences: local itself has none.
	clients []string
}

func (h *hooked) around(ctx context.Context, call string, ref backends.Ref, do func() error) error {
	h.mu.Lock()
	h.calls = append(h.calls, call+" "+ref.Key.String())
	before, after := h.before, h.after
	h.mu.Unlock()
	if before != nil {
		if err := before(ctx, call, ref); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		h.mu.Lock()
		h.fault = err
		h.mu.Unlock()
		return err
	}
	if after != nil {
		return after(call, ref)
	}
	return nil
}

// hook replaces what happens around calls; nil means nothing.
func (h *hooked) hook(before func(context.Context, string, backends.Ref) error, after func(string, backends.Ref) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.after = before, after
}

// ref names the volume's object as its owner does.
func (s *system) ref(name string) backends.Ref {
	s.t.Helper()
	record := s.record(name)
	return backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}
}

// loseAnswers lets the backend do what it is called for and the worker not hear of it, until
// the next hook.
func (s *system) loseAnswers(call string) {
	s.backend.hook(nil, func(made string, _ backends.Ref) error {
		if made == call {
			return backends.Errorf(volume.Unavailable, "the answer is lost")
		}
		return nil
	})
}

// gate makes the named call for a volume wait until release is closed or its context
// ends. Each time it gets there it tells so on entered.
func (s *system) gate(call, name string) (entered, release chan struct{}) {
	entered, release = make(chan struct{}, 1), make(chan struct{})
	s.backend.hook(func(ctx context.Context, c string, ref backends.Ref) error {
		if c != call || ref.Key != key(name) {
			return nil
		}
		select {
		case entered <- struct{}{}:
		default: // nobody has taken the first yet
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil)
	return entered, release
}

// awaitCall waits until the backend is called, as gate tells it.
func (s *system) awaitCall(entered <-chan struct{}) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 4*limit)
	defer cancel()
	select {
	case <-entered:
	case <-ctx.Done():
		s.t.Fatal("backend: got no call, want one")
	}
}

func (h *hooked) lastFault() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fault
}

func (h *hooked) callsOf(key volume.Key) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var calls []string
	for _, call := range h.calls {
		var name, of string
		if _, err := fmt.Sscan(call, &name, &of); err == nil && of == key.String() {
			calls = append(calls, name)
		}
	}
	return calls
}

// fencing has every Fence ask f first.
func (h *hooked) fencing(f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fence = f
}

func (h *hooked) Fence(ctx context.Context, ref backends.Ref) error {
	h.mu.Lock()
	f := h.fence
	h.mu.Unlock()
	if f != nil {
		if err := f(); err != nil {
			return err
		}
	}
	return h.Driver.Fence(ctx, ref)
}

func (h *hooked) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	return h.around(ctx, "create", ref, func() error { return h.Driver.Create(ctx, ref, size) })
}

func (h *hooked) Delete(ctx context.Context, ref backends.Ref) error {
	return h.around(ctx, "delete", ref, func() error { return h.Driver.Delete(ctx, ref) })
}

func (h *hooked) Release(ctx context.Context, ref backends.Ref, name volume.Image) error {
	return h.around(ctx, "release", ref, func() error { return h.Driver.Release(ctx, ref, name) })
}

func (h *hooked) Import(ctx context.Context, ref backends.Ref, name volume.Image) (size volume.Bytes, err error) {
	err = h.around(ctx, "import", ref, func() (err error) {
		size, err = h.Driver.Import(ctx, ref, name)
		return err
	})
	return size, err
}

func (h *hooked) Importable(ctx context.Context, ref backends.Ref, name volume.Image) (found backends.Candidate, err error) {
	err = h.around(ctx, "importable", ref, func() (err error) {
		found, err = h.Driver.Importable(ctx, ref, name)
		return err
	})
	return found, err
}

func (h *hooked) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	return h.around(ctx, "resize", ref, func() error { return h.Driver.Resize(ctx, ref, size) })
}

func (h *hooked) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	return h.around(ctx, "detach", ref, func() error { return h.Driver.Detach(ctx, ref, node) })
}

func (h *hooked) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (a volume.Attachment, err error) {
	err = h.around(ctx, "attach", ref, func() (err error) {
		a, err = h.Driver.Attach(ctx, ref, node, mode)
		return err
	})
	return a, err
}

func (h *hooked) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (e backends.Eviction, err error) {
	h.mu.Lock()
	e.Clients = h.clients // fenced before anything goes wrong
	h.mu.Unlock()
	return e, h.around(ctx, "evict", ref, func() error {
		_, err := h.Driver.Evict(ctx, ref, node)
		return err
	})
}

func (h *hooked) Get(ctx context.Context, key volume.Key) (o backends.Object, err error) {
	err = h.around(ctx, "get", backends.Ref{Key: key}, func() (err error) {
		o, err = h.Driver.Get(ctx, key)
		return err
	})
	return o, err
}

func (h *hooked) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (made backends.Snapshot, err error) {
	err = h.around(ctx, "create_snapshot", ref, func() (err error) {
		made, err = h.Driver.CreateSnapshot(ctx, ref, name)
		return err
	})
	return made, err
}

func (h *hooked) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	return h.around(ctx, "delete_snapshot", ref, func() error { return h.Driver.DeleteSnapshot(ctx, ref, name) })
}

func (h *hooked) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	return h.around(ctx, "restore", ref, func() error { return h.Driver.Restore(ctx, ref, name) })
}

func (h *hooked) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	return h.around(ctx, "clone", target, func() error { return h.Driver.Clone(ctx, source, name, target, size) })
}

func (h *hooked) Flatten(ctx context.Context, ref backends.Ref) error {
	return h.around(ctx, "flatten", ref, func() error { return h.Driver.Flatten(ctx, ref) })
}

// quickRetry is the default policy with waits that a test can afford.
func quickRetry() fsm.RetryPolicy {
	p := fsm.DefaultRetryPolicy()
	p.InitialWait, p.MaxWait = 10*time.Millisecond, 100*time.Millisecond
	return p
}

// prepare starts everything but the worker.
func prepare(t testing.TB, change ...func(*worker.Config)) *system {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	t.Cleanup(cancel)
	s := &system{t: t, ctx: ctx, server: natstest.Start(t), dir: t.TempDir()}
	s.nc = s.server.Connect(t)
	js, err := jetstream.New(s.nc)
	s.must(err)
	s.js = js
	_, err = provision.Apply(ctx, js, provision.Options{})
	s.must(err)
	driver, err := local.Open(local.Options{Dir: s.dir})
	s.must(err)
	s.backend = &hooked{Driver: driver}
	s.records = kv.NewVolumes(js)
	s.client, err = commands.New(s.nc, commands.WithResendAfter(limit))
	s.must(err)
	t.Cleanup(func() { s.must(s.client.Close()) })
	backend := backends.New("local", s.backend, backends.Options{})
	t.Cleanup(func() { s.must(backend.Close()) })
	s.config = worker.Config{
		ID:             "worker-1",
		Backends:       map[string]*backends.Backend{"local": backend},
		DefaultBackend: "local",
		Retry:          quickRetry(),
		Logger:         zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	for _, f := range change {
		f(&s.config)
	}
	return s
}

// start starts everything, and stops it at the end of the test.
func start(t *testing.T, change ...func(*worker.Config)) *system {
	t.Helper()
	s := prepare(t, change...)
	s.startWorker()
	return s
}

func (s *system) startWorker() {
	s.t.Helper()
	s.stop = s.startAnother(s.config)
	s.t.Cleanup(func() { s.must(s.stop()) })
}

// startAnother starts a worker on a connection of its own and returns how to drain it.
func (s *system) startAnother(config worker.Config) (stop func() error) {
	s.t.Helper()
	return s.startOn(s.server.Connect(s.t), config)
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func key(name string) volume.Key { return volume.Key{Project: "default", Name: volume.Name(name)} }

// do sends a command and waits for its reply, whatever that says.
func (s *system) do(r commands.Request) commands.Reply {
	s.t.Helper()
	reply, err := s.client.Do(s.ctx, r)
	if err != nil && reply.Outcome == "" {
		s.t.Fatalf("%s %s: %v", r.Verb, r.Key, err)
	}
	return reply
}

func (s *system) create(name string, size volume.Bytes) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: size}})
}

func (s *system) attach(name string, node volume.Node) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbAttach, Args: volume.Args{Node: node, Mode: volume.ReadWrite}})
}

func (s *system) verb(name string, verb volume.Verb) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: verb})
}

// publish sends a command without waiting for its end.
func (s *system) publish(r commands.Request) commands.Receipt {
	s.t.Helper()
	receipt, err := s.client.Publish(s.ctx, r)
	s.must(err)
	return receipt
}

func (s *system) record(name string) volume.Record {
	s.t.Helper()
	entry, err := s.records.ByKey(s.ctx, key(name))
	s.must(err)
	return entry.Value
}

// events returns all events of a volume.
func (s *system) events(name string) []volume.Transition {
	s.t.Helper()
	var all []volume.Transition
	for stored, err := range events.Read(s.ctx, s.js, events.Filter{Project: "default", Volume: volume.Name(name)}) {
		s.must(err)
		all = append(all, stored.Data)
	}
	return all
}

// awaitEvent returns the first event of the volume, past or future, for which ok holds.
func (s *system) awaitEvent(name string, ok func(volume.Transition) bool) volume.Transition {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	for stored, err := range events.Read(ctx, s.js, events.Filter{Project: "default", Volume: volume.Name(name), Follow: true}) {
		s.must(err)
		if ok(stored.Data) {
			return stored.Data
		}
	}
	s.t.Fatalf("volume %s: the event did not come", name)
	return volume.Transition{}
}

func ofCommand(id volume.CommandID) func(volume.Transition) bool {
	return func(t volume.Transition) bool { return t.CommandID == id && t.Final }
}

func ofEvent(event volume.Event) func(volume.Transition) bool {
	return func(t volume.Transition) bool { return t.Event == event }
}

// wantReply checks result, state and error code of a reply.
func (s *system) wantReply(got commands.Reply, result volume.Result, state volume.State, code volume.Code) {
	s.t.Helper()
	var gotCode volume.Code
	if got.Failure != nil {
		gotCode = got.Failure.Code
	}
	if got.Outcome != result || got.State != state || gotCode != code {
		s.t.Fatalf("reply: got %s/%s/%s (%+v), want %s/%s/%s", got.Outcome, got.State, gotCode, got.Failure, result, state, code)
	}
}

// wantWitnesses compares the three witnesses of a volume: the record, the events, the
// backend. It is used at the end of tests that leave a volume settled.
func (s *system) wantWitnesses(name string, wanted ...volume.Event) {
	s.t.Helper()
	record, all := s.record(name), s.events(name)
	got := make([]volume.Event, 0, len(all))
	generation, state := uint64(0), volume.StatePending
	for _, e := range all {
		got = append(got, e.Event)
		if e.Event == volume.EventRejected {
			continue
		}
		generation++
		if e.Generation != generation || e.From != state {
			s.t.Errorf("event %s: generation %d from %s, want %d from %s", e.ID, e.Generation, e.From, generation, state)
		}
		state = e.To
	}
	if !slices.Equal(got, wanted) {
		s.t.Errorf("events of %s: got %v, want %v", name, got, wanted)
	}
	if record.Generation != generation || record.State != state || record.Op != nil {
		s.t.Errorf("record of %s: generation %d state %s op %v, events end with %d %s", name, record.Generation, record.State, record.Op, generation, state)
	}
	s.wantChain(name)
	s.wantBackend(record)
}

func (s *system) wantBackend(record volume.Record) {
	s.t.Helper()
	object, err := s.backend.Driver.Get(s.ctx, record.Key)
	switch record.State {
	case volume.StateAvailable, volume.StateAttached:
		s.must(err)
		if object.ID != record.ID || object.Size != record.Size || !reflect.DeepEqual(object.Attachments, record.Attachments) {
			s.t.Errorf("backend of %s: got %+v, record %+v", record.Key, object, record.Spec)
		}
		info, err := os.Stat(s.file(record.Key))
		s.must(err)
		if info.Size() != int64(record.Size) {
			s.t.Errorf("file of %s: %d bytes, want %d", record.Key, info.Size(), record.Size)
		}
	case volume.StateDeleted, volume.StatePending:
		if err == nil {
			s.t.Errorf("backend of %s: still there: %+v", record.Key, object)
		}
	}
}

func (s *system) file(k volume.Key) string { return filepath.Join(s.dir, k.String()+".img") }
