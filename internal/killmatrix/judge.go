package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	trials "github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// An acknowledgement may come after its answer, and after a takeover.
const (
	queueTimeout = 10 * time.Second
	queueLook    = 10 * time.Millisecond
)

// judge compares everything that the trial has left: answers, records, events, dead
// letters, the queue, and the backend with its journal.
func (t *trial) judge(ctx context.Context) error {
	e, err := t.evidence(ctx)
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	var faults []error
	for _, fault := range verify.All(e) {
		faults = append(faults, errors.New(fault.String()))
	}
	faults = append(faults, t.checkQuota(ctx)...)
	return errors.Join(append(faults, t.repeats(e)...)...)
}

// results are how the command has to end by the scenario of its cell; the kill must not
// show in it. Where a cancel races with its target there are two ways.
func (c cell) results() []volume.Result {
	switch {
	case c.column.name == createKnown, c.column.name == refused, c.column.name == inUse, c.column.name == unknown, c.column.name == malformed:
		return []volume.Result{volume.Rejected}
	case c.column.name == repeated:
		return []volume.Result{volume.Succeeded, volume.Rejected}
	case c.column.name == string(volume.VerbCancel):
		return []volume.Result{volume.Succeeded, volume.Rejected}
	case c.column.name == strange:
		return []volume.Result{volume.Failed}
	case c.scenario == hopeless, c.scenario == refusing:
		return []volume.Result{volume.Failed}
	case c.scenario == cancelled:
		return []volume.Result{volume.Failed, volume.Succeeded}
	default:
		return []volume.Result{volume.Succeeded}
	}
}

// repeats checks what verify leaves open: the command ended as it has to, was answered
// as a repeat when it was asked for again, and has one dead letter if it was buried.
func (t *trial) repeats(e verify.Evidence) []error {
	command := t.ledger.find(t.plan.command.ID)
	if ended := command.Answers[0].Outcome; !slices.Contains(t.plan.results, ended) {
		return []error{fmt.Errorf("command %s: ended as %s, want %v: %+v", command.ID, ended, t.plan.results, command.Answers[0].Failure)}
	}
	if command.Kind == verify.Malformed {
		if letters := e.DeadLetters[command.ID]; letters != 1 {
			return []error{fmt.Errorf("command %s: %d dead letters", command.ID, letters)}
		}
		return nil
	}
	if again := command.Answers[len(command.Answers)-1]; !again.Repeat {
		return []error{fmt.Errorf("command %s: asked again, answered anew: %+v", command.ID, again)}
	}
	return nil
}

// evidence collects what concerns the trial's project. Where the worker died in the
// lane of the command no kill is told: it did not come inside the backend, so that every
// effect has to be in the journal.
func (t *trial) evidence(ctx context.Context) (verify.Evidence, error) {
	e := verify.Evidence{
		Commands: t.ledger.all(),
	}
	if t.plan.aside {
		for _, kill := range t.kills {
			e.Kills = append(e.Kills, verify.Span{From: kill, To: kill})
		}
	}
	err := trials.ReadProject(ctx, t.site.js, t.plan.key.Project, &e)
	if err != nil {
		return e, err
	}
	if e.DeadLetters, err = t.deadLetters(ctx); err != nil {
		return e, err
	}
	if e.ColdStart.Queued, err = t.queued(ctx); err != nil {
		return e, err
	}
	return e, t.room.Read(ctx, &e)
}

// deadLetters counts the dead letters of each command of the trial.
func (t *trial) deadLetters(ctx context.Context) (map[volume.CommandID]int, error) {
	letters := map[volume.CommandID]int{}
	stream, err := t.site.js.Stream(ctx, commands.DeadLetterStreamName)
	if err != nil {
		return nil, err
	}
	filter := jetstream.WithGetMsgSubject("volume.dead." + t.plan.key.String() + ".*")
	for sequence := uint64(1); ; sequence++ {
		letter, err := stream.GetMsg(ctx, sequence, filter)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return letters, nil
		}
		if err != nil {
			return nil, fmt.Errorf("dead letter %d: %w", sequence, err)
		}
		letters[volume.CommandID(letter.Header.Get(commands.HeaderOriginalPrefix+commands.HeaderID))]++
		sequence = letter.Sequence
	}
}

// queued returns how many commands are left in the stream, once it has become 0 or time
// is up.
func (t *trial) queued(ctx context.Context) (uint64, error) {
	for bound := time.Now().Add(queueTimeout); ; {
		stream, err := t.site.js.Stream(ctx, commands.StreamName)
		if err != nil {
			return 0, err
		}
		left := stream.CachedInfo().State.Msgs
		if left == 0 || time.Now().After(bound) {
			return left, nil
		}
		if err := pause(ctx, queueLook); err != nil {
			return left, err
		}
	}
}
