package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/config"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// configuration returns what the file says, or a configuration of the one backend that
// the flags describe.
func (f *workerFlags) configuration() (config.Config, error) {
	if f.file != "" {
		return loadConfig(f.file)
	}
	one := config.Backend{Name: f.backend}
	if f.backend == null.DriverName {
		one.Settings = &config.Null{Options: null.Options{Latency: f.nullLatency}}
	} else {
		one.Settings = &config.Local{Options: local.Options{Dir: filepath.Join(f.dir, volumesDir), Journal: f.journal}}
	}
	return config.Config{DefaultBackend: f.backend, Backends: []config.Backend{one}}, nil
}

// loadConfig returns a usageError for a file that cannot be read or has faults.
func loadConfig(path string) (config.Config, error) {
	c, err := config.Load(path)
	if err != nil {
		return c, &usageError{cause: err}
	}
	return c, nil
}

// served are the backends of a process.
type served struct {
	byName    map[string]*backends.Backend
	byDefault string
	clones    map[string]worker.ClonePolicy
	// recordOnly is empty for a backend that the file says nothing of.
	recordOnly map[string]volume.RecordOnly
	// imports says of which backends orphans are taken into records.
	imports map[string]bool
}

// openBackends opens all backends. One that cannot be opened answers every call with
// Unavailable, so that the worker serves the others; if there are no others, or if this
// program can never open it, that is an error. After an error nothing is left open.
func (f *workerFlags) openBackends(
	ctx context.Context, registerer prometheus.Registerer, tracer *telemetry.Tracer, log zerolog.Logger,
) (_ *served, err error) {
	if f.file == "" && f.backend == local.DriverName {
		if err := os.MkdirAll(f.dir, 0o750); err != nil {
			return nil, explainDir(err)
		}
	}
	calls := telemetry.NewBackendCalls(registerer, tracer)
	s := &served{
		byName: map[string]*backends.Backend{}, byDefault: f.backends.DefaultBackend,
		clones: map[string]worker.ClonePolicy{}, recordOnly: map[string]volume.RecordOnly{}, imports: map[string]bool{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	var missing []error
	for _, b := range f.backends.Backends {
		driver, err := b.Open(ctx, f.alone)
		switch {
		case errors.Is(err, volume.Unsupported), errors.Is(err, volume.InvalidArgument):
			return nil, err
		case err != nil:
			missing = append(missing, err)
			log.Error().Err(err).Str("backend", b.Name).Msg("backend not opened")
			driver = absent{err}
		}
		s.add(b, driver, calls, registerer)
	}
	if len(missing) == len(s.byName) {
		return nil, errors.Join(missing...)
	}
	return s, nil
}

func (s *served) add(b config.Backend, driver backends.Driver, calls telemetry.BackendCalls, registerer prometheus.Registerer) {
	backend := backends.New(b.Name, driver, backends.Options{
		Timeout: b.Timeout, Concurrency: b.Concurrency, Observe: calls.Observer(b.Name),
	})
	telemetry.ObserveBackend(registerer, b.Name, func(ctx context.Context) error {
		_, err := backend.Health(ctx)
		return err
	})
	s.byName[b.Name] = backend
	s.recordOnly[b.Name] = b.RecordOnly
	s.imports[b.Name] = b.BackendOnly == config.BackendOnlyImport
	s.clones[b.Name] = worker.ClonePolicy{MaxDepth: b.MaxDepth, Flatten: b.AutoFlatten}
}

func explainDir(err error) error {
	return fmt.Errorf("make data directory: %w: choose another with --dir", err)
}

// String returns "backend local", or "backends ceph-ssd (default), local".
func (s *served) String() string {
	if len(s.byName) == 1 {
		return "backend " + s.byDefault
	}
	names := slices.Sorted(maps.Keys(s.byName))
	names[slices.Index(names, s.byDefault)] += " (default)"
	return "backends " + strings.Join(names, ", ")
}

// policies are what operators have decided, by the backend's name.
func (s *served) policies() map[string]query.Policy {
	all := map[string]query.Policy{}
	for name, clones := range s.clones {
		all[name] = query.Policy{MaxDepth: clones.MaxDepth, Flatten: clones.Flatten}
	}
	return all
}

// checks has one for each backend. The worker is ready while one of them holds.
func (s *served) checks() []telemetry.Check {
	var checks []telemetry.Check
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		backend := s.byName[name]
		checks = append(checks, telemetry.Check{
			Name: "backend " + name, Group: "backends",
			Run: func(ctx context.Context) (string, error) {
				health, err := backend.Health(ctx)
				return strings.TrimSpace(health.Driver + " " + health.Version), err
			},
		})
	}
	return checks
}

// close closes all backends, at once: each may wait for its running calls.
func (s *served) close() error {
	var all sync.WaitGroup
	faults := make([]error, len(s.byName))
	for i, name := range slices.Sorted(maps.Keys(s.byName)) {
		all.Go(func() { faults[i] = s.byName[name].Close() })
	}
	all.Wait()
	return errors.Join(faults...)
}
