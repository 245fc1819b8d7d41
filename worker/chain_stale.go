package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// A worker that was stopped, and does not know that it has been replaced, may make its next
// step in the store until it is fenced there: enter a clone or mark a snapshot when that
// operation, or that volume, is gone. What it leaves is told from what the records say, by
// whoever meets it, and removed.

// children returns the clones that need a snapshot, as many as an error names, and how many
// there may be besides. An entry of a volume that is not there with that ID was made by a
// worker that did not know that it had been replaced: the record comes before the entry and
// goes after it. It is removed.
func (e *execution) children(ctx context.Context, key volume.SnapshotKey) (children []snapshots.Key, more int, err error) {
	var keys []snapshots.Key
	err = e.asked(ctx, func(ctx context.Context) (err error) {
		keys, err = e.worker.chains.Linked(ctx, e.project(), keyOf(key))
		return err
	})
	for i, child := range keys {
		if err != nil || len(children) == volume.MaxBlockers {
			return children, len(keys) - i, err
		}
		var needs bool
		if needs, err = e.needs(ctx, child, keyOf(key)); err == nil && needs {
			children = append(children, child)
		}
	}
	return children, 0, err
}

// needs reports whether an entry stands on the parent and is that of a volume or of a
// snapshot.
func (e *execution) needs(ctx context.Context, key, parent snapshots.Key) (bool, error) {
	info, found, err := e.statOf(ctx, key)
	if err != nil || !found || info.Parent != parent {
		return false, err
	}
	stale, err := e.stale(ctx, info)
	return err == nil && !stale, err
}

// isStale reports whether the entry is not that of a volume, and removes it then. One that
// is gone is none either.
func (e *execution) isStale(ctx context.Context, key snapshots.Key) (bool, error) {
	info, found, err := e.statOf(ctx, key)
	if err != nil || !found {
		return err == nil, err
	}
	return e.stale(ctx, info)
}

// statOf returns an entry, if there is one by now.
func (e *execution) statOf(ctx context.Context, key snapshots.Key) (info snapshots.Info, found bool, err error) {
	err = e.asked(ctx, func(ctx context.Context) (err error) {
		info, err = e.worker.chains.Stat(ctx, e.project(), key)
		return err
	})
	if errors.Is(err, volume.ErrSnapshotNotFound) {
		return info, false, nil
	}
	return info, err == nil, err
}

func (e *execution) stale(ctx context.Context, child snapshots.Info) (bool, error) {
	if child.Name.Snapshot != "" {
		return false, nil
	}
	record, err := e.recordOf(ctx, child.Name.Volume)
	if err != nil || record.Exists() && record.State != volume.StatePending && string(record.ID) == child.ID {
		return false, err
	}
	if e.command.ValidateOnly {
		return true, nil
	}
	return true, e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.Remove(ctx, e.project(), child.Name, child.ID)
	})
}

// clearEnded takes back the mark of a removal that has ended, and reports whether it has: the
// operation stands in the volume's record before its mark is made, and as long as it runs.
// Only a worker that did not know that it had been replaced makes one after that.
func (e *execution) clearEnded(ctx context.Context, key volume.SnapshotKey) (bool, error) {
	info, err := e.entry(ctx, key)
	if err != nil || info.RemovedBy == "" {
		return err == nil, err
	}
	record, err := e.recordOf(ctx, key.Volume)
	if err != nil || record.Op != nil && string(record.Op.CommandID) == info.RemovedBy {
		return false, err
	}
	return true, e.clearMark(ctx, info)
}

// clearMark takes back the mark of a removal that nobody is carrying out.
func (e *execution) clearMark(ctx context.Context, info snapshots.Info) error {
	if info.RemovedBy == "" {
		return nil
	}
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.CancelRemove(ctx, e.project(), info.Name, info.RemovedBy)
	})
}
