package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

// How long, at most, the end of a program waits for a collector to take the last spans.
const (
	flushOfClient = time.Second
	flushOfWorker = 2 * time.Second
	leastFlush    = 100 * time.Millisecond // if the drain took all its time
)

// commandClient returns a client whose commands are traced, if the environment asks for it.
func (a *app) commandClient(ctx context.Context, conn *nats.Conn, options ...commands.Option) (*commands.Client, error) {
	if err := a.startTracing(ctx); err != nil {
		return nil, err
	}
	return tracedClient(conn, a.tracing.Tracer(), options...)
}

// tracedClient returns a client whose commands are traced, if there is a tracer.
func tracedClient(conn *nats.Conn, tracer *telemetry.Tracer, options ...commands.Option) (*commands.Client, error) {
	if tracer != nil {
		options = append(options, commands.WithTrace(func(ctx context.Context, command volume.Command) (string, func(error)) {
			_, span := tracer.Publish(ctx, command)
			return span.TraceParent(), span.End
		}))
	}
	return commands.New(conn, options...)
}

// startTracing does so once. A variable of the environment that makes no sense is a usageError.
func (a *app) startTracing(ctx context.Context) (err error) {
	if a.tracing != nil {
		return nil
	}
	a.tracing, err = telemetry.StartTracing(ctx, telemetry.Identity{Version: buildVersion()}, telemetry.NewLogger(a.stderr, "warn"))
	if err != nil {
		return &usageError{cause: err}
	}
	return nil
}

// stopTracing sends what is left. A collector that does not take it is no failure of the
// command that was traced; the log tells.
func (a *app) stopTracing() {
	ctx, cancel := context.WithTimeout(context.Background(), flushOfClient)
	defer cancel()
	if err := a.tracing.Shutdown(ctx); err != nil {
		log := telemetry.NewLogger(a.stderr, "warn")
		log.Warn().Err(err).Msg("traces are not sent")
	}
}
