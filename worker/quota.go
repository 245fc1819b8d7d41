package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// meter is what an execution has to do with the quota of its project.
type meter struct {
	// cold says that what a former owner has reserved, or this worker before a conflict, may
	// not be known here.
	cold bool
	// unmetered says that the command was begun before the project's quota was in force.
	unmetered bool
	reserved  bool
	stored    func() // to be called when the record was stored, or was not; nil if not asked
}

// beginMeter notes what is known before anything is decided.
func (e *execution) beginMeter() {
	e.meter = meter{
		cold:      !e.lane.tenure.heads.Contains(e.command.Key),
		unmetered: !e.worker.quotas.Metered(e.command.Key.Project),
	}
}

// readmit has the quota know of an operation that another worker has begun. Where the quota does
// not, the record is stored once more, as it is: the server that was asked for it may lead no
// more and not know it, and the operation may have ended since.
func (e *execution) readmit(ctx context.Context) error {
	if e.head.record.Op == nil {
		return nil
	}
	proved, foreign := *e.head, e.foreign() // copies: this execution may have given up by then
	err := e.worker.quotas.Readmit(ctx, proved.record, func(ctx context.Context) error {
		if foreign {
			if err := e.lane.tenure.verify(ctx); err != nil {
				return err
			}
		}
		return proved.store(ctx, e.worker, proved.record)
	})
	if err == nil {
		*e.head = proved
	}
	return err
}

// quota asks whether the project's quota allows a decision.
func (e *execution) quota(ctx context.Context, decision *fsm.Decision) error {
	if e.command.ValidateOnly {
		return e.checkQuota(ctx)
	}
	return e.reserve(ctx, decision)
}

// settleOther ends what an operation has reserved whose command was taken out of the stream.
func (e *execution) settleOther(ctx context.Context, id volume.CommandID) error {
	e.meter.reserved = false
	return e.worker.quotas.Settle(ctx, e.head.record, id, true)
}

// reserve asks the project's quota for what the decision changes of what the volume uses,
// before the record is stored. The record then tells which reservation it was built on. It
// returns a refusal if the quota does not allow it. What is there already is not refused: the
// end of an operation, and what a reconcile has found.
func (e *execution) reserve(ctx context.Context, decision *fsm.Decision) error {
	before, after := quotas.Of(e.head.record), quotas.Of(decision.Record)
	if e.meter.stored != nil || e.meter.reserved || before == after {
		return nil
	}
	// gofail: var beforeReserve string
	// killAt(beforeReserve, "reserve", e.command.ID)

	asked := quotas.Reservation{
		Key: e.command.Key, CommandID: e.command.ID, Sequence: e.command.Sequence, Record: e.head.record, After: after,
		Free: e.command.Verb == volume.VerbReconcile,
	}
	if op := e.head.record.Op; op != nil {
		asked.CommandID, asked.Sequence, asked.Free = op.CommandID, op.Sequence, true
	}
	at, stored, err := e.worker.quotas.Reserve(ctx, asked)
	if err != nil {
		return e.overQuota(err)
	}
	// gofail: var afterReserve string
	// killAt(afterReserve, "reserve", e.command.ID)

	e.meter.stored = stored
	if at > 0 {
		e.meter.reserved, decision.Record.Reserved = true, at
	}
	return nil
}

// endStore tells that the record was stored, or was not.
func (e *execution) endStore() {
	if e.meter.stored != nil {
		e.meter.stored()
		e.meter.stored = nil
	}
}

// checkQuota refuses what a command that only asks would not be allowed.
func (e *execution) checkQuota(ctx context.Context) error {
	asked := e.command
	asked.ValidateOnly = false
	decision, err := fsm.Decide(e.head.record, asked, now())
	if err != nil || quotas.Of(decision.Record) == quotas.Of(e.head.record) {
		return err
	}
	return e.hasPlace(ctx, quotas.Of(decision.Record))
}

// hasPlace returns a refusal if the project's quota does not allow that the volume uses as much.
func (e *execution) hasPlace(ctx context.Context, after quotas.Usage) error {
	return e.overQuota(e.worker.quotas.Check(ctx, quotas.Reservation{
		Key: e.command.Key, CommandID: e.command.ID, Sequence: e.command.Sequence, Record: e.head.record, After: after,
	}))
}

// overQuota makes a refusal of the command out of the quota's.
func (e *execution) overQuota(err error) error {
	exceeded, ok := errors.AsType[*quotas.ExceededError](err)
	if !ok {
		return err
	}
	refusal := &fsm.RejectedError{
		Key: e.command.Key, Verb: e.command.Verb, Code: volume.ErrQuotaExceeded, Detail: exceeded.Error(),
	}
	if e.head.record.ID != "" {
		refusal.State = e.head.record.State
	}
	return refusal
}

// settleQuota corrects the quota by the record as it is at the end of the command. It comes
// before the acknowledgement: who has reserved and dies has the command come again.
func (e *execution) settleQuota(ctx context.Context, repeat bool) error {
	if e.command.ValidateOnly {
		return nil
	}
	// gofail: var beforeSettle string
	// killAt(beforeSettle, "settle", e.command.ID)

	fresh := !e.meter.reserved && (repeat || e.meter.cold || e.meter.unmetered)
	if err := e.worker.quotas.Settle(ctx, e.head.record, e.command.ID, fresh); err != nil {
		return err
	}
	// gofail: var afterSettle string
	// killAt(afterSettle, "settle", e.command.ID)

	return nil
}
