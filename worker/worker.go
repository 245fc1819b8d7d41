// Package worker carries out volume commands.
//
// A [Worker] owns partitions of the command stream. For each it holds one lane per
// volume that has work: commands of one volume run one after another in the order they
// were published, volumes run beside each other. What a lane does with one command is
// in execute.go, and is the heart of jetvol:
//
//	decide → store the record with its event (compare-and-set) → publish the event
//	       → call the backend → store the result → publish → reply → ack
//
// A command is acknowledged last. A worker that dies anywhere leaves it unacknowledged;
// the next owner finds the operation in the record and goes on from there.
package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// Defaults of a [Config].
const (
	DefaultConcurrency   = 256
	DefaultMaxAckPending = 2048
	DefaultAckWait       = 10 * time.Minute
	DefaultDrainTimeout  = 30 * time.Second
	// DefaultRequestTimeout is short: where a leader was lost, asking anew is the way on.
	DefaultRequestTimeout = 2 * time.Second
	// DefaultTombstoneTTL is how long the record of a deleted volume is kept, with the
	// answers to its last commands.
	DefaultTombstoneTTL = kv.DefaultOutcomeRetention
)

// Timings of ownership; the TTL of a pin has to exceed the expiry of a pull.
const (
	pinnedTTL     = 3 * time.Second
	pullExpiry    = time.Second
	pullHeartbeat = 500 * time.Millisecond
	pullMessages  = 256 // asked for at once
	// PriorityGroup is the group in which workers pull: of them the server serves one.
	PriorityGroup = "worker"
	// publishesPerCommand is more than one command ever has in flight: no publish waits for others.
	publishesPerCommand = 2 * spillsAtOnce
	// takeoverPause is the wait before a partition is taken up again after it was lost.
	takeoverPause = 200 * time.Millisecond
	// lookInterval is how often an owner asks whether its deliveries come to it.
	lookInterval = 5 * time.Second
	// headsPerPartition bounds how many idle volumes' records are remembered: of 16 partitions so
	// many that a worker takes less than 64 MiB (docs/performance.md).
	headsPerPartition = 96
)

// Config is what a worker needs. Zero values take the defaults.
type Config struct {
	// ID names the worker in events and logs; it must be unique among live workers.
	ID string
	// Backends by name, and the one that a create without a backend gets.
	Backends       map[string]*backends.Backend
	DefaultBackend string
	// Clones says, by the backend's name, how deep clones of clones may get.
	Clones map[string]ClonePolicy
	// RecordOnly says, by the backend's name, what becomes of a volume that the backend does
	// not have any more. A backend that is not named has the default policy.
	RecordOnly map[string]volume.RecordOnly

	Retry       fsm.RetryPolicy
	Concurrency int // commands worked on at once, waits for a retry not counted
	// MaxAckPending bounds the commands taken from one partition and not yet ended. Once
	// so many wait behind volumes that do not get on, the partition's others wait too.
	MaxAckPending int
	AckWait       time.Duration // after which the server takes a silent worker for dead
	DrainTimeout  time.Duration // for running backend calls when the worker stops
	// ReplaceLease says that no other process runs under this ID, even if a lease says so.
	ReplaceLease bool
	// LeaseTTL is how long the worker counts as alive without a sign of life, in whole
	// seconds.
	LeaseTTL       time.Duration
	RequestTimeout time.Duration // of one request to JetStream
	TombstoneTTL   time.Duration // rounded to seconds by the server
	// ProgressInterval is how often a long operation tells how far it has come.
	ProgressInterval time.Duration

	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil: metrics are not exported
	Tracer     *telemetry.Tracer     // nil: there are no traces
}

func (c Config) withDefaults() Config {
	setDefault(&c.Concurrency, DefaultConcurrency)
	setDefault(&c.MaxAckPending, DefaultMaxAckPending)
	setDefault(&c.AckWait, DefaultAckWait)
	setDefault(&c.DrainTimeout, DefaultDrainTimeout)
	setDefault(&c.RequestTimeout, DefaultRequestTimeout)
	setDefault(&c.TombstoneTTL, DefaultTombstoneTTL)
	setDefault(&c.ProgressInterval, DefaultProgressInterval)
	setDefault(&c.LeaseTTL, ownership.DefaultTTL)
	setDefault(&c.Retry, fsm.DefaultRetryPolicy())
	setDefault(&c.Registerer, prometheus.Registerer(prometheus.NewRegistry()))
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	if err := ownership.ValidateID(c.ID); err != nil {
		return err
	}
	if c.Backends[c.DefaultBackend] == nil {
		return volume.Errorf(volume.ErrUnknownBackend, "default backend %q is not configured", c.DefaultBackend)
	}
	return c.Retry.Validate()
}

