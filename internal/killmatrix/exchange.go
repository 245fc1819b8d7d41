package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// answerTimeout bounds the wait for one answer. It covers a takeover on a slow machine.
const answerTimeout = 30 * time.Second

// afterWindow is how long to wait before the stream takes an ID again.
const afterWindow = commands.DedupeWindow / 2

// exchange is a command on its way, published once: every answer has to come without
// asking again.
type exchange struct {
	ask   ask
	inbox *nats.Subscription
}

// publish stores the command in the stream and returns without waiting for its answer.
func publish(ctx context.Context, s *site, a ask) (*exchange, error) {
	inbox, err := s.conn.SubscribeSync(s.conn.NewInbox())
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", a.ID, err)
	}
	msg, err := commands.NewMessage(volume.Command{
		ID: a.ID, Key: a.Key, Verb: a.Verb, Args: a.Args, Preconditions: a.Preconditions, Actor: a.Actor,
	}, inbox.Subject)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", a.ID, err)
	}
	if a.kind == verify.Malformed {
		msg.Data = a.payload
	}
	for {
		ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(commands.StreamName))
		if err != nil {
			return nil, fmt.Errorf("publish %s: %w", a.ID, err)
		}
		if !ack.Duplicate { // else it was dropped and nobody will answer
			return &exchange{ask: a, inbox: inbox}, nil
		}
		if err := pause(ctx, afterWindow); err != nil {
			return nil, err
		}
	}
}

// answer waits for the first answer.
func (e *exchange) answer(ctx context.Context) (commands.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer func() { _ = e.inbox.Unsubscribe() }() // fails only if the connection is closed
	msg, err := e.inbox.NextMsgWithContext(ctx)
	if err != nil {
		return commands.Reply{}, fmt.Errorf("command %s: no answer: %w", e.ask.ID, err)
	}
	return commands.DecodeReply(msg.Data)
}

// ledger holds what was asked and answered in one trial.
type ledger struct {
	commands []*verify.Command
}

func (l *ledger) asked(a ask) {
	c := l.find(a.ID)
	if c == nil {
		c = &verify.Command{Key: a.Key, ID: a.ID, Verb: a.Verb, Kind: a.kind}
		l.commands = append(l.commands, c)
	}
	c.Asked++
}

func (l *ledger) answered(a ask, reply commands.Reply) {
	c := l.find(a.ID)
	c.Answers = append(c.Answers, reply)
}

func (l *ledger) find(id volume.CommandID) *verify.Command {
	for _, c := range l.commands {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (l *ledger) all() []verify.Command {
	all := make([]verify.Command, len(l.commands))
	for i, c := range l.commands {
		all[i] = *c
	}
	return all
}

// do publishes the commands one after another, each after the answer of the one before.
func (t *trial) do(ctx context.Context, asks []ask) error {
	for _, a := range asks {
		if err := t.tamper(ctx, a.tampers); err != nil {
			return err
		}
		t.ledger.asked(a)
		e, err := publish(ctx, t.site, a)
		if err != nil {
			return err
		}
		reply, err := e.answer(ctx)
		if err != nil {
			return err
		}
		t.ledger.answered(a, reply)
	}
	return nil
}

// issue publishes the commands in their order without waiting for answers.
func (t *trial) issue(ctx context.Context, asks ...ask) error {
	for _, a := range asks {
		if a.afterFailure {
			if err := t.awaitFailure(ctx, a); err != nil {
				return err
			}
		}
		if err := t.tamper(ctx, a.tampers); err != nil {
			return err
		}
		t.ledger.asked(a)
		e, err := publish(ctx, t.site, a)
		if err != nil {
			return err
		}
		t.open = append(t.open, e)
	}
	return nil
}

// awaitFailure waits until the command before a has failed once.
func (t *trial) awaitFailure(ctx context.Context, a ask) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if _, err := t.failures.NextMsgWithContext(ctx); err != nil {
		return fmt.Errorf("command before %s: no failure: %w", a.ID, err)
	}
	return nil
}

// collectAnswers waits for the answers of all that was issued. The backend is free once
// the command itself has ended.
func (t *trial) collectAnswers(ctx context.Context) error {
	var faults []error
	for _, e := range t.open {
		reply, err := e.answer(ctx)
		if err == nil {
			t.ledger.answered(e.ask, reply)
		}
		faults = append(faults, err)
		if e.ask.ID == t.plan.command.ID {
			t.release()
		}
	}
	t.open = nil
	return errors.Join(faults...)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
