package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// Events that a stored volume has from its create, and from each command given to it.
const (
	eventsOfCreate  = 2
	eventsOfCommand = 2
)

// arena is one server with its volumes and its worker.
type arena struct {
	volumes int
	given   int // commands given to the stored volumes, each with success
	stage   *stage
	metrics string // the worker's, HOST:PORT
}

// open starts server and worker, with volumes.
func (o ScaleOptions) open(ctx context.Context, dir string, volumes int) (*arena, error) {
	place, err := trial.NewPlace(dir, "")
	if err != nil {
		return nil, err
	}
	addresses, err := embednats.FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	a := &arena{volumes: volumes, metrics: addresses[0]}
	options := o.options(Create, volumes)
	options.WorkerFlags = append([]string{"--metrics", a.metrics}, o.WorkerFlags...)
	began := time.Now()
	if a.stage, err = newStage(ctx, options, place); err != nil {
		return nil, fmt.Errorf("%d volumes: %w", volumes, err)
	}
	options.tell("%d volumes and a worker after %s, metrics on %s", volumes, time.Since(began).Round(time.Second), a.metrics)
	return a, nil
}

// newRun makes a run of a workload. One that is about volumes that stay gets the stored ones.
func (a *arena) newRun(ctx context.Context, o Options) (*run, error) {
	r, err := newRun(a.stage, o)
	if err != nil {
		return nil, err
	}
	r.jetvol.name = fmt.Sprintf("%d volumes", a.volumes)
	if !o.Workload.stays() {
		return r, r.prepareJetvol(ctx)
	}
	r.project, r.jetvol.had = preload.Project, a.due()
	r.jetvol.source.visit(a.spread(o.Volumes))
	return r, nil
}

// leave detaches what a run has left attached, and counts its commands.
func (a *arena) leave(ctx context.Context, r *run) error {
	if !r.options.Workload.stays() {
		return nil
	}
	if err := r.jetvol.source.finish(ctx); err != nil {
		return err
	}
	a.given += r.jetvol.source.counts.all()
	return nil
}

// spread returns the keys of n of the stored volumes, which lie evenly among all: their records
// were not stored one after another.
func (a *arena) spread(n int) []volume.Key {
	keys := make([]volume.Key, n)
	for i := range keys {
		keys[i] = preload.Key(i * (a.volumes / n))
	}
	return keys
}

// due is what the server must have about the stored volumes.
func (a *arena) due() stored {
	return stored{records: a.volumes, events: eventsOfCreate*a.volumes + eventsOfCommand*a.given}
}

// countStored compares over a connection of its own.
func (a *arena) countStored(ctx context.Context) error {
	conn, js, err := a.stage.connect("jetvol bench")
	if err != nil {
		return err
	}
	defer conn.Close()
	return a.count(ctx, js)
}

// count compares what the server has about the stored volumes with what is due.
func (a *arena) count(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		got, err := counted(ctx, js, preload.Project, strings.Clone)
		if err == nil && got == a.due() {
			return nil
		}
		if pause(ctx, settlePause) != nil {
			return fmt.Errorf("after %d commands to %d stored volumes the server has %s, want %s: %w", a.given, a.volumes, got, a.due(), errors.Join(err, ctx.Err()))
		}
	}
}