// Worker carries out the commands of the partitions that it owns.
type Worker struct {
	config    Config
	log       zerolog.Logger
	nc        *nats.Conn
	js        jetstream.JetStream
	stream    jetstream.Stream
	records   kv.Volumes
	outcomes  kv.Outcomes
	chains    *snapshots.Store
	quotas    *quotas.Books
	publisher *events.Publisher
	member    *ownership.Member
	slots     *semaphore.Weighted
	lanes     *crew // of all partitions
	metrics   *metrics
	// partitions are all there are, of which the worker serves some.
	partitions []*partition
	over       chan struct{} // closed when Run has ended
}

// New returns a worker on nc, whose streams must exist. It returns a
// [volume.ErrInvalidArgument] or [volume.ErrUnknownBackend] for a wrong config, and
// [volume.Unavailable] if a stream cannot be reached.
func New(ctx context.Context, nc *nats.Conn, config Config) (*Worker, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc,
		jetstream.WithDefaultTimeout(config.RequestTimeout),
		jetstream.WithPublishAsyncTimeout(config.RequestTimeout),
		jetstream.WithPublishAsyncMaxPending(publishesPerCommand*config.Concurrency))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	stream, err := js.Stream(ctx, commands.StreamName)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w: %w", commands.StreamName, volume.Unavailable, err)
	}
	publisher, err := events.NewPublisher(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", volume.Unavailable, err)
	}
	log := config.Logger.With().Str("worker", config.ID).Logger()
	member, err := ownership.New(js, ownership.Config{
		ID: config.ID, Partitions: commands.Partitions, Replace: config.ReplaceLease, TTL: config.LeaseTTL, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	w := &Worker{
		config:    config,
		log:       log,
		nc:        nc,
		js:        js,
		stream:    stream,
		records:   kv.NewVolumes(js),
		outcomes:  kv.NewOutcomes(js),
		chains:    snapshots.New(js),
		quotas:    quotas.NewBooks(js, member.Instance(), log),
		publisher: publisher,
		member:    member,
		slots:     semaphore.NewWeighted(int64(config.Concurrency)),
		lanes:     newCrew(config.Concurrency),
		metrics:   newMetrics(config.Registerer),
	}
	for number := range commands.Partitions {
		w.partitions = append(w.partitions, newPartition(w, number))
	}
	w.over = make(chan struct{})
	w.registerGauges(config.Registerer)
	return w, nil
}

// Ready is closed once commands are taken from every partition that is this worker's
// share; more workers than partitions leave some without any.
func (w *Worker) Ready() <-chan struct{} { return w.member.Served() }

// Serves returns the partitions that this worker takes commands from now, in their order,
// and a channel that is closed at the next change, of them or of anything else. Whose is a
// volume tells [commands.PartitionOf].
func (w *Worker) Serves() (partitions []int, changed <-chan struct{}) { return w.member.Serves() }

// Run works until ctx ends, then drains: it takes no further commands, lets running
// backend calls end within the drain timeout, and hands the rest over at once. What it
// has not finished stays unacknowledged and is carried on by the next owner. It returns
// nil after a complete drain, [volume.Aborted] if calls were still running at its end,
// and [ownership.ErrTaken] if another live worker has the same ID.
func (w *Worker) Run(ctx context.Context) error {
	defer close(w.over)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Membership and work outlive ctx: stopping is not failing.
	living, leave := context.WithCancel(context.WithoutCancel(ctx))
	work, stopWork := context.WithCancelCause(living)
	member := make(chan error, 1)
	go func() {
		err := w.member.Run(living)
		stop(err)
		member <- err
	}()
	context.AfterFunc(ctx, func() {
		w.member.Drain()
		timer := time.AfterFunc(w.config.DrainTimeout, func() { stopWork(errDrainTimeout) })
		context.AfterFunc(work, func() { timer.Stop() })
	})

	go func() {
		select {
		case <-w.Ready():
			w.log.Info().Int("workers", len(w.member.Leases())).Msg("worker ready")
		case <-living.Done():
		}
	}()
	var partitions sync.WaitGroup
	for _, p := range w.partitions {
		partitions.Go(func() { p.run(ctx, work) })
	}
	partitions.Wait()
	w.lanes.Dismiss()
	overdue := errors.Is(context.Cause(work), errDrainTimeout)
	stopWork(nil)
	w.quotas.Wait()
	leave()
	if err := <-member; err != nil {
		return err
	}
	if overdue {
		return fmt.Errorf("drain worker %s: %w: %w", w.config.ID, errDrainTimeout, volume.Aborted)
	}
	w.log.Info().Msg("worker drained")
	return nil
}

var errDrainTimeout = errors.New("backend calls outlasted the drain timeout")

// backend returns the backend of the name, or an [volume.ErrUnknownBackend].
func (w *Worker) backend(name string) (*backends.Backend, error) {
	if b := w.config.Backends[name]; b != nil {
		return b, nil
	}
	return nil, volume.Errorf(volume.ErrUnknownBackend, "backend %q is not configured, there is %s",
		name, strings.Join(slices.Sorted(maps.Keys(w.config.Backends)), ", "))
}
