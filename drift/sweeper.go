package drift

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Defaults of [Options].
const (
	DefaultInterval = time.Hour
	DefaultRate     = 50
	// DefaultSoon bounds the wait for the first sweep of a partition that was taken over.
	DefaultSoon = time.Minute
	// DefaultLeftAfter is how long an operation without its command is let be: its worker
	// may just have ended it.
	DefaultLeftAfter = time.Minute
)

// Partitions says what is to be swept; a [github.com/jetvol/jetvol/worker.Worker] does.
type Partitions interface {
	// Serves returns the partitions of this process, and a channel that is closed when that
	// may have changed.
	Serves() (partitions []int, changed <-chan struct{})
}

// Options say how a sweeper works. Zero values take the defaults.
type Options struct {
	// Partitions are those of a worker; nil for all, whoever serves them.
	Partitions Partitions
	// Backends by name. Volumes of others are skipped.
	Backends map[string]*backends.Backend
	// RecordOnly is the policy for volumes that a backend has lost, by its name: what the
	// workers have.
	RecordOnly map[string]volume.RecordOnly
	// Import says, by the backend's name, that orphans are taken into records.
	Import map[string]bool
	// Project limits a sweep to one; empty is all.
	Project volume.Project

	// Publish sends a command and returns once it is stored; nil publishes nothing.
	Publish func(ctx context.Context, request commands.Request) error
	// Findings is where to write what is found; nil writes nothing.
	Findings *Findings
	// Told, if set, is called with everything that is found, on the sweep's goroutine.
	Told func(Found)
	// Actor is in whose name commands are published.
	Actor string

	Interval  time.Duration // between sweeps, give or take a fifth
	Soon      time.Duration // within which a partition that was taken over is swept
	LeftAfter time.Duration // after which an operation without its command was left behind
	Rate      float64       // looks at backends a second

	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil: metrics are not exported
}

func (o Options) withDefaults() Options {
	setDefault(&o.Interval, DefaultInterval)
	setDefault(&o.Soon, DefaultSoon)
	setDefault(&o.LeftAfter, DefaultLeftAfter)
	setDefault(&o.Rate, DefaultRate)
	setDefault(&o.Registerer, prometheus.Registerer(prometheus.NewRegistry()))
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Found is one volume of which a sweep has something to tell.
type Found struct {
	// Finding has no differences if the record is only behind: it says error or pending
	// where a reconcile would say more, or has an operation that was left behind.
	Finding
	State volume.State // of the record, empty if there is none
	// Lost says that there is no record, and the volume's events say that there should be one.
	Lost bool
	// Left is the operation under way whose command is gone from the stream.
	Left volume.CommandID
	// Command is what settles it or writes it into the record; its Verb is empty if there
	// is nothing to be done. It is published if the sweeper does that.
	Command commands.Request
}

// Sweeper compares records and backends. Its methods are for one goroutine.
type Sweeper struct {
	options Options
	log     zerolog.Logger
	stream  jetstream.Stream
	records kv.Volumes
	events  *events.Publisher // only read from
	limiter *rate.Limiter
	metrics *metrics
	// candidatesAtOnce bounds how many objects a listing may leave to be confirmed.
	candidatesAtOnce int
}

// New returns a sweeper over the records of js. It returns [volume.ErrInvalidArgument] for
// options without sense, and [volume.Unavailable] if the command stream cannot be reached.
func New(ctx context.Context, js jetstream.JetStream, options Options) (*Sweeper, error) {
	options = options.withDefaults()
	if options.Interval < 0 || options.Soon < 0 || options.LeftAfter < 0 || options.Rate < 0 {
		return nil, volume.Errorf(volume.ErrInvalidArgument, "sweep: durations and rate: want 0 or more")
	}
	stream, err := js.Stream(ctx, commands.StreamName)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w: %w", commands.StreamName, volume.Unavailable, err)
	}
	told, err := events.NewPublisher(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", volume.Unavailable, err)
	}
	return &Sweeper{
		options: options,
		events:  told,
		log:     options.Logger,
		stream:  stream,
		records: kv.NewVolumes(js),
		limiter: newLimiter(options.Rate),
		metrics: newMetrics(options.Registerer),

		candidatesAtOnce: maxCandidates,
	}, nil
}

// newLimiter allows a tenth of a second's looks at once.
func newLimiter(looks float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(looks), max(1, int(looks/10)))
}

// look asks the backend what it has under the key, at the sweep's rate.
func (s *Sweeper) look(ctx context.Context, backend *backends.Backend, key volume.Key) (sight, error) {
	if err := s.limiter.Wait(ctx); err != nil {
		return sight{}, err
	}
	s.metrics.looks.Inc()
	object, err := backend.Get(ctx, key)
	if errors.Is(err, volume.NotFound) {
		return sight{}, nil
	}
	return sight{present: err == nil, object: object}, err
}

// awaited reports whether the stream has a command for the volume: its owner has something
// to do there.
func (s *Sweeper) awaited(ctx context.Context, key volume.Key) (bool, error) {
	_, err := s.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(commands.VolumeFilter(key)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for commands of volume %s: %w: %w", key, volume.Unavailable, err)
	}
	return true, nil
}

func now() time.Time { return time.Now().UTC().Round(0) }
