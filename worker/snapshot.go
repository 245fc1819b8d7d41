package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// create makes the volume: an empty one, or a clone.
func (e *execution) create(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	if record.Source.IsZero() {
		return backend.Create(ctx, refOf(record), record.Size)
	}
	// gofail: var beforeEnter string
	// killAt(beforeEnter, "enter", e.command.ID)

	if err := e.enterClone(ctx); err != nil {
		return e.flattenedBefore(ctx, backend, err)
	}
	// gofail: var afterEnter string
	// killAt(afterEnter, "enter", e.command.ID)

	source, err := e.sourceRecord(ctx, record.Source.Volume) // entered, it keeps its source from being replaced
	if err != nil {
		return e.flattenedBefore(ctx, backend, err)
	}
	from := backends.Ref{Key: source.Key, ID: source.ID}
	if err := backend.Clone(ctx, from, record.Source.Snapshot, refOf(record), record.Size); err != nil {
		return err
	}
	return e.flattenDeep(ctx, backend)
}

// flattenDeep copies a clone whole that stands on too many snapshots.
func (e *execution) flattenDeep(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	deep, err := e.tooDeep(ctx, record.Backend, record.Source)
	if err != nil || !deep || !e.worker.config.Clones[record.Backend].Flatten {
		return err
	}
	// Without events of progress: by its state the volume is being created.
	if err := backend.Flatten(ctx, refOf(record)); err != nil {
		return err
	}
	if err := e.cut(ctx); err != nil {
		return err
	}
	e.head.record.Source = volume.SnapshotKey{} // stored with the success
	return nil
}

// flattenedBefore finds that an earlier attempt has made the clone and copied it whole, so
// that its source may have gone since. Otherwise it returns err.
func (e *execution) flattenedBefore(ctx context.Context, backend *backends.Backend, err error) error {
	record := e.head.record
	if !errors.Is(err, volume.ErrSnapshotNotFound) || !e.worker.config.Clones[record.Backend].Flatten {
		return err
	}
	object, getErr := backend.Get(ctx, record.Key)
	if getErr != nil || object.ID != record.ID {
		return err
	}
	e.head.record.Source = volume.SnapshotKey{}
	return nil
}

// delete removes the volume, and after that its entry if it is a clone.
func (e *execution) delete(ctx context.Context, backend *backends.Backend) error {
	return e.letGo(ctx, backend, func() error { return backend.Delete(ctx, refOf(e.head.record)) })
}

// release gives the volume away, and after that removes its entry if it was made as a view.
func (e *execution) release(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	return e.letGo(ctx, backend, func() error { return backend.Release(ctx, refOf(record), record.Op.Image) })
}

// letGo has the backend let go of the volume, and after that leaves the store.
func (e *execution) letGo(ctx context.Context, backend *backends.Backend, how func() error) error {
	err := how()
	if blockedBySnapshots(err) {
		// By the record there are none. What was given up is not to be in the way.
		if _, err := e.settleSnapshots(ctx, backend); err != nil {
			return err
		}
		err = how()
	}
	if err != nil {
		return err
	}
	// gofail: var beforeUnlink string
	// killAt(beforeUnlink, "unlink", e.command.ID)

	err = e.leaveClone(ctx)
	// gofail: var afterUnlink string
	// killAt(afterUnlink, "unlink", e.command.ID)

	return err
}

func blockedBySnapshots(err error) bool {
	blocked, ok := errors.AsType[*backends.BlockedError](err)
	if !ok {
		return false
	}
	for _, by := range blocked.By {
		if by.Kind != volume.BlockedBySnapshot {
			return false
		}
	}
	return true
}

// snapshot makes a snapshot and enters it. One of that name which is not entered is left
// over from what was given up, and of another time: it is removed first.
func (e *execution) snapshot(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	ref, name := refOf(record), record.Op.Snapshot.Name
	entered, err := e.isEntered(ctx)
	if err != nil || entered {
		return err
	}
	if err := backend.DeleteSnapshot(ctx, ref, name); err != nil {
		return err
	}
	if _, err := backend.CreateSnapshot(ctx, ref, name); err != nil {
		return err
	}
	// gofail: var beforeEnterSnapshot string
	// killAt(beforeEnterSnapshot, "enter-snapshot", e.command.ID)

	if err := e.enterSnapshot(ctx); err != nil {
		return err
	}
	// gofail: var afterEnterSnapshot string
	// killAt(afterEnterSnapshot, "enter-snapshot", e.command.ID)

	return nil
}

// prune deletes a snapshot. The mark keeps clones from being entered meanwhile.
func (e *execution) prune(ctx context.Context, backend *backends.Backend) error {
	record := e.head.record
	name := record.Op.Snapshot.Name
	// gofail: var beforeMark string
	// killAt(beforeMark, "mark", e.command.ID)

	if err := e.markSnapshot(ctx, name); err != nil {
		return err
	}
	// gofail: var afterMark string
	// killAt(afterMark, "mark", e.command.ID)

	if err := backend.DeleteSnapshot(ctx, refOf(record), name); err != nil {
		return err
	}
	// gofail: var beforeDrop string
	// killAt(beforeDrop, "drop", e.command.ID)

	err := e.leaveSnapshot(ctx, name)
	// gofail: var afterDrop string
	// killAt(afterDrop, "drop", e.command.ID)

	return err
}

// flatten makes a clone independent.
func (e *execution) flatten(ctx context.Context, backend *backends.Backend) error {
	ref := refOf(e.head.record)
	if err := e.long(ctx, func(ctx context.Context) error { return backend.Flatten(ctx, ref) }); err != nil {
		return err
	}
	// gofail: var beforeCut string
	// killAt(beforeCut, "cut", e.command.ID)

	err := e.cut(ctx)
	// gofail: var afterCut string
	// killAt(afterCut, "cut", e.command.ID)

	return err
}

// restore gives the volume the content and the size of a snapshot.
func (e *execution) restore(ctx context.Context, backend *backends.Backend) error {
	ref, name := refOf(e.head.record), e.head.record.Op.Snapshot.Name
	return e.long(ctx, func(ctx context.Context) error { return backend.Restore(ctx, ref, name) })
}
