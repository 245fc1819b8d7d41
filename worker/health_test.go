package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// serving runs a worker on a connection of its own and returns it once it is ready.
func (s *system) serving(config worker.Config) (w *worker.Worker, stop func() error) {
	s.t.Helper()
	w, err := worker.New(s.ctx, s.server.Connect(s.t), config)
	s.must(err)
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case <-w.Ready():
	case <-s.ctx.Done():
		s.t.Fatal("worker did not become ready")
	}
	return w, func() error { cancel(); return <-ended }
}

// awaitFit waits until what Fit says is as wanted, and returns it.
func (s *system) awaitFit(w *worker.Worker, what string, wanted func(detail string, err error) bool) (string, error) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		detail, err := w.Fit()
		if wanted(detail, err) {
			return detail, err
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.t.Fatalf("waited for a worker that is %s, it says %q and %v", what, detail, err)
		}
	}
}

func fit(_ string, err error) bool   { return err == nil }
func unfit(_ string, err error) bool { return err != nil }

func TestWorker_Fit_NotBeforeItHasJoined(t *testing.T) {
	s := prepare(t)
	w, err := worker.New(s.ctx, s.server.Connect(t), s.config)
	s.must(err)
	if _, err := w.Fit(); !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), "not joined") {
		t.Errorf("got %v, want that it has not joined", err)
	}
	if err := w.Alive(s.ctx); err != nil {
		t.Errorf("alive: got %v for one that has not begun, want nil", err)
	}
}

func TestWorker_Fit_NotWhileItDrains(t *testing.T) {
	s := prepare(t)
	w, stop := s.serving(s.config)
	if detail, err := s.awaitFit(w, "fit", fit); detail != "worker-1, 16 partitions" || err != nil {
		t.Errorf("got %q and %v, want all partitions", detail, err)
	}
	entered, release := s.gate("create", "db-01")
	s.publish(commands.Request{Key: key("db-01"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitCall(entered) // the drain will wait for it
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	_, err := s.awaitFit(w, "unfit", unfit)
	if !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), "draining") {
		t.Errorf("got %v, want that it drains", err)
	}
	if err := w.Alive(s.ctx); err != nil {
		t.Errorf("alive: got %v while it drains, want nil", err)
	}
	close(release)
	s.must(<-ended)
	if err := w.Alive(s.ctx); err != nil {
		t.Errorf("alive: got %v after the end, want nil", err)
	}
}

func TestWorker_Fit_NotWithoutServer_AndAgainAfter(t *testing.T) {
	s := prepare(t)
	w, stop := s.serving(s.config)
	s.server.Stop(t)
	if _, err := s.awaitFit(w, "unfit", unfit); !strings.Contains(err.Error(), "lease not renewed") {
		t.Errorf("got %v, want that its lease is not renewed", err)
	}
	if err := w.Alive(s.ctx); err != nil {
		t.Errorf("alive: got %v, and a restart of the worker would mend nothing", err)
	}
	s.server.Restart(t)
	s.awaitFit(w, "fit", fit)
	s.must(stop())
}

// A takeover is not done before all partitions are taken: until then the worker is not fit.
func TestWorker_Fit_NotDuringATakeover(t *testing.T) {
	s := prepare(t)
	w, stop := s.serving(s.config)
	other := s.config
	other.ID = "worker-2"
	_, stopOther := s.serving(other)
	s.awaitFit(w, "fit with fewer", func(detail string, err error) bool { return err == nil && detail != "worker-1, 16 partitions" })
	s.must(s.js.DeleteStream(s.ctx, commands.StreamName)) // so that nothing can be taken
	s.must(stopOther())
	_, err := s.awaitFit(w, "without partitions", func(_ string, err error) bool {
		return err != nil && strings.Contains(err.Error(), "of 16 partitions are taken")
	})
	if !errors.Is(err, volume.Unavailable) {
		t.Errorf("got %v, want it to be unavailable", err)
	}
	_, err = provision.Apply(s.ctx, s.js, provision.Options{})
	s.must(err)
	s.awaitFit(w, "fit with all", func(detail string, err error) bool { return err == nil && detail == "worker-1, 16 partitions" })
	s.must(stop())
}

func TestWorker_LanesThatCannotBeLookedAt_NotAlive(t *testing.T) {
	s := prepare(t)
	w, stop := s.serving(s.config)
	s.must(w.Alive(s.ctx))
	unlock, found := w.LockLanes()
	if !found {
		t.Fatal("the worker serves no partition")
	}
	ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
	defer cancel()
	if err := w.Alive(ctx); err == nil || !strings.Contains(err.Error(), "stands still") {
		t.Errorf("got %v, want that lanes stand still", err)
	}
	unlock()
	s.must(w.Alive(s.ctx))
	s.must(stop())
}

func TestWorker_Gauges_TellOfWhatWaits(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := prepare(t, func(c *worker.Config) { c.Registerer = registry; c.Retry.InitialWait, c.Retry.MaxWait = limit, limit })
	_, stop := s.serving(s.config)
	wantGauge(t, registry, "jetvol_oldest_command_age_seconds", func(v float64) bool { return v == 0 })
	s.backend.hook(func(context.Context, string, backends.Ref) error {
		return backends.Errorf(volume.Unavailable, "no monitor answers")
	}, nil)
	s.publish(commands.Request{Key: key("db-01"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitEvent("db-01", ofEvent(volume.EventError))
	wantGauge(t, registry, "jetvol_retry_waits", func(v float64) bool { return v == 1 })
	wantGauge(t, registry, "jetvol_oldest_command_age_seconds", func(v float64) bool { return v > 0 })
	wantGauge(t, registry, "jetvol_partitions", func(v float64) bool { return v == commands.Partitions })
	s.server.Stop(t)
	wantGauge(t, registry, "jetvol_lease_renew_failures_total", func(v float64) bool { return v > 0 })
	s.server.Restart(t)
	s.must(stop())
	if n, err := testutil.GatherAndCount(registry, "jetvol_commands_pending"); n != 0 || err != nil {
		t.Errorf("pending: got %d series and %v of partitions that were given up, want none", n, err)
	}
}

// wantGauge waits until a metric without labels is as wanted.
func wantGauge(t *testing.T, registry *prometheus.Registry, name string, wanted func(float64) bool) {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		value := valueOf(t, registry, name)
		if wanted(value) {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("metric %s: got %v", name, value)
		}
	}
}

func valueOf(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			metric := family.GetMetric()[0]
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
