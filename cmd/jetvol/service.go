package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/config"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const defaultDir = "./jetvol-data"

// volumesDir is where the local backend keeps its files, within --dir.
const volumesDir = "volumes"

// telemetryShutdown bounds the wait for somebody who still reads metrics.
const telemetryShutdown = 2 * time.Second

// workerFlags are the flags of a process that runs a worker.
type workerFlags struct {
	id           string
	dir          string
	backend      string
	journal      string
	nullLatency  time.Duration
	metrics      string
	pprof        bool
	concurrency  int
	drainTimeout time.Duration
	logLevel     string
	// alone says that the server is this process's own: a former process of it is dead.
	alone bool
	sweep sweepFlags
	// file is the configuration file, if any; backends is what it or the flags say.
	file     string
	backends config.Config
}

// fileFlag names the configuration file. It takes the place of the flags below.
const fileFlag = "config"

var backendFlags = []string{"backend", "local-journal", "null-latency"}

func (f *workerFlags) register(command *cobra.Command, defaultLevel string) {
	flags := command.Flags()
	flags.StringVar(&f.id, "id", "", "name of the worker, unique among live ones (default host name, for `worker` with random letters)")
	flags.StringVar(&f.dir, "dir", defaultDir, "directory for data; the local backend uses DIR/"+volumesDir)
	f.backend = local.DriverName
	backendNames := []string{local.DriverName, null.DriverName}
	choice(command, &oneOf[string]{&f.backend, backendNames, "BACKEND"}, "backend",
		"where volumes are stored: local, as files, or null, in memory for measurements", backendNames)
	flags.StringVar(&f.file, fileFlag, "", "YAML file that names the backends (docs/configuration.md)")
	completeFile(command, fileFlag, configExtensions)
	flags.StringVar(&f.journal, "local-journal", "", "file to which the local backend appends a line per change")
	flags.DurationVar(&f.nullLatency, "null-latency", 0, "how long each call of the null backend takes")
	flags.StringVar(&f.metrics, "metrics", "", "HOST:PORT for /metrics, /healthz and /readyz (default off)")
	flags.BoolVar(&f.pprof, "pprof", false, "with --metrics: profiles of the process under /debug/pprof/ too")
	flags.IntVar(&f.concurrency, "concurrency", worker.DefaultConcurrency, "commands worked on at once")
	flags.DurationVar(&f.drainTimeout, "drain-timeout", worker.DefaultDrainTimeout, "for running backend calls at the end")
	f.logLevel = defaultLevel
	choice(command, &oneOf[string]{&f.logLevel, telemetry.Levels(), "LEVEL"}, "log-level",
		"least level of the log on stderr", telemetry.Levels())
	f.sweep.register(flags)
	for _, flag := range backendFlags {
		command.MarkFlagsMutuallyExclusive(fileFlag, flag)
	}
}

// validate checks the flags and reads the configuration file. Nothing is opened yet.
func (f *workerFlags) validate() (err error) {
	if f.concurrency <= 0 || f.drainTimeout <= 0 {
		return usagef("concurrency and drain-timeout: want more than 0")
	}
	if f.pprof && f.metrics == "" {
		return usagef("pprof: want --metrics, on whose address the profiles are")
	}
	if err := f.sweep.validate(); err != nil {
		return err
	}
	f.backends, err = f.configuration()
	return err
}

// workerID returns the wanted name, or one that no other worker has. A process with a
// server of its own keeps its name from one start to the next.
func (f *workerFlags) workerID() string {
	if f.id != "" {
		return f.id
	}
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	if f.alone {
		return host
	}
	const letters = 6 // 30 bits
	return host + "-" + strings.ToLower(rand.Text()[:letters])
}

// service is a worker with everything that it needs in this process.
type service struct {
	id       string
	conn     *nats.Conn
	backends *served
	worker   *worker.Worker
	sweeps   *sweeping // nil if there are none
	queries  *query.Service
	metrics  *telemetry.Server // nil if off
	registry *prometheus.Registry
	tracing  *telemetry.Tracing
	drain    time.Duration // that a drain may take
	flush    time.Duration // of it, that the last spans may take
	log      zerolog.Logger
}

