package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/embednats"
	"github.com/jetvol/jetvol/internal/natsproc"
	"github.com/jetvol/jetvol/internal/trial"
)

// Bounds of what servers may take.
const (
	serverTimeout = 30 * time.Second
	healTimeout   = time.Minute
	askTimeout    = 2 * time.Second
)

// servers are one or three NATS servers, of which at most one is disturbed at a time.
type servers struct {
	all     []*natsproc.Process
	log     *os.File
	running sync.WaitGroup // of disturbances

	mu        sync.Mutex // guards all below
	disturbed bool
	since     time.Time // of the last change of disturbed
	kills     int
	stops     int
	err       error
}

// startServers starts that many servers, and returns when clients can connect to them
// and streams can be made.
func startServers(ctx context.Context, number int, p trial.Place) (*servers, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	log, err := os.OpenFile(p.Path("servers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s := &servers{log: log}
	o := natsproc.Options{Dir: p.Path("nats"), Log: log}
	if number == 1 {
		one, err := natsproc.Start(ctx, o)
		if err != nil {
			return nil, err
		}
		s.all = []*natsproc.Process{one}
		return s, nil
	}
	cluster, err := natsproc.StartCluster(ctx, number, o)
	if err != nil {
		return nil, err
	}
	for i := range cluster.Size() {
		s.all = append(s.all, cluster.Server(i))
	}
	return s, connected(s.urls(), func(js jetstream.JetStream) error { return embednats.AwaitReplicas(ctx, js, number) })
}

func (s *servers) urls() []string {
	urls := make([]string, len(s.all))
	for i, p := range s.all {
		urls[i] = p.URL()
	}
	return urls
}

// undisturbed reports whether all servers have been well since that moment.
func (s *servers) undisturbed(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.disturbed && s.since.Before(since)
}

// begin reports whether a server may be disturbed now, and notes that one is.
func (s *servers) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disturbed || s.err != nil {
		return false
	}
	s.disturbed, s.since = true, time.Now()
	return true
}

func (s *servers) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disturbed, s.since = false, time.Now()
	if err != nil {
		s.err = err
	}
}

// failure returns why a server could not be brought back.
func (s *servers) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// choose returns the given server, or the one that leads the command stream if leader is
// set and it can be asked.
func (s *servers) choose(ctx context.Context, js jetstream.JetStream, number int, leader bool) *natsproc.Process {
	if leader && len(s.all) > 1 {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if name, err := embednats.LeaderOf(ctx, js, commands.StreamName); err == nil {
			for _, p := range s.all {
				if p.Name() == name {
					return p
				}
			}
		}
	}
	return s.all[number%len(s.all)]
}

// kill kills a server, starts it again after a while and waits until it has what the
// others have. It does not wait for that; [servers.begin] must have been asked before.
func (s *servers) kill(ctx context.Context, js jetstream.JetStream, p *natsproc.Process, down time.Duration) {
	s.mu.Lock()
	s.kills++
	s.mu.Unlock()
	s.disturb(ctx, js, p.Kill, down, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverTimeout)
		defer cancel()
		return p.Start(ctx)
	})
}

// stop does the same with SIGSTOP and SIGCONT.
func (s *servers) stop(ctx context.Context, js jetstream.JetStream, p *natsproc.Process, d time.Duration) {
	s.mu.Lock()
	s.stops++
	s.mu.Unlock()
	s.disturb(ctx, js, p.Pause, d, p.Resume)
}

func (s *servers) disturb(ctx context.Context, js jetstream.JetStream, down func() error, d time.Duration, up func() error) {
	s.running.Go(func() {
		if err := down(); err != nil {
			s.end(err)
			return
		}
		pause(ctx, d)
		if err := up(); err != nil {
			s.end(err)
			return
		}
		s.end(awaitCurrent(context.WithoutCancel(ctx), js))
	})
}

func awaitCurrent(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	if err := embednats.AwaitCurrent(ctx, js); err != nil {
		return fmt.Errorf("after a server came back: %w", err)
	}
	return nil
}

// restart ends all servers in order and starts them again.
func (s *servers) restart(ctx context.Context) error {
	for _, p := range s.all {
		if err := p.Stop(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	started := make(chan error, len(s.all))
	for _, p := range s.all { // at once: one alone has no leader
		go func() { started <- p.Start(ctx) }()
	}
	for range s.all {
		if err := <-started; err != nil {
			return err
		}
	}
	return connected(s.urls(), func(js jetstream.JetStream) error { return awaitCurrent(ctx, js) })
}

// close kills the servers.
func (s *servers) close() error {
	s.running.Wait()
	for _, p := range s.all {
		if err := p.Kill(); err != nil {
			return err
		}
	}
	return s.log.Close()
}
