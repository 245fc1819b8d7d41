package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// execution is the work on one command.
type execution struct {
	lane     *lane
	worker   *Worker
	delivery *delivery
	command  volume.Command
	head     *head
	looks    bool // whatever is not in memory is read, and nothing assumed
	taken    time.Time
	span     telemetry.Span // of the whole
	// cancellable ends when the command is cancelled, and when the lane's context does.
	cancellable context.Context
	meter       meter
}

// execute carries one command to its end. It returns nil when the command is
// acknowledged, errHandBack when the next owner has to go on, and any other error when
// it must be begun again from the stored record, which is always safe:
//
//  1. The message is decoded and valid by now; what is not was buried (deadletter.go).
//  2. Read the record. A command that was answered before gets the same answer. What a create
//     of a name new to this worker would find is not read but assumed (assume.go).
//  3. Decide. A refusal is recorded as an event and an answer, like everything else.
//  4. Store the record, with the event inside, by compare-and-set. Write before acting:
//     after a crash the next owner must find what was begun.
//  5. Publish the event, without waiting, behind the volume's last one.
//  6. Call the backend.
//  7. Store and publish the result; after a failure wait in the lane and try again.
//  8. When all events are stored: reply, then acknowledge.
func (e *execution) execute(ctx context.Context) error {
	e.taken = time.Now()
	var end func()
	e.cancellable, end = e.lane.begin(ctx, e.command.ID)
	defer end()
	e.beginMeter()
	if e.assumes() {
		return e.executeAssumed(ctx)
	}
	return e.executeKnown(ctx)
}

// executeKnown carries the command out from what is known of its volume.
func (e *execution) executeKnown(ctx context.Context) (err error) {
	if e.head, err = e.lane.head(ctx, e.command.ValidateOnly); errors.Is(err, kv.ErrCorrupt) {
		// Waiting would not make the record readable, and would hold up the volume. One that
		// a newer jetvol has written does wait, for a newer worker.
		return e.worker.bury(ctx, e.delivery, err)
	}
	if err != nil {
		return err
	}
	ctx = e.trace(ctx)
	defer func() { e.traced(err) }()
	outcome, answered, err := e.answered(ctx)
	if errors.Is(err, volume.ErrCommandIDReused) {
		return e.worker.bury(ctx, e.delivery, err)
	}
	if err != nil || answered {
		return e.finish(ctx, outcome, true, err)
	}
	// What is under way was begun before this: by a former owner, or before a conflict.
	e.head.record = fsm.Interrupted(e.head.record)
	if err := e.readmit(ctx); err != nil {
		return err
	}
	// An operation of another command can only be here if that command's message was
	// taken out of the stream by hand. It is ended first, as if it were still there.
	if op := e.head.record.Op; op != nil && op.CommandID != e.command.ID {
		if outcome, err = e.operateBefore(ctx); err != nil || outcome != nil {
			return e.finish(ctx, outcome, false, err)
		}
		if err := e.settleOther(ctx, op.CommandID); err != nil {
			return err
		}
	}
	if e.head.record.Op == nil {
		outcome, err = e.begin(ctx)
	}
	if e.head.record.Op != nil && err == nil {
		outcome, err = e.operate(ctx)
	}
	return e.finish(ctx, outcome, false, err)
}

// begin decides on a new command and stores the decision. It returns the outcome of a
// command that ends with that.
func (e *execution) begin(ctx context.Context) (*volume.Outcome, error) {
	if err := e.head.makeRoom(ctx, e.worker); err != nil {
		return nil, err
	}
	if err := e.ownBeforeLooking(ctx); err != nil {
		return nil, err
	}
	decision, err := e.decide(ctx)
	if outbid := e.outbid(ctx, err); outbid != nil {
		return nil, outbid
	}
	if err == nil {
		err = e.quota(ctx, &decision)
		defer e.endStore()
	}
	if rejection(err) {
		if e.command.ValidateOnly {
			return &volume.Outcome{
				CommandID: e.command.ID, Verb: e.command.Verb, Result: volume.Rejected, State: e.head.record.State,
				Generation: e.head.record.Generation, VolumeID: e.head.record.ID, Failure: volume.NewFailure(err),
			}, nil
		}
		decision, err = fsm.Reject(e.head.record, e.command, err, now()), nil
	}
	if err != nil || !decision.Stores() {
		return decision.Outcome, err
	}
	if err := e.rememberLost(ctx, &decision.Record); err != nil {
		return nil, err
	}
	return decision.Outcome, e.commit(ctx, decision)
}

