package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/preload"
	"github.com/jetvol/jetvol/worker"
)

// watchEvery is how often the worker is looked at while it works.
const watchEvery = 500 * time.Millisecond

// activity gives commands to many of an arena's volumes, and watches the worker.
type activity struct {
	arena   *arena
	run     *run
	source  *source
	options ScaleOptions
	idle    Footprint
}

// activate starts another worker, and gives the active volumes an attach each, and then a
// detach. They lie evenly among all volumes.
func (a *arena) activate(ctx context.Context, o ScaleOptions) (Active, Machine, error) {
	active := Active{Volumes: o.Active}
	if err := a.restartWorker(ctx); err != nil {
		return active, Machine{}, err
	}
	options := o.options(Attach, a.volumes)
	r, err := newRun(a.stage, options)
	if err != nil {
		return active, Machine{}, err
	}
	machine := thisMachine(r.conn.ConnectedServerVersion())
	client, err := commands.New(r.conn)
	if err != nil {
		return active, machine, err
	}
	x := activity{arena: a, run: r, options: o, source: newSource(options, preload.Project, throughClient{client})}
	if x.idle, err = a.footprint(ctx); err != nil {
		return active, machine, err
	}
	active.Idle = x.idle
	for _, d := range []deed{attachIt, detachIt} {
		pass, err := x.pass(ctx, d)
		if err != nil {
			return active, machine, err
		}
		active.Passes = append(active.Passes, pass)
	}
	return active, machine, nil
}

// restartWorker gives the arena a worker that has done nothing yet.
func (a *arena) restartWorker(ctx context.Context) error {
	for _, p := range a.stage.workers {
		if err := p.Stop(); err != nil {
			return err
		}
	}
	return a.stage.startWorkers(ctx)
}

// pass gives each of the active volumes one command.
func (x *activity) pass(ctx context.Context, d deed) (Activity, error) {
	pass := Activity{Verb: string(d.verb), Commands: x.options.Active}
	pids := pids(x.arena.stage.workers)
	before, err := x.arena.stage.cpu(pids)
	if err != nil {
		return pass, err
	}
	var done atomic.Int64
	watched := x.watch(ctx, d, &done)
	began := time.Now()
	err = x.giveAll(ctx, d, &done)
	elapsed := time.Since(began)
	seen, watchErr := watched()
	if err == nil {
		err = watchErr
	}
	if err != nil {
		return pass, err
	}
	pass.MostLanes, pass.MostRSS = seen.Lanes, seen.RSS
	after, err := x.arena.stage.cpu(pids)
	if err != nil {
		return pass, err
	}
	pass.Throughput, pass.CPU = float64(pass.Commands)/elapsed.Seconds(), after.per1000(before, pass.Commands)
	if pass.After, err = x.rest(ctx); err != nil {
		return pass, err
	}
	x.arena.given += x.options.Active
	return pass, x.arena.count(ctx, x.run.js)
}

func (x *activity) giveAll(ctx context.Context, d deed, done *atomic.Int64) error {
	keys := x.arena.spread(x.options.Active)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range x.options.InFlight {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(keys); i = int(next.Add(1)) - 1 {
				if err := x.source.give(ctx, keys[i], d); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

// watch looks at the worker until the returned function is called, which returns the most
// that was seen.
func (x *activity) watch(ctx context.Context, d deed, done *atomic.Int64) (end func() (Footprint, error)) {
	ctx, stop := context.WithCancel(ctx)
	var most Footprint
	var group errgroup.Group
	group.Go(func() error {
		for pause(ctx, watchEvery) == nil {
			now, err := x.arena.footprint(ctx)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was broken off
			}
			if err != nil {
				return err
			}
			most = Footprint{max(most.RSS, now.RSS), now.Peak, max(most.Goroutines, now.Goroutines), max(most.Lanes, now.Lanes)}
			x.run.options.tell("%s of %d volumes: %d done, worker %d MiB, %d lanes", d.verb, x.options.Active, done.Load(), now.RSS>>20, now.Lanes)
		}
		return nil
	})
	return func() (Footprint, error) {
		stop()
		err := group.Wait()
		return most, err
	}
}

// rest waits until the worker has no lanes any more, and no more goroutines than it may keep
// of those that it had at once. It returns an error if that does not come.
func (x *activity) rest(ctx context.Context) (Footprint, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var last Footprint // that could be read
	for {
		now, err := x.arena.footprint(ctx)
		if err == nil {
			last = now
		}
		if err == nil && now.rested(x.idle) {
			return now, nil
		}
		if pause(ctx, settlePause) != nil {
			return last, fmt.Errorf("the worker is not idle %s after %d commands: %d lanes, %d goroutines (%d before), %w",
				settleTimeout, x.options.Active, last.Lanes, last.Goroutines, x.idle.Goroutines, errors.Join(err, ctx.Err()))
		}
	}
}

// rested reports whether nothing is left of the work since idle but goroutines for as many
// commands as a worker works on at once, which it may keep.
func (f Footprint) rested(idle Footprint) bool {
	return f.Lanes == 0 && f.Goroutines <= idle.Goroutines+worker.DefaultConcurrency
}
