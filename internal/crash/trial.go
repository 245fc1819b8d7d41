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

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/internal/verify"
)

// Bounds and timings of a trial.
const (
	progressEvery = 5 * time.Second
	// answerTimeout bounds the wait for the last answers after the last kill.
	answerTimeout = 2 * time.Minute
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

// trial is one run of the program up to its evidence.
type trial struct {
	options
	place  place
	ledger *ledger
	rng    *rand.Rand
	stderr io.Writer
	listen string

	mu      sync.Mutex // guards the two below
	current *server
	kills   []time.Time
}

func newTrial(o options, p place, stderr io.Writer) *trial {
	return &trial{options: o, place: p, ledger: newLedger(), rng: rand.New(rand.NewPCG(o.seed, 0)), stderr: stderr}
}

// run starts, kills, ends in order and collects. Whatever happens, no process of it is
// left afterwards.
func (t *trial) run(ctx context.Context) (_ verify.Evidence, err error) {
	defer func() { err = errors.Join(err, t.end()) }()
	if t.binary == "" {
		if t.binary, err = t.place.build(ctx); err != nil {
			return verify.Evidence{}, err
		}
	}
	if t.listen, err = t.freeAddress(ctx); err != nil {
		return verify.Evidence{}, err
	}
	fmt.Fprintf(t.stderr, "crash: %d kills, %d clients, %d volumes, seed %d, in %s\n", t.options.kills, t.clients, t.volumes, t.seed, t.place.base)
	log, err := os.OpenFile(t.place.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return verify.Evidence{}, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if err := t.storm(ctx, log); err != nil {
		return verify.Evidence{}, err
	}
	return t.collect(ctx, log)
}

// end kills the process that an early return has left.
func (t *trial) end() error {
	if t.current == nil {
		return nil
	}
	_, err := t.current.kill()
	return err
}

func (t *trial) freeAddress(ctx context.Context) (string, error) {
	var listen net.ListenConfig
	var err error
	for range portTries {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+t.rng.IntN(lastPort-firstPort))
		var listener net.Listener
		if listener, err = listen.Listen(ctx, "tcp", address); err == nil {
			return address, listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

func (t *trial) url() string { return "nats://" + t.listen }

// start starts a server on the trial's directory and address.
func (t *trial) start(log io.Writer) error {
	args := []string{"up", "--dir", t.place.data(), "--listen", t.listen, "--local-journal", t.place.journal()}
	started, err := startServer(t.binary, args, log)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = started
	return nil
}

// storm runs the clients and kills the server under them, until every command has its
// answer or time is up. The server runs at its end.
func (t *trial) storm(ctx context.Context, log io.Writer) error {
	if err := t.startReady(ctx, log); err != nil {
		return err
	}
	clients, err := t.connect()
	if err != nil {
		return err
	}
	group, waiting := errgroup.WithContext(ctx)
	waiting, stopWaiting := context.WithCancel(waiting)
	defer stopWaiting()
	issuing, stopIssuing := context.WithCancel(waiting)
	for _, c := range clients {
		group.Go(func() error { return c.run(issuing, waiting) })
	}
	progressing := make(chan struct{})
	go func() {
		defer close(progressing)
		t.progress(waiting)
	}()
	err = t.killAll(waiting, log)
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

func (t *trial) startReady(ctx context.Context, log io.Writer) error {
	if err := t.start(log); err != nil {
		return err
	}
	return t.current.awaitReady(ctx)
}

func (t *trial) connect() ([]*client, error) {
	clients := make([]*client, 0, t.clients)
	for number := range t.clients {
		c, err := newClient(t.url(), number, t.options, t.ledger)
		if err != nil {
			for _, open := range clients {
				open.conn.Close()
			}
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// killAll kills the running server and starts it again, as often as it was asked to.
func (t *trial) killAll(ctx context.Context, log io.Writer) error {
	for n := range t.options.kills {
		if err := t.untilKill(ctx); err != nil {
			return fmt.Errorf("after %d kills: %w", n, err)
		}
		dead, err := t.current.kill()
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.kills = append(t.kills, dead)
		t.mu.Unlock()
		if err := t.start(log); err != nil {
			return err
		}
	}
	if err := t.current.awaitReady(ctx); err != nil {
		return fmt.Errorf("after %d kills: %w", t.options.kills, err)
	}
	return nil
}

// untilKill waits for a random moment of the running server's life.
func (t *trial) untilKill(ctx context.Context) error {
	if t.rng.IntN(earlyKills) == 0 {
		return t.current.live(ctx, time.Duration(t.rng.Int64N(int64(maxEarly))))
	}
	if err := t.current.awaitReady(ctx); err != nil {
		return err
	}
	return t.current.live(ctx, minUptime+time.Duration(t.rng.Int64N(int64(t.maxUptime-minUptime)+1)))
}

// progress tells how far the trial is until ctx ends.
func (t *trial) progress(ctx context.Context) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.mu.Lock()
			kills := len(t.kills)
			t.mu.Unlock()
			c := t.ledger.counts()
			fmt.Fprintf(t.stderr, "crash: %d of %d kills, %d commands, %d answers, %d waiting\n",
				kills, t.options.kills, c.commands, c.answers, c.waiting)
		}
	}
}
