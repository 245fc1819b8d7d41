package snapshots

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// BeginRemove marks an entry as being removed by owner, so that it gets no children from
// then on: who is about to remove the data behind it, does so between BeginRemove and
// [Store.FinishRemove]. It may be repeated by the same owner. It returns an error of code
// snapshot_not_found if there is no entry, a [*BlockedError] if it has children (it is
// not marked then), and [ErrRemoving] if another owner has marked it.
//
// A mark stays until its owner finishes or cancels: nobody else can know whether the
// data is still there.
func (s *Store) BeginRemove(ctx context.Context, project volume.Project, key Key, owner string) error {
	if owner == "" {
		return volume.Errorf(volume.ErrInvalidArgument, "remove %s: want an owner", key)
	}
	return s.Update(ctx, project, func(tx *Tx) error { return tx.mark(ctx, key, owner) })
}

func (tx *Tx) mark(ctx context.Context, key Key, owner string) error {
	unlock, err := tx.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "remove", key)
	switch {
	case err != nil:
		return err
	case e.RemovedBy == owner:
		return nil
	case e.RemovedBy != "":
		return fmt.Errorf("remove %s: %w by %s", key, ErrRemoving, e.RemovedBy)
	}
	if err := tx.checkChildless(ctx, e); err != nil {
		return err
	}
	e.RemovedBy = owner
	tx.written[key] = &e
	return nil
}

// FinishRemove removes an entry that owner has marked. It may be repeated: an entry that
// is gone is no error. It returns [ErrRemoving] if another owner has marked the entry, and
// an error of class failed_precondition if nobody has.
func (s *Store) FinishRemove(ctx context.Context, project volume.Project, key Key, owner string) error {
	return s.Update(ctx, project, func(tx *Tx) error {
		info, err := tx.Stat(ctx, key)
		switch {
		case errors.Is(err, volume.ErrSnapshotNotFound):
			return nil
		case err != nil:
			return err
		case info.RemovedBy == "":
			return precondition("remove %s: the removal was not begun", key)
		}
		_, err = tx.remove(ctx, key, owner)
		return err
	})
}

// CancelRemove takes the mark of owner from an entry, which may have children again. It
// may be repeated: an entry that is gone, or is not marked by owner, is no error.
func (s *Store) CancelRemove(ctx context.Context, project volume.Project, key Key, owner string) error {
	return s.Update(ctx, project, func(tx *Tx) error { return tx.unmark(ctx, key, owner) })
}

func (tx *Tx) unmark(ctx context.Context, key Key, owner string) error {
	unlock, err := tx.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "cancel the removal of", key)
	switch {
	case errors.Is(err, volume.ErrSnapshotNotFound):
		return nil
	case err != nil || e.RemovedBy == "" || e.RemovedBy != owner:
		return err
	}
	e.RemovedBy = ""
	tx.written[key] = &e
	return nil
}

// Remove removes the entry with the given key and id, if it has no children and nobody
// has marked it. It may be repeated: an entry that is gone, or whose key belongs to
// another id now, is no error. Others are those of [Tx.Remove].
func (s *Store) Remove(ctx context.Context, project volume.Project, key Key, id string) error {
	return s.Update(ctx, project, func(tx *Tx) error {
		info, err := tx.Stat(ctx, key)
		switch {
		case errors.Is(err, volume.ErrSnapshotNotFound), err == nil && info.ID != id:
			return nil
		case err != nil:
			return err
		}
		_, err = tx.Remove(ctx, key)
		return err
	})
}
