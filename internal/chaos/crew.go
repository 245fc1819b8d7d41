package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// readyLine is how the line begins that `jetvol worker` prints when it takes commands.
const readyLine = "jetvol worker ready:"

// restartPause is how long a worker that could not start waits before it tries again, as
// under a supervisor.
const restartPause = 300 * time.Millisecond

// worker is a place in the crew: one process after another, all with the same name.
type worker struct {
	id      string
	log     *os.File
	proxies []*proxy // one for each server
	process *trial.Process
	paused  bool
	leaving bool // its end is wanted
}

// crew is all workers.
type crew struct {
	binary   string
	place    trial.Place
	store    trial.Store
	replicas int
	servers  []string // URLs
	// undisturbed reports whether all servers have been well since that moment: a worker
	// that cannot reach one at its start or its end is not to blame.
	undisturbed func(since time.Time) bool

	running sync.WaitGroup // watches, resumes and drains

	mu      sync.Mutex // guards all below
	workers map[string]*worker
	serial  int
	ends    []verify.Span // of processes that did not end in order
	stops   []verify.Span
	kills   int
	joins   int
	drains  int
	cuts    int
	faults  []verify.Fault
	closed  bool
}

func newCrew(o options, p trial.Place, store trial.Store, servers []string) *crew {
	return &crew{binary: o.binary, place: p, store: store, replicas: o.servers, servers: servers, workers: map[string]*worker{}}
}

// join starts a worker under that name, or a new one if it is empty.
func (c *crew) join(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == "" {
		c.serial++
		id = fmt.Sprintf("worker-%03d", c.serial)
	}
	w := &worker{id: id}
	var err error
	path := c.place.Path(id + ".log")
	if w.log, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	for _, server := range c.servers {
		p, err := newProxy(ctx, strings.TrimPrefix(server, "nats://"))
		if err != nil {
			return errors.Join(err, w.close())
		}
		w.proxies = append(w.proxies, p)
	}
	if err := c.start(w); err != nil {
		return errors.Join(err, w.close())
	}
	c.workers[id] = w
	c.joins++
	return nil
}

// start starts the worker's next process; it needs c.mu.
func (c *crew) start(w *worker) (err error) {
	urls := make([]string, len(w.proxies))
	for i, p := range w.proxies {
		urls[i] = p.url()
	}
	args := append([]string{
		"worker", "--server", strings.Join(urls, ","), "--id", w.id, "--replicas", strconv.Itoa(c.replicas),
		"--reconcile-interval", "0", // every command of a storm is in its ledger
	}, c.store.Flags()...)
	w.process, err = trial.Start(io.Writer(w.log), readyLine, c.binary, args...)
	if err != nil {
		return err
	}
	process, began := w.process, time.Now()
	c.running.Go(func() {
		<-process.Ended()
		c.ended(w, process, began)
	})
	return nil
}

// ended starts a worker again whose process has ended by itself. That is a fault unless
// it could not reach a server.
func (c *crew) ended(w *worker, process *trial.Process, began time.Time) {
	pause(context.Background(), restartPause)
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.leaving || c.closed || w.process != process {
		return
	}
	if process.Ready() || c.undisturbed(began) {
		c.ends = append(c.ends, verify.Span{From: began, To: time.Now()})
		c.fault("worker %s ended by itself, see %s.log", w.id, w.id)
	}
	if err := c.start(w); err != nil {
		c.fault("worker %s: %v", w.id, err)
	}
}

// fault needs c.mu.
func (c *crew) fault(format string, args ...any) {
	c.faults = append(c.faults, verify.Fault{Class: verify.Disagreement, Key: volume.Key{}, Detail: fmt.Sprintf(format, args...)})
}

// all returns the names of the workers that are to stay, in their order.
func (c *crew) all() []string { return c.list(func(*worker) bool { return true }) }

// awake returns those that are not paused and take commands.
func (c *crew) awake() []string {
	return c.list(func(w *worker) bool { return !w.paused && w.process.Ready() })
}

func (c *crew) list(which func(*worker) bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id, w := range c.workers {
		if !w.leaving && which(w) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// kill ends a worker with SIGKILL, paused or not.
func (c *crew) kill(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[id]
	w.leaving = true
	delete(c.workers, id)
	c.kills++
	span, err := w.process.Kill()
	c.ends = append(c.ends, span)
	return errors.Join(err, w.close())
}

// pause stops a worker with SIGSTOP and resumes it after a while.
func (c *crew) pause(ctx context.Context, id string, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[id]
	began := time.Now()
	if err := w.process.Pause(); err != nil {
		return err
	}
	w.paused = true
	process := w.process
	c.running.Go(func() {
		pause(ctx, d)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stops = append(c.stops, verify.Span{From: began, To: time.Now()})
		w.paused = false
		if err := process.Resume(); err != nil {
			c.fault("%v", err)
		}
	})
	return nil
}

// drain ends a worker in order and does not wait for it.
func (c *crew) drain(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[id]
	w.leaving = true
	began := time.Now()
	c.drains++
	c.running.Go(func() {
		err := w.process.Stop()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.workers, id)
		if err != nil {
			c.ends = append(c.ends, verify.Span{From: began, To: time.Now()})
		}
		if err != nil && c.undisturbed(began) {
			c.fault("worker %s: %v", id, err)
		}
		if err := w.close(); err != nil {
			c.fault("worker %s: %v", id, err)
		}
	})
}

// cut cuts a worker off from all servers for a while: by ending its connections, or by
// letting them fall silent.
func (c *crew) cut(id string, d time.Duration, silently bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts++
	for _, p := range c.workers[id].proxies {
		if silently {
			p.hold(d)
		} else {
			p.cutOff(d)
		}
	}
}

// awaitReady waits until every worker takes commands.
func (c *crew) awaitReady(ctx context.Context) error {
	c.mu.Lock()
	var processes []*trial.Process
	for _, w := range c.workers {
		processes = append(processes, w.process)
	}
	c.mu.Unlock()
	for _, p := range processes {
		if err := p.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drainAll ends all workers in order and returns when they are gone.
func (c *crew) drainAll() {
	for _, id := range c.all() {
		c.drain(id)
	}
	c.running.Wait()
}

// end kills what is left. Nobody may use the crew any more.
func (c *crew) end() error {
	c.mu.Lock()
	c.closed = true
	var errs []error
	for _, w := range c.workers {
		_, err := w.process.Kill()
		errs = append(errs, err)
	}
	c.mu.Unlock()
	c.running.Wait()
	for _, w := range c.workers {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}

func (w *worker) close() error {
	for _, p := range w.proxies {
		p.close()
	}
	return w.log.Close()
}
