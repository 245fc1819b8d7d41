package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// commit stores a decision and starts publishing its event: steps 4 and 5.
func (e *execution) commit(ctx context.Context, decision fsm.Decision) (err error) {
	ctx, span := e.traceCommit(ctx, decision)
	defer func() { span.End(failure(decision.Record, err)) }()
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
