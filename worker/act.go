package worker

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// end is the decision with which an operation ends well.
type end func(record volume.Record, now time.Time) (fsm.Decision, error)

// act makes the backend call for the record's operation: step 6. Its errors carry the code
// under which users are told.
func (e *execution) act(ctx context.Context, action fsm.Action) (end, error) {
	record := e.head.record
	backend, err := e.worker.backend(record.Backend)
	if err != nil {
		return nil, err
	}
	if err := e.fence(ctx, backend); err != nil {
		return nil, backendError(err)
	}
	ref, args := refOf(record), record.Op.Args
	var attachment *volume.Attachment
	// gofail: var beforeAct string
	// killAt(beforeAct, "act", e.command.ID)

	switch action {
	case fsm.ActionCreate:
		err = e.create(ctx, backend)
	case fsm.ActionDelete:
		err = e.delete(ctx, backend)
	case fsm.ActionRelease, fsm.ActionImport:
		err = e.cross(ctx, backend, action)
	case fsm.ActionSnapshot:
		err = e.snapshot(ctx, backend)
	case fsm.ActionDeleteSnapshot:
		err = e.prune(ctx, backend)
	case fsm.ActionRestore:
		err = e.restore(ctx, backend)
	case fsm.ActionFlatten:
		err = e.flatten(ctx, backend)
	case fsm.ActionResize:
		err = backend.Resize(ctx, ref, args.Size)
	case fsm.ActionDetach:
		err = backend.Detach(ctx, ref, fsm.DetachNode(record))
	case fsm.ActionAttach:
		var a volume.Attachment
		a, err = backend.Attach(ctx, ref, args.Node, args.Mode)
		attachment = &a
	case fsm.ActionEvict:
		return e.evict(ctx, backend)
	default:
		return nil, volume.Errorf(volume.ErrInternal, "no backend call for action %q", action)
	}
	if err != nil {
		return nil, backendError(err)
	}
	return func(record volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Succeed(record, attachment, now)
	}, nil
}

// backendError gives a backend's error the code under which users are told.
func backendError(err error) error {
	_, own := errors.AsType[*storeError](err)
	if own || errors.Is(err, volume.ErrFenced) || errors.Is(err, errFenceBusy) {
		return err // the worker's own matter
	}
	if coded, ok := errors.AsType[*volume.Error](err); ok {
		return coded // it did not come to the backend
	}
	return volume.BackendError(err)
}

// observe asks the backend what it has of the volume.
func (e *execution) observe(ctx context.Context) (fsm.Observation, error) {
	record := e.head.record
	backend, err := e.worker.backend(record.Backend)
	if err != nil {
		return fsm.Observation{}, err
	}
	object, err := e.look(ctx, backend)
	switch {
	case errors.Is(err, volume.NotFound):
		return fsm.Observation{}, nil
	case err != nil && cancelCause(ctx) != nil:
		return fsm.Observation{}, cancelCause(ctx)
	case err != nil && ctx.Err() != nil:
		return fsm.Observation{}, errHandBack
	case err != nil:
		return fsm.Observation{}, backendError(err)
	case object.ID != record.ID:
		return fsm.Observation{ID: object.ID}, nil // another's: ours is absent
	}
	return fsm.Observation{Present: true, ID: object.ID, Size: object.Size, Attachments: object.Attachments}, nil
}

// look asks the backend, once nothing that a former owner is still doing can come after.
func (e *execution) look(ctx context.Context, backend *backends.Backend) (backends.Object, error) {
	if err := e.fence(ctx, backend); err != nil {
		return backends.Object{}, err
	}
	// gofail: var beforeObserve string
	// killAt(beforeObserve, "observe", e.command.ID)

	object, err := backend.Get(ctx, e.head.record.Key)
	// gofail: var afterObserve string
	// killAt(afterObserve, "observe", e.command.ID)

	return object, err
}
