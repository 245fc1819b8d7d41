package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
)

// collect brings the system to rest: it lets the queue run empty, ends the server in
// order, starts it once more, asks it for everything, ends it again and reads its files.
func (s *storm) collect(ctx context.Context, log io.Writer) (verify.Evidence, error) {
	var e verify.Evidence
	var before trial.Marks
	err := s.connected(func(js jetstream.JetStream) (err error) {
		if err = trial.AwaitEmpty(ctx, js); err == nil {
			before, err = trial.TakeMarks(ctx, js)
		}
		return err
	})
	if err := errors.Join(err, s.current.Stop()); err != nil {
		return e, err
	}
	if err := s.startReady(ctx, log); err != nil {
		return e, fmt.Errorf("cold start: %w", err)
	}
	e.Commands, e.Kills = s.ledger().Commands(), s.kills
	err = s.connected(func(js jetstream.JetStream) error { return trial.ReadStreams(ctx, js, before, &e) })
	if err := errors.Join(err, s.current.Stop()); err != nil {
		return e, err
	}
	return e, s.store.Read(ctx, &e)
}

// connected calls f with a connection to the server.
func (s *storm) connected(f func(jetstream.JetStream) error) error {
	conn, err := nats.Connect(s.url(), nats.Name("crash-witness"))
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
