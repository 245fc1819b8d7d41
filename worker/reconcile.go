package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// What a reconcile and an adopt need besides other commands: they look at the backend before
// anything is stored.

// operateBefore ends the operation of a command that is gone. A reconcile asks first whether
// the backend can be reached: if not, it is refused, and the operation stays as it is instead
// of using up its attempts on a backend that nobody asked to be tried.
func (e *execution) operateBefore(ctx context.Context) (*volume.Outcome, error) {
	if e.command.Verb == volume.VerbReconcile && !e.command.ValidateOnly {
		if err := e.carryOn(ctx); err != nil {
			return nil, err
		}
		_, err := e.observe(e.cancellable)
		if errors.Is(err, volume.Unavailable) && rejection(err) {
			return e.refuse(ctx, err)
		}
	}
	_, err := e.operate(ctx)
	return nil, err
}

// refuse records the refusal of the command beside the operation that is under way.
func (e *execution) refuse(ctx context.Context, why error) (*volume.Outcome, error) {
	if err := e.head.makeRoom(ctx, e.worker); err != nil {
		return nil, err
	}
	decision := fsm.Reject(e.head.record, e.command, why, now())
	return decision.Outcome, e.commit(ctx, decision)
}

// ownBeforeLooking makes this worker the volume's owner if another one was, for a command that
// looks at the backend before anything is stored: what it sees must last.
func (e *execution) ownBeforeLooking(ctx context.Context) error {
	looks := e.command.Verb == volume.VerbReconcile || e.command.Verb == volume.VerbAdopt && !e.command.TakesImage()
	if !looks || !e.foreign() || e.command.ValidateOnly {
		return nil
	}
	if err := e.rememberLost(ctx, &e.head.record); err != nil {
		return err
	}
	return e.raise(ctx, e.head.record.Owner.Epoch)
}

// rememberLost keeps the answers of a record that was lost: the new one hides that the name
// was known before, and a late repeat from then must still be recognised.
func (e *execution) rememberLost(ctx context.Context, record *volume.Record) (err error) {
	if e.head.recordLost() {
		record.Spilled, err = e.head.spillEarlierLife(ctx, e.worker)
	}
	return err
}
