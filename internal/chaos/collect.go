package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
)

// collect brings the system to rest: it lets the queue run empty, ends workers and
// servers in order, starts the servers and one worker once more, asks for everything,
// ends that worker again and reads its files.
func (s *storm) collect(ctx context.Context) (verify.Evidence, error) {
	var e verify.Evidence
	err := connected(s.servers.urls(), func(js jetstream.JetStream) error { return trial.AwaitEmpty(ctx, js) })
	if err != nil {
		return e, err
	}
	s.crew.drainAll()
	var before trial.Marks
	err = connected(s.servers.urls(), func(js jetstream.JetStream) (err error) {
		before, err = trial.TakeMarks(ctx, js)
		return err
	})
	if err != nil {
		return e, err
	}
	if err := s.servers.restart(ctx); err != nil {
		return e, fmt.Errorf("restart: %w", err)
	}
	if err := s.crew.join(ctx, ""); err != nil {
		return e, err
	}
	if err := s.crew.awaitReady(ctx); err != nil {
		return e, fmt.Errorf("cold start: %w", err)
	}
	s.say("collecting")
	e.Commands, e.Kills, e.Stops = s.clients.Ledger().Commands(), s.crew.ends, s.crew.stops
	err = connected(s.servers.urls(), func(js jetstream.JetStream) error { return trial.ReadStreams(ctx, js, before, &e) })
	if err != nil {
		return e, err
	}
	s.crew.drainAll()
	return e, s.place.ReadDisk(ctx, &e)
}
