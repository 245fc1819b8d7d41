package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// errOutbid says that the volume is this worker's in a new epoch: the step is to be done
// again.
var errOutbid = errors.New("epoch was raised")

// errFenceBusy says that a former owner is still in the middle of a call.
var errFenceBusy = errors.New("former owner is not shut out yet")

// fencePatience is how long a fence may be refused as busy before that counts as a failed
// attempt: a process that is stopped in the middle of a call keeps the backend's lock.
const fencePatience = time.Minute

// ownerAfter returns who acts on a volume from now on: this worker, in a new epoch
// unless it was this run of it before. If there was another owner, the backend has to be
// told before it is called: a call of that one may have outlasted its time, and its
// operation.
func (w *Worker) ownerAfter(before volume.Owner, since time.Time) volume.Owner {
	instance := w.member.Instance()
	if before.Instance == instance {
		return before
	}
	return volume.Owner{
		Worker: w.config.ID, Instance: instance, Epoch: before.Epoch + 1, Since: since, Fencing: before.Epoch > 0,
	}
}

// foreign reports whether the record was written last by another owner.
func (e *execution) foreign() bool {
	owner := e.head.record.Owner
	return owner.Epoch > 0 && owner.Instance != e.worker.member.Instance()
}

// carryOn makes this worker the owner of an operation that another one has begun, and
// which may still be in the middle of it: stopped, perhaps, or cut off.
func (e *execution) carryOn(ctx context.Context) error {
	before := e.head.record.Owner
	if before.Instance == e.worker.member.Instance() {
		return nil
	}
	if err := e.raise(ctx, before.Epoch); err != nil {
		return err
	}
	e.worker.metrics.takeovers.Inc()
	e.lane.tenure.partition.log.Info().Str("volume", e.command.Key.String()).Str("from", before.Worker).
		Str("command", string(e.head.record.Op.CommandID)).Uint64("epoch", e.head.record.Owner.Epoch).Msg("operation carried on")
	return nil
}

// raise takes the volume into the epoch after the given one. The record comes first, so
// that only its owner fences; that it has still to do so stands in the record too.
func (e *execution) raise(ctx context.Context, epoch uint64) error {
	if err := e.lane.tenure.verify(ctx); err != nil {
		return err // a rightful owner is not to be disturbed
	}
	record := e.head.record
	record.Owner = e.worker.ownerAfter(volume.Owner{Epoch: epoch}, now())
	record.Owner.Fencing = true
	// gofail: var beforeClaim string
	// killAt(beforeClaim, during("claim", e.head.record.Op), e.command.ID)

	err := e.head.store(ctx, e.worker, record)
	// gofail: var afterClaim string
	// killAt(afterClaim, during("claim", e.head.record.Op), e.command.ID)

	return err
}

// fence shuts out the calls of former owners, if that is still to be done and the
// backend can.
func (e *execution) fence(ctx context.Context, backend *backends.Backend) error {
	return e.fenceAs(ctx, backend, refOf(e.head.record))
}

// fenceAs does so for an object that may be of another life than the record.
func (e *execution) fenceAs(ctx context.Context, backend *backends.Backend, ref backends.Ref) error {
	owner := &e.head.record.Owner
	if owner.Fencing {
		if err := e.fenceChain(ctx); err != nil {
			return err
		}
	}
	if owner.Fencing && backend.CanFence() {
		// gofail: var beforeFence string
		// killAt(beforeFence, during("fence", e.head.record.Op), e.command.ID)

		err := backend.Fence(ctx, ref)
		waited := time.Since(owner.Since) // by two clocks perhaps
		if errors.Is(err, volume.Busy) && waited >= 0 && waited < fencePatience {
			return fmt.Errorf("%w: %w", errFenceBusy, err)
		}
		if err != nil {
			return err
		}
		// gofail: var afterFence string
		// killAt(afterFence, during("fence", e.head.record.Op), e.command.ID)
	}
	owner.Fencing = false // to be stored with what comes next
	return nil
}

// outbid raises the epoch above the one by which the backend refused a call, if it did.
// A former owner finds here that it is none any more. The rightful one may have an
// epoch that is too low because its record comes from an older copy. A fence that is
// busy is no answer of the backend to the operation: the command begins again.
func (e *execution) outbid(ctx context.Context, refusal error) error {
	if errors.Is(refusal, errFenceBusy) {
		return refusal
	}
	fenced, ok := errors.AsType[*backends.FencedError](refusal)
	if !ok {
		return nil
	}
	if err := e.raise(ctx, fenced.Stored); err != nil {
		return err
	}
	return errOutbid
}

// refOf names the volume's object to its backend.
func refOf(record volume.Record) backends.Ref {
	return backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}
}
