package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

// operate brings the record's operation to its end: step 6 and 7, from wherever it
// stands. It returns the outcome.
func (e *execution) operate(ctx context.Context) (*volume.Outcome, error) {
	if err := e.carryOn(ctx); err != nil {
		return nil, err
	}
	for {
		e.head.prune()
		step := fsm.NextStep(e.head.record)
		if step.Kind == fsm.StepWait {
			if _, err := e.head.settled(ctx); err != nil { // the failure is to be seen while it waits
				return nil, err
			}
			// By a clock that was ahead it may be further away than any wait is.
			until := time.Now().Add(min(time.Until(step.Until), e.worker.config.Retry.MaxWait))
			if err := e.awaitRetry(ctx, until); err != nil {
				return nil, err
			}
		}
		decision, err := e.advance(ctx, step)
		if errors.Is(err, errOutbid) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := e.commit(ctx, decision); err != nil {
			return nil, err
		}
		if decision.Outcome != nil {
			return decision.Outcome, nil
		}
	}
}

// advance carries out one step of the operation and decides what follows from it.
func (e *execution) advance(ctx context.Context, step fsm.Step) (fsm.Decision, error) {
	switch step.Kind {
	case fsm.StepAct:
		return e.try(ctx, step.Action)
	case fsm.StepWait:
		if cause := cancelCause(e.cancellable); cause != nil {
			e.head.record = fsm.Cancel(e.head.record, cause)
			return e.settle(ctx)
		}
		e.worker.metrics.retries.WithLabelValues(string(e.head.record.Op.Verb)).Inc()
		return fsm.Retry(e.head.record, now())
	case fsm.StepSettle:
		return e.settle(ctx)
	default:
		return e.giveUp(ctx)
	}
}

// giveUp ends an operation whose last attempt has failed. One of them may have done its work
// without being heard, so the volume's snapshots are settled, if the backend lets them be.
func (e *execution) giveUp(ctx context.Context) (fsm.Decision, error) {
	switch e.head.record.Op.Verb {
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot:
	default:
		return fsm.GiveUp(e.head.record, now())
	}
	seen, err := e.settled(ctx)
	if err != nil && !leftUnsettled(err) {
		return fsm.Decision{}, err
	}
	if err != nil {
		return e.leave(ctx)
	}
	if seen.Snapshots != nil {
		e.head.record.Snapshots = *seen.Snapshots
	}
	return fsm.GiveUp(e.head.record, now())
}

// leave ends an operation of which the backend does not say how far it came.
func (e *execution) leave(ctx context.Context) (fsm.Decision, error) {
	if err := e.unmarkSnapshot(ctx); err != nil && !leftUnsettled(err) {
		return fsm.Decision{}, err
	}
	return fsm.GiveUp(e.head.record, now())
}

// try makes the backend call of the operation.
func (e *execution) try(ctx context.Context, action fsm.Action) (fsm.Decision, error) {
	attempt, span := e.worker.config.Tracer.Begin(e.cancellable, telemetry.SpanAttempt)
	span.Attempt(e.head.record.Op.Attempt)
	end, err := e.act(attempt, action)
	span.End(err)
	// gofail: var afterAct string
	// killAt(afterAct, "act", e.command.ID)

	if err != nil && ctx.Err() != nil {
		return fsm.Decision{}, errHandBack
	}
	if err == nil {
		return end(e.head.record, now())
	}
	if err := e.outbid(ctx, err); err != nil {
		return fsm.Decision{}, err
	}
	cause := cancelCause(e.cancellable)
	if _, own := errors.AsType[*storeError](err); own { // cancelled or not, whether it was stored has to be found out
		return fsm.Decision{}, err
	}
	if cause != nil {
		err = cause
	}
	return fsm.Fail(e.head.record, err, e.worker.config.Retry, now())
}

// settle ends a cancelled operation by what the backend has. A backend that does not
// say leaves the volume in error, to be reconciled.
func (e *execution) settle(ctx context.Context) (fsm.Decision, error) {
	seen, err := e.settled(ctx)
	switch {
	case err == nil:
		return fsm.Settle(e.head.record, seen, now())
	case leftUnsettled(err):
		return e.leave(ctx)
	default:
		return fsm.Decision{}, err
	}
}

// settled asks the backend what it has, and brings the store to agree. What keeps it from
// that is an error with a code; after any other the step is to be begun again.
func (e *execution) settled(ctx context.Context) (fsm.Observation, error) {
	seen, err := e.observe(ctx)
	if err == nil {
		err = e.settleChain(ctx, &seen)
	}
	if err != nil && ctx.Err() != nil {
		return seen, errHandBack
	}
	if outbid := e.outbid(ctx, err); outbid != nil {
		return seen, outbid
	}
	return seen, err
}

// leftUnsettled reports whether err is the backend's or the store's word, and not the
// worker's own matter.
func leftUnsettled(err error) bool {
	_, own := errors.AsType[*storeError](err)
	return !own && rejection(err)
}

// awaitRetry waits in the lane, without a place among the working ones. It is not a
// nak: the server would then deliver the volume's next command first.
func (e *execution) awaitRetry(ctx context.Context, until time.Time) error {
	_, span := e.worker.config.Tracer.Begin(ctx, telemetry.SpanWait)
	defer span.End(nil)
	e.worker.metrics.waits.Inc()
	defer e.worker.metrics.waits.Dec()
	e.worker.slots.Release(1)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	handBack := false
	select {
	case <-timer.C:
	case <-e.lane.tenure.taking.Done():
		handBack = true
	case <-e.cancellable.Done():
		handBack = cancelCause(e.cancellable) == nil
	}
	// The place is taken back even to give up: the caller will release it.
	if err := e.worker.slots.Acquire(context.Background(), 1); err != nil {
		return fmt.Errorf("%w: %w", errHandBack, err)
	}
	if handBack {
		return errHandBack
	}
	return nil
}