// newService returns a service that does not work yet. After an error nothing is left
// open.
func newService(ctx context.Context, conn *nats.Conn, f *workerFlags, log zerolog.Logger) (s *service, err error) {
	s = &service{id: f.workerID(), conn: conn, drain: f.drainTimeout, flush: min(f.drainTimeout, flushOfWorker), log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.tracing, err = telemetry.StartTracing(ctx, telemetry.Identity{Instance: s.id, Version: buildVersion()}, log)
	if err != nil {
		return s, &usageError{cause: err}
	}
	s.registry = telemetry.NewRegistry()
	telemetry.RegisterBuild(s.registry, buildVersion())
	if s.backends, err = f.openBackends(ctx, s.registry, s.tracing.Tracer(), log); err != nil {
		return s, err
	}
	s.worker, err = worker.New(ctx, conn, worker.Config{
		ID:             s.id,
		Backends:       s.backends.byName,
		DefaultBackend: s.backends.byDefault,
		Clones:         s.backends.clones,
		RecordOnly:     s.backends.recordOnly,
		Concurrency:    f.concurrency,
		DrainTimeout:   f.drainTimeout,
		ReplaceLease:   f.alone,
		Logger:         log,
		Registerer:     s.registry,
		Tracer:         s.tracing.Tracer(),
	})
	if err != nil {
		return s, err
	}
	if s.queries, err = s.serveQueries(log); err != nil {
		return s, err
	}
	s.sweeps, err = newSweeping(ctx, conn, &f.sweep, s.worker, s.id, s.backends, s.registry, s.tracing.Tracer(), log)
	if err != nil || f.metrics == "" {
		return s, err
	}
	s.metrics, err = telemetry.Start(telemetry.Options{
		Listen: f.metrics, Gatherer: s.registry, Checks: s.checks(), Alive: s.aliveChecks(), Profiles: f.pprof, Logger: log,
	})
	if errors.Is(err, volume.Busy) {
		err = fmt.Errorf("%w: choose another with --metrics", err)
	}
	return s, err
}

func (s *service) serveQueries(log zerolog.Logger) (*query.Service, error) {
	return query.Serve(s.conn, query.Config{
		Worker: s.id, Version: buildVersion(), Backends: s.backends.byName, DefaultBackend: s.backends.byDefault,
		Policies: s.backends.policies(), Logger: log,
	})
}

func (s *service) checks() []telemetry.Check {
	checks := []telemetry.Check{
		{Name: "nats", Run: s.checkConnection},
		{Name: "worker", Run: s.checkWorker},
	}
	return append(checks, s.backends.checks()...)
}

func (s *service) checkConnection(context.Context) (string, error) {
	if status := s.conn.Status(); status != nats.CONNECTED {
		return "", fmt.Errorf("connection %s: %w", strings.ToLower(status.String()), volume.Unavailable)
	}
	return s.conn.ConnectedUrlRedacted(), nil
}

func (s *service) checkWorker(context.Context) (string, error) {
	return s.worker.Fit()
}

// aliveChecks are of what a restart of this process would mend.
func (s *service) aliveChecks() []telemetry.Check {
	return []telemetry.Check{{Name: "worker", Run: func(ctx context.Context) (string, error) {
		return s.id, s.worker.Alive(ctx)
	}}}
}

// run works until ctx ends and then drains. Ready is called once commands are taken; if
// it returns false or an error, the service drains too, and the error is returned.
func (s *service) run(ctx context.Context, ready func(context.Context) (stay bool, err error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer s.sweeps.begin(ctx)() // waits for the end, which stop brings
	defer stop()
	drained := make(chan error, 1)
	go func() { drained <- s.worker.Run(ctx) }()
	select {
	case <-s.worker.Ready():
	case err := <-drained: // ctx ended first
		return err
	}
	stay, err := ready(ctx)
	if stay && err == nil {
		<-ctx.Done()
	}
	stop()
	began := time.Now()
	err = errors.Join(err, <-drained)
	s.flush = min(s.flush, max(leastFlush, s.drain-time.Since(began)))
	return err
}

// close ends what the service has opened. The connection is the caller's.
func (s *service) close() error {
	var faults []error
	if s.queries != nil {
		faults = append(faults, s.queries.Stop())
	}
	if s.metrics != nil {
		ctx, cancel := context.WithTimeout(context.Background(), telemetryShutdown)
		defer cancel()
		faults = append(faults, s.metrics.Shutdown(ctx))
	}
	faults = append(faults, s.sweeps.close())
	if s.backends != nil {
		faults = append(faults, s.backends.close())
	}
	s.sendSpans()
	return errors.Join(faults...)
}

// sendSpans sends the last spans, within the time that is left of the drain. That a
// collector does not take them fails nothing.
func (s *service) sendSpans() {
	ctx, cancel := context.WithTimeout(context.Background(), s.flush)
	defer cancel()
	if err := s.tracing.Shutdown(ctx); err != nil {
		s.log.Warn().Err(err).Msg("traces are not sent")
	}
}

// facts are what a ready line tells in brackets.
func (s *service) facts(first string) string {
	facts := []string{first, "worker " + s.id}
	if s.metrics != nil {
		facts = append(facts, "metrics "+s.metrics.URL()+"/metrics")
	}
	return strings.Join(facts, ", ")
}
