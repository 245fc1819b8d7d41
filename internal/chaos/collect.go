package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
)

// collect brings the system to rest: it lets the queue run empty, ends workers and
// servers in order, starts the servers and one worker once more, asks for everything,
// ends that worker again and reads its files.
func (s *storm) collect(ctx context.Context) (verify.Evidence, error) {
	var e verify.Evidence
	err := connected(s.servers.urls(), func(js jetstream.JetStream) error {
		if err := trial.AwaitEmpty(ctx, js); err != nil {
			return err
		}
		for _, line := range trial.Left(ctx, js) {
			s.say("left in the stream: %s", line)
		}
		return nil
	})
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
	e, err = s.readStreams(ctx, before)
	if err != nil {
		return e, err
	}
	e.Commands, e.Kills, e.Stops = s.clients.Ledger().Commands(), s.crew.ends, s.crew.stops
	s.crew.drainAll()
	return e, s.crew.store.Read(ctx, &e)
}

// readTries is how often everything is asked for: in a cluster that has just been started
// leaders still move.
const readTries = 10

func (s *storm) readStreams(ctx context.Context, before trial.Marks) (e verify.Evidence, err error) {
	for range readTries {
		e = verify.Evidence{}
		err = connected(s.servers.urls(), func(js jetstream.JetStream) error { return trial.ReadStreams(ctx, js, before, &e) })
		if err == nil || ctx.Err() != nil {
			return e, err
		}
		s.say("collecting again: %v", err)
		pause(ctx, time.Second)
	}
	return e, err
}