// decide asks the state machine, and the backend where the answer depends on it.
func (e *execution) decide(ctx context.Context) (fsm.Decision, error) {
	if cause := cancelCause(e.cancellable); cause != nil {
		return fsm.Decision{Record: e.head.record}, cause
	}
	if err := fsm.Admit(e.head.record, e.command, now()); err != nil {
		return fsm.Decision{Record: e.head.record}, err
	}
	if err := e.resolve(ctx); err != nil {
		return fsm.Decision{Record: e.head.record}, err
	}
	decision, err := fsm.Decide(e.head.record, e.command, now())
	err = e.explainSnapshots(ctx, err)
	if err == nil && e.command.Verb == volume.VerbNodeGone {
		err = e.worker.evictable(e.head.record, e.command)
	}
	if err != nil || decision.Action != fsm.ActionObserve {
		return decision, err
	}
	if e.command.Verb == volume.VerbAdopt {
		return e.adopt(ctx)
	}
	e.command.RecordOnly = e.worker.config.RecordOnly[e.head.record.Backend]
	seen, err := e.observe(e.cancellable)
	if err == nil {
		err = e.reconcileChain(ctx, &seen)
	}
	if err != nil {
		return decision, err
	}
	return fsm.Reconcile(e.head.record, e.command, seen, now())
}

// rejection reports whether a command that met err is to be refused with it, rather
// than tried again.
func rejection(err error) bool {
	if _, refused := errors.AsType[*fsm.RejectedError](err); refused {
		return true
	}
	_, coded := errors.AsType[*volume.Error](err)
	return coded
}

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

// commit stores a decision and starts publishing its event: steps 4 and 5.
func (e *execution) commit(ctx context.Context, decision fsm.Decision) (err error) {
	ctx, span := e.traceCommit(ctx, decision)
	defer func() { span.End(err) }()
	var encoded []byte
	decision.Record.Owner = e.worker.ownerAfter(decision.Record.Owner, decision.Record.UpdatedAt)
	if decision.Transition != nil {
		decision.Transition.Worker, decision.Transition.Epoch = decision.Record.Owner.Worker, decision.Record.Owner.Epoch
		if encoded, err = chain(&decision); err != nil {
			return err
		}
	}
	if err := e.reserve(ctx, &decision); err != nil {
		return err
	}
	defer e.endStore()
	// gofail: var beforeStore string
	// killAt(beforeStore, stepFrom(e.head.record.Assumed, decision.Transition), e.command.ID)

	if err := e.head.store(ctx, e.worker, decision.Record); err != nil {
		return err
	}
	e.endStore()
	// gofail: var afterStore string
	// killAt(afterStore, stepFrom(e.head.record.Assumed, decision.Transition), e.command.ID)

	if decision.Transition == nil {
		return nil
	}
	if err := e.head.publish(ctx, e.worker, decision.Transition, encoded); err != nil {
		return err
	}
	e.worker.observed(decision.Transition)
	return nil
}

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

// finish waits for the events, replies and acknowledges: step 8.
func (e *execution) finish(ctx context.Context, outcome *volume.Outcome, repeat bool, err error) error {
	if err != nil {
		return err
	}
	if _, err := e.head.settled(ctx); err != nil {
		return err
	}
	if err := e.settleQuota(ctx, repeat); err != nil {
		return err
	}
	e.head.prune() // what is remembered of many volumes has to be little
	e.lane.tenure.heads.Add(e.lane.key, e.head)
	e.worker.reply(e.delivery.envelope, *outcome, repeat)
	// gofail: var beforeAck string
	// killAt(beforeAck, "ack", e.command.ID)

	if err := e.delivery.msg.Ack(); err != nil {
		return fmt.Errorf("ack command %s: %w", e.command.ID, err)
	}
	// gofail: var afterAck string
	// flushAndKillAt(e.worker.nc, afterAck, "ack", e.command.ID)

	e.worker.ended(e, *outcome, repeat)
	return nil
}

// now is the worker's clock, in UTC and without the monotonic reading, as it is stored.
func now() time.Time { return time.Now().UTC().Round(0) }
