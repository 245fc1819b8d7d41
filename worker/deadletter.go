package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// bury puts a command that cannot be carried out at all into the dead letters, with its
// payload and headers, answers it, and takes it out of the queue.
func (w *Worker) bury(ctx context.Context, d *delivery, why error) (err error) {
	ctx, span := w.traceBurial(ctx, d, why)
	defer func() { span.End(err) }()
	ctx, cancel := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer cancel()
	code := volume.CodeOf(why)
	burial := commands.Burial{Incoming: d.Incoming, Attempts: d.attempts, Cause: why}
	for _, letter := range burial.Messages(int(w.nc.MaxPayload())) {
		// gofail: var beforeLetter string
		// killAt(beforeLetter, "letter", d.command().ID)

		if _, err := w.js.PublishMsg(ctx, letter, jetstream.WithExpectStream(commands.DeadLetterStreamName)); err != nil {
			return fmt.Errorf("bury command at sequence %d: %w: %w", d.Sequence, volume.Unavailable, err)
		}
		// gofail: var afterLetter string
		// killAt(afterLetter, "letter", d.command().ID)
	}
	w.reply(d.envelope, volume.Outcome{
		CommandID: d.command().ID, Verb: d.command().Verb, Result: volume.Rejected, Failure: volume.NewFailure(why),
	}, false)
	// gofail: var beforeTakeOut string
	// killAt(beforeTakeOut, "take-out", d.command().ID)

	if err := w.takeOut(ctx, d); err != nil {
		return fmt.Errorf("take command at sequence %d out of the queue: %w", d.Sequence, err)
	}
	// gofail: var afterTakeOut string
	// flushAndKillAt(w.nc, afterTakeOut, "take-out", d.command().ID)

	w.metrics.deadLetters.WithLabelValues(string(code)).Inc()
	w.log.Warn().Err(why).Str("subject", d.Subject).Uint64("sequence", d.Sequence).Msg("command buried")
	return nil
}

// takeOut takes a buried command out of the queue. It is acknowledged, not terminated:
// the server would tell of a termination in an advisory, and those are dead letters too.
func (w *Worker) takeOut(ctx context.Context, d *delivery) error {
	if d.msg != nil {
		return d.msg.Ack()
	}
	err := w.stream.DeleteMsg(ctx, d.Sequence)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // which does not tell why
		if _, look := w.stream.GetMsg(ctx, d.Sequence); errors.Is(look, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return err
}
