package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// answered looks for the answer that the command got before. It returns an
// [volume.ErrCommandIDReused] if its ID belongs to another command.
func (e *execution) answered(ctx context.Context) (*volume.Outcome, bool, error) {
	record, id := e.head.record, e.command.ID
	if e.command.ValidateOnly {
		return nil, false, nil // it changes nothing, so it may be asked again and again
	}
	if op := record.Op; op != nil && op.CommandID == id {
		return nil, false, sameCommand(e.command, op.Digest)
	}
	outcome, found := record.Outcome(id)
	if !found {
		var err error
		if outcome, err = e.answeredLongAgo(ctx, id); errors.Is(err, volume.NotFound) {
			return nil, false, nil
		} else if err != nil {
			return nil, false, fmt.Errorf("look up command %s: %w", id, err)
		}
	}
	return &outcome, true, sameCommand(e.command, outcome.Digest)
}

// answeredLongAgo looks for an answer that the record has let go of: in the bucket of
// outcomes if some were moved there, and in the events of a volume whose record is
// gone. It returns a [volume.NotFound] if the command is new.
func (e *execution) answeredLongAgo(ctx context.Context, id volume.CommandID) (volume.Outcome, error) {
	if !e.head.mayHaveSpilled() {
		return volume.Outcome{}, volume.NotFound
	}
	outcome, err := e.worker.outcomes.Get(ctx, e.command.Key, id)
	if errors.Is(err, volume.NotFound) && e.head.recordLost() {
		return e.outcomeOfEarlierLife(ctx, id)
	}
	return outcome, err
}

func (e *execution) outcomeOfEarlierLife(ctx context.Context, id volume.CommandID) (volume.Outcome, error) {
	for outcome, err := range events.Outcomes(ctx, e.worker.js, e.command.Key) {
		if err != nil || outcome.CommandID == id {
			return outcome, err
		}
	}
	return volume.Outcome{}, volume.NotFound
}

func sameCommand(command volume.Command, first string) error {
	if command.Digest() == first {
		return nil
	}
	return volume.Errorf(volume.ErrCommandIDReused, "command id %s was used for another command of this volume", command.ID)
}
