package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/internal/load"
	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// The volumes are in two projects. The first has a quota, which counts and limits nothing; in
// the other a create takes its name for new.
const project, freeProject = "crash", "crash-free"

// readyLine is how the line begins that `jetvol up` prints when it takes commands.
const readyLine = "jetvol ready:"

// Bounds and timings of a storm.
const (
	progressEvery = 5 * time.Second
	// answerTimeout bounds the wait for the last answers after the last kill.
	answerTimeout = 2 * time.Minute
	// The server is away so often that clients must not wait for long.
	resendAfter   = time.Second
	askAgainAfter = 8 * time.Second
	// One kill in earlyKills comes while the server still starts, at most maxEarly after
	// its process began.
	earlyKills = 10
	maxEarly   = 400 * time.Millisecond
)

// Ports are taken from below those that the system gives to outgoing connections: one of
// the clients' own attempts to reconnect might otherwise take the server's port.
const (
	firstPort = 20000
	lastPort  = 30000
	portTries = 100
)

// storm is one run of the program up to its evidence.
type storm struct {
	options
	place   trial.Place
	store   trial.Store
	clients *load.Clients
	rng     *rand.Rand
	stderr  io.Writer
	listen  string

	mu      sync.Mutex // guards the two below
	current *trial.Process
	kills   []verify.Span
}

func newStorm(o options, p trial.Place, stderr io.Writer) *storm {
	return &storm{options: o, place: p, rng: rand.New(rand.NewPCG(o.seed, 0)), stderr: stderr}
}

func (s *storm) ledger() *load.Ledger { return s.clients.Ledger() }

// run starts, kills, ends in order and collects. Whatever happens, no process of it is
// left afterwards.
func (s *storm) run(ctx context.Context) (_ verify.Evidence, err error) {
	defer func() { err = errors.Join(err, s.end()) }()
	if s.binary == "" {
		if s.binary, err = s.place.Build(ctx, s.backend); err != nil {
			return verify.Evidence{}, err
		}
	}
	if s.listen, err = s.freeAddress(ctx); err != nil {
		return verify.Evidence{}, err
	}
	var endStore func() error
	if s.store, endStore, err = s.place.Store(ctx, s.backend); err != nil {
		return verify.Evidence{}, err
	}
	defer func() { err = errors.Join(err, s.end(), endStore()) }()
	fmt.Fprintf(s.stderr, "crash: %d kills, %d clients, %d volumes, seed %d, in %s\n", s.options.kills, s.options.clients, s.volumes, s.seed, s.place.Base)
	log, err := os.OpenFile(s.place.Path("jetvol.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return verify.Evidence{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if err := s.rage(ctx, log); err != nil {
		return verify.Evidence{}, err
	}
	return s.collect(ctx, log)
}

// end kills the process that an early return has left.
func (s *storm) end() error {
	if s.current == nil {
		return nil
	}
	_, err := s.current.Kill()
	return err
}

func (s *storm) freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	var err error
	for range portTries {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+s.rng.IntN(lastPort-firstPort))
		var listener net.Listener
		if listener, err = listen.Listen(ctx, "tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

func (s *storm) url() string { return "nats://" + s.listen }

// start starts a server on the storm's directory and address.
func (s *storm) start(log io.Writer) error {
	args := append([]string{"up", "--dir", s.place.Data(), "--listen", s.listen, "--reconcile-interval", "0"}, s.store.Flags()...)
	started, err := trial.Start(log, readyLine, s.binary, args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = started
	return nil
}

// rage runs the clients and kills the server under them, until every command has its
// answer or time is up. The server runs at its end.
func (s *storm) rage(ctx context.Context, log io.Writer) (err error) {
	if err := s.startReady(ctx, log); err != nil {
		return err
	}
	if err := s.connected(func(js jetstream.JetStream) error { return trial.Meter(ctx, js, project) }); err != nil {
		return err
	}
	s.clients, err = load.Connect(load.Options{
		URL: s.url(), Projects: []volume.Project{project, freeProject}, Clients: s.options.clients, Volumes: s.volumes, Seed: s.seed,
		Waiting: 1, ResendAfter: resendAfter, AskAgainAfter: askAgainAfter,
	})
	if err != nil {
		return err
	}
	group, waiting := errgroup.WithContext(ctx)
	waiting, stopWaiting := context.WithCancel(waiting)
	defer stopWaiting()
	issuing, stopIssuing := context.WithCancel(waiting)
	defer stopIssuing()
	group.Go(func() error { return s.clients.Run(issuing, waiting) })
	progressing := make(chan struct{})
	go func() {
		defer close(progressing)
		s.progress(waiting)
	}()
	err = s.killAll(waiting, log)
	stopIssuing()
	if err != nil {
		stopWaiting()
	}
	bound := time.AfterFunc(answerTimeout, stopWaiting)
	defer bound.Stop()
	if wrong := group.Wait(); wrong != nil {
		err = wrong // it also ended the kills
	}
	stopWaiting()
	<-progressing
	return err
}

func (s *storm) startReady(ctx context.Context, log io.Writer) error {
	if err := s.start(log); err != nil {
		return err
	}
	return s.current.AwaitReady(ctx)
}

// killAll kills the running server and starts it again, as often as it was asked to.
func (s *storm) killAll(ctx context.Context, log io.Writer) error {
	for n := range s.options.kills {
		if err := s.untilKill(ctx); err != nil {
			return fmt.Errorf("after %d kills: %w", n, err)
		}
		dead, err := s.current.Kill()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.kills = append(s.kills, dead)
		s.mu.Unlock()
		if err := s.start(log); err != nil {
			return err
		}
	}
	if err := s.current.AwaitReady(ctx); err != nil {
		return fmt.Errorf("after %d kills: %w", s.options.kills, err)
	}
	return nil
}

// untilKill waits for a random moment of the running server's life.
func (s *storm) untilKill(ctx context.Context) error {
	if s.rng.IntN(earlyKills) == 0 {
		return s.current.Live(ctx, time.Duration(s.rng.Int64N(int64(maxEarly))))
	}
	if err := s.current.AwaitReady(ctx); err != nil {
		return err
	}
	return s.current.Live(ctx, minUptime+time.Duration(s.rng.Int64N(int64(s.maxUptime-minUptime)+1)))
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
			s.mu.Lock()
			kills := len(s.kills)
			s.mu.Unlock()
			c := s.ledger().Counts()
			fmt.Fprintf(s.stderr, "crash: %d of %d kills, %d commands, %d answers, %d waiting\n",
				kills, s.options.kills, c.Commands, c.Answers, c.Waiting)
		}
	}
}
