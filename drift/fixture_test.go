package drift_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds every wait of these tests.
const limit = 60 * time.Second

// hooked is the local driver with a say before each look.
type hooked struct {
	*local.Driver
	mu     sync.Mutex
	before func(ctx context.Context, call string, key volume.Key) error
	looks  int
}

func (h *hooked) hook(before func(context.Context, string, volume.Key) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = before
}

func (h *hooked) ask(ctx context.Context, call string, key volume.Key) error {
	h.mu.Lock()
	before := h.before
	if call == "get" {
		h.looks++
	}
	h.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, call, key)
}

func (h *hooked) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if err := h.ask(ctx, "get", key); err != nil {
		return backends.Object{}, err
	}
	return h.Driver.Get(ctx, key)
}

func (h *hooked) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if err := h.ask(ctx, "attach", ref.Key); err != nil {
		return volume.Attachment{}, err
	}
	return h.Driver.Attach(ctx, ref, node, mode)
}

// system is a real server, a local backend on disk, and workers that are started as a test
// wants them.
type system struct {
	t        *testing.T
	ctx      context.Context
	server   *natstest.Server
	js       jetstream.JetStream
	client   *commands.Client
	records  kv.Volumes
	findings drift.Findings
	driver   *hooked
	backend  *backends.Backend
}

func prepare(t *testing.T) *system {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	t.Cleanup(cancel)
	s := &system{t: t, ctx: ctx, server: natstest.Start(t)}
	s.js = s.server.JetStream(t)
	_, err := provision.Apply(ctx, s.js, provision.Options{})
	s.must(err)
	driver, err := local.Open(local.Options{Dir: t.TempDir()})
	s.must(err)
	s.driver = &hooked{Driver: driver}
	s.backend = backends.New("local", s.driver, backends.Options{})
	t.Cleanup(func() { s.must(s.backend.Close()) })
	s.records, s.findings = kv.NewVolumes(s.js), drift.NewFindings(s.js)
	s.client, err = commands.New(s.server.Connect(t), commands.WithResendAfter(limit))
	s.must(err)
	t.Cleanup(func() { s.must(s.client.Close()) })
	return s
}

// start is prepare with one worker.
func start(t *testing.T) *system {
	t.Helper()
	s := prepare(t)
	s.work("worker-1")
	return s
}

func (s *system) backends() map[string]*backends.Backend {
	return map[string]*backends.Backend{"local": s.backend}
}

// work starts a worker, which is drained by what is returned or at the end of the test.
func (s *system) work(id string, change ...func(*worker.Config)) (*worker.Worker, func()) {
	s.t.Helper()
	retry := fsm.DefaultRetryPolicy()
	retry.InitialWait, retry.MaxWait = 10*time.Millisecond, 100*time.Millisecond
	config := worker.Config{ID: id, Backends: s.backends(), DefaultBackend: "local", Retry: retry, Logger: s.logger()}
	for _, f := range change {
		f(&config)
	}
	w, err := worker.New(s.ctx, s.server.Connect(s.t), config)
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("worker %s: %v", id, err)
		}
	})
	s.t.Cleanup(stop)
	select {
	case <-w.Ready():
	case <-s.ctx.Done():
		s.t.Fatal("worker is not ready")
	}
	return w, stop
}

func (s *system) logger() zerolog.Logger {
	return zerolog.New(zerolog.NewTestWriter(s.t)).Level(zerolog.ErrorLevel)
}

// options are those of a sweeper that does everything, as fast as it can.
func (s *system) options() drift.Options {
	return drift.Options{
		Backends: s.backends(), Rate: 1e6, Findings: &s.findings, Actor: "sweep", Logger: s.logger(),
		Publish: func(ctx context.Context, r commands.Request) error {
			_, err := s.client.Publish(ctx, r)
			return err
		},
	}
}

func (s *system) sweeper(change ...func(*drift.Options)) *drift.Sweeper {
	s.t.Helper()
	options := s.options()
	for _, f := range change {
		f(&options)
	}
	sweeper, err := drift.New(s.ctx, s.js, options)
	s.must(err)
	return sweeper
}

// sweep sweeps everything once.
func (s *system) sweep(change ...func(*drift.Options)) drift.Report {
	s.t.Helper()
	report, err := s.sweeper(change...).Sweep(s.ctx, drift.All())
	s.must(err)
	return report
}

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func key(name string) volume.Key { return volume.Key{Project: "default", Name: volume.Name(name)} }

// do sends a command and wants it to succeed.
func (s *system) do(name string, verb volume.Verb, args volume.Args) commands.Reply {
	s.t.Helper()
	reply, err := s.client.Do(s.ctx, commands.Request{Key: key(name), Verb: verb, Args: args})
	if err != nil {
		s.t.Fatalf("%s %s: %v", verb, name, err)
	}
	return reply
}

func (s *system) create(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.do(name, volume.VerbCreate, volume.Args{Size: volume.MiB})
	}
}

func (s *system) attach(name string, node volume.Node) {
	s.t.Helper()
	s.do(name, volume.VerbAttach, volume.Args{Node: node, Mode: volume.ReadWrite})
}

func (s *system) record(name string) volume.Record {
	s.t.Helper()
	entry, err := s.records.ByKey(s.ctx, key(name))
	s.must(err)
	return entry.Value
}

// ref names a volume's object as a caller whom no fence keeps out.
func (s *system) ref(name string) backends.Ref {
	r := s.record(name)
	return backends.Ref{Key: r.Key, ID: r.ID, Epoch: r.Owner.Epoch}
}

// orphan makes an object without a record.
func (s *system) orphan(name string) volume.ID {
	s.t.Helper()
	id := volume.NewID(key(name), 7)
	s.must(s.driver.Create(s.ctx, backends.Ref{Key: key(name), ID: id}, 2*volume.MiB))
	return id
}

// finding returns what the bucket says of a volume, and whether it says anything.
func (s *system) finding(name string) (drift.Finding, bool) {
	s.t.Helper()
	entry, err := s.findings.Get(s.ctx, name)
	if errors.Is(err, kv.ErrNotFound) {
		return drift.Finding{}, false
	}
	s.must(err)
	return entry.Value, true
}

// want checks the differences of a volume's finding: "ghost: wanted 1MiB, actual nothing".
func (s *system) want(name string, differences ...string) {
	s.t.Helper()
	finding, _ := s.finding(key(name).String())
	var got []string
	for _, d := range finding.Differences {
		got = append(got, d.String())
	}
	if !slices.Equal(got, differences) {
		s.t.Errorf("finding of %s: got %q, want %q", name, got, differences)
	}
}

// settle waits until no command is in the stream.
func (s *system) settle() {
	s.t.Helper()
	s.await("an empty command stream", func() bool { return s.messages(commands.StreamName) == 0 })
}

// await polls, within a bound.
func (s *system) await(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s after %s", what, limit)
		}
	}
}

func (s *system) info(stream string) jetstream.StreamState {
	s.t.Helper()
	found, err := s.js.Stream(s.ctx, stream)
	s.must(err)
	return found.CachedInfo().State
}

func (s *system) messages(stream string) uint64 { return s.info(stream).Msgs }

// trail is how far the streams are that tell what happened.
func (s *system) trail() string {
	return fmt.Sprintf("commands up to %d, events up to %d, records up to %d", s.info(commands.StreamName).LastSeq,
		s.info(events.StreamName).LastSeq, s.info("KV_"+kv.VolumesBucket).LastSeq)
}
