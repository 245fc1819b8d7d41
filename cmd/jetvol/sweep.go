package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/worker"
)

// sweepFlags say how a worker compares records with backends.
type sweepFlags struct {
	interval time.Duration
	rate     float64
}

func (f *sweepFlags) register(flags *pflag.FlagSet) {
	flags.DurationVar(&f.interval, "reconcile-interval", drift.DefaultInterval,
		"between comparisons of all volumes with their backends, give or take a fifth; 0 is never")
	flags.Float64Var(&f.rate, "reconcile-rate", drift.DefaultRate, "volumes compared a second, at most")
}

func (f *sweepFlags) validate() error {
	if f.interval < 0 || f.rate <= 0 {
		return usagef("reconcile-interval and reconcile-rate: want 0 or more, and more than 0")
	}
	return nil
}

// sweeping is a sweeper beside a worker.
type sweeping struct {
	sweeper *drift.Sweeper
	client  *commands.Client
}

// newSweeping returns a sweeper of the worker's partitions, or nil if there are to be no
// sweeps.
func newSweeping(
	ctx context.Context, conn *nats.Conn, f *sweepFlags, w *worker.Worker, id string,
	b *served, registerer prometheus.Registerer, tracer *telemetry.Tracer, log zerolog.Logger,
) (*sweeping, error) {
	if f.interval == 0 {
		return nil, nil
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(worker.DefaultRequestTimeout))
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	client, err := tracedClient(conn, tracer)
	if err != nil {
		return nil, err
	}
	findings := drift.NewFindings(js)
	sweeper, err := drift.New(ctx, js, drift.Options{
		Partitions: w, Backends: b.byName, Import: b.imports, RecordOnly: b.recordOnly, Findings: &findings,
		Publish: publishWith(client), Actor: "sweep of " + id,
		Interval: f.interval, Rate: f.rate,
		Logger: log.With().Str("worker", id).Logger(), Registerer: registerer,
	})
	if err != nil {
		_ = client.Close() // the error is why there is no sweeper
		return nil, err
	}
	return &sweeping{sweeper, client}, nil
}

// publishWith stores a command and does not wait for its end.
func publishWith(client *commands.Client) func(context.Context, commands.Request) error {
	return func(ctx context.Context, request commands.Request) error {
		_, err := client.Publish(ctx, request)
		return err
	}
}

// begin sweeps until ctx ends. What is returned waits for the end.
func (s *sweeping) begin(ctx context.Context) (wait func()) {
	if s == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.sweeper.Run(ctx)
	}()
	return func() { <-done }
}

func (s *sweeping) close() error {
	if s == nil {
		return nil
	}
	return s.client.Close()
}
