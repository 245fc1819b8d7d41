package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/internal/load"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// The volumes are in two projects. The first has a quota, which counts and limits nothing; in
// the other a create takes its name for new.
const project, freeProject = "chaos", "chaos-free"

// Bounds and timings of a storm.
const (
	progressEvery = 10 * time.Second
	// answerTimeout bounds the wait for the last answers after the last disturbance.
	answerTimeout = 3 * time.Minute
	reconnectWait = 50 * time.Millisecond
	answersAtOnce = 8
	resendAfter   = 2 * time.Second
	askAgainAfter = 20 * time.Second
)

// storm is one run of the program up to its evidence.
type storm struct {
	options
	place   trial.Place
	stderr  io.Writer
	began   time.Time
	servers *servers
	crew    *crew
	clients *load.Clients
	probes  *probes
	done    atomic.Int64 // deeds
	planned int
	joins   int // after the beginning, as drains
	drains  int
	stuck   int // commands without an answer when time was up
}

func newStorm(o options, p trial.Place, stderr io.Writer) *storm {
	return &storm{options: o, place: p, stderr: stderr, began: time.Now()}
}

// say tells what happens, with the time since the beginning.
func (s *storm) say(format string, args ...any) {
	fmt.Fprintf(s.stderr, "chaos: %5.1fs "+format+"\n", append([]any{time.Since(s.began).Seconds()}, args...)...)
}

// run starts, disturbs, ends in order and collects. Whatever happens, no process of it
// is left afterwards.
func (s *storm) run(ctx context.Context) (_ verify.Evidence, err error) {
	if s.binary == "" {
		if s.binary, err = s.place.Build(ctx, s.backend); err != nil {
			return verify.Evidence{}, err
		}
	}
	s.say("%d servers, %d workers, %d clients, %d volumes, seed %d, in %s",
		s.options.servers, s.workers, s.options.clients, s.volumes, s.seed, s.place.Base)
	if s.servers, err = startServers(ctx, s.options.servers, s.place); err != nil {
		return verify.Evidence{}, err
	}
	defer func() { err = errors.Join(err, s.servers.close()) }()
	store, endStore, err := s.place.Store(ctx, s.backend)
	if err != nil {
		return verify.Evidence{}, err
	}
	defer func() { err = errors.Join(err, endStore()) }()
	s.crew = newCrew(s.options, s.place, store, s.servers.urls())
	s.crew.undisturbed = s.servers.undisturbed
	defer func() { err = errors.Join(err, s.crew.end()) }()
	for range s.workers {
		if err := s.crew.join(ctx, ""); err != nil {
			return verify.Evidence{}, err
		}
	}
	if err := s.crew.awaitReady(ctx); err != nil {
		return verify.Evidence{}, err
	}
	s.say("workers are ready")
	meter := func(js jetstream.JetStream) error { return trial.Meter(ctx, js, project) }
	if err := connected(s.servers.urls(), meter); err != nil {
		return verify.Evidence{}, err
	}
	if err := s.rage(ctx); err != nil {
		return verify.Evidence{}, err
	}
	return s.collect(ctx)
}

// rage runs the clients and disturbs everything under them, until every command has its
// answer or time is up. Workers and servers run at its end.
func (s *storm) rage(ctx context.Context) (err error) {
	s.clients, err = load.Connect(load.Options{
		URL: s.url(), Projects: []volume.Project{project, freeProject}, Clients: s.options.clients, Volumes: s.volumes, Seed: s.seed,
		Waiting: answersAtOnce, ResendAfter: resendAfter, AskAgainAfter: askAgainAfter,
	})
	if err != nil {
		return err
	}
	conn, err := s.connect("chaos")
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if s.probes, err = startProbes(conn); err != nil {
		return err
	}
	group, waiting := errgroup.WithContext(ctx)
	waiting, stopWaiting := context.WithCancel(waiting)
	defer stopWaiting()
	issuing, stopIssuing := context.WithCancel(waiting)
	defer stopIssuing()
	group.Go(func() error { return s.clients.Run(issuing, waiting) })
	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { s.probes.run(watching) })
	watchers.Go(func() { s.progress(watching) })
	defer watchers.Wait()
	defer stopWatching()

	err = s.disturb(waiting, js)
	stopIssuing()
	if err != nil {
		stopWaiting()
	}
	s.say("all is calm, %d commands wait for their answers", s.clients.Ledger().Counts().Waiting)
	bound := time.AfterFunc(answerTimeout, stopWaiting)
	defer bound.Stop()
	if wrong := group.Wait(); wrong != nil {
		err = wrong // it also ended the disturbances
	}
	s.joins, s.drains = s.crew.joins-s.workers, s.crew.drains
	s.stuck = s.clients.Ledger().Counts().Waiting
	return err
}

// disturb does all deeds, goes on until enough commands were given, and brings everything
// back that was stopped.
func (s *storm) disturb(ctx context.Context, js jetstream.JetStream) error {
	rng := rand.New(rand.NewPCG(s.seed, 0))
	deeds := plan(s.options, rng)
	s.planned = len(deeds)
	wake, wakeAll := context.WithCancel(ctx)
	defer wakeAll()
	d := &disturber{
		rng: rng, pace: s.pace, crew: s.crew, servers: s.servers, probes: s.probes, js: js,
		leases: kv.Open[ownership.Lease](js, kv.LeasesBucket),
		done:   func(deed) { s.done.Add(1) },
	}
	err := d.run(ctx, wake, deeds)
	for err == nil && ctx.Err() == nil && s.clients.Ledger().Counts().Commands < s.commands {
		pause(ctx, time.Second)
	}
	wakeAll()
	s.servers.running.Wait()
	if len(s.crew.all()) == 0 {
		err = errors.Join(err, s.crew.join(ctx, ""))
	}
	return errors.Join(err, s.servers.failure())
}

func (s *storm) url() string { return strings.Join(s.servers.urls(), ",") }

// connect returns a connection to the servers that outlives their absence.
func (s *storm) connect(name string) (*nats.Conn, error) {
	return nats.Connect(s.url(), nats.Name(name), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // that servers go away is no news
}

// connected calls f with a connection to the servers.
func connected(urls []string, f func(jetstream.JetStream) error) error {
	conn, err := nats.Connect(strings.Join(urls, ","), nats.Name("chaos-witness"), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return f(js)
}

// progress tells how far the storm is until ctx ends.
func (s *storm) progress(ctx context.Context) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c := s.clients.Ledger().Counts()
			s.say("%d of %d deeds, %d workers, %d commands, %d answers, %d waiting",
				s.done.Load(), s.planned, len(s.crew.all()), c.Commands, c.Answers, c.Waiting)
		}
	}
}

// faults returns what only the storm itself can know.
func (s *storm) faults() []verify.Fault {
	if s.crew == nil { // nothing was started yet
		return nil
	}
	s.crew.mu.Lock()
	defer s.crew.mu.Unlock()
	faults := s.crew.faults
	if s.stuck > 0 {
		faults = append(faults, verify.Fault{
			Class: verify.Stuck, Key: volume.Key{},
			Detail: fmt.Sprintf("%d commands without an answer %s after the last disturbance", s.stuck, answerTimeout),
		})
	}
	return faults
}
