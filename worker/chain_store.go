package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// The steps of an operation in the store of package snapshots. Each may be repeated. A
// refusal of the store has its code; an error by which nothing is known is a [storeError].

func keyOf(k volume.SnapshotKey) snapshots.Key { return snapshots.SnapshotKey(k.Volume, k.Snapshot) }

func (e *execution) project() volume.Project { return e.command.Key.Project }

// asked runs one question or change of the store within the time of a few requests.
func (e *execution) asked(ctx context.Context, do func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err() // nothing was asked
	}
	// Not cancelled on the way: what may have been stored would be found by nobody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience*e.worker.config.RequestTimeout)
	defer cancel()
	err := do(snapshots.ByOwner(ctx, e.command.Key.Name, e.head.record.Owner.Epoch))
	_, coded := errors.AsType[*volume.Error](err)
	switch {
	case err == nil, coded:
		return err
	case errors.Is(err, snapshots.ErrRemoving):
		return &volume.Error{Code: volume.ErrBackendBusy, Message: err.Error(), Cause: err}
	default:
		return beginAgain(err)
	}
}

// storePatience is how many requests one step may take, retries included.
const storePatience = 4

// entry returns that of a snapshot, or a [volume.ErrSnapshotNotFound].
func (e *execution) entry(ctx context.Context, key volume.SnapshotKey) (info snapshots.Info, err error) {
	err = e.asked(ctx, func(ctx context.Context) (err error) {
		info, err = e.worker.chains.Stat(ctx, e.project(), keyOf(key))
		return err
	})
	if errors.Is(err, volume.ErrSnapshotNotFound) {
		err = volume.Errorf(volume.ErrSnapshotNotFound, "%s volume %s: there is no snapshot %s", e.command.Verb, e.command.Key, key)
	}
	return info, err
}

// enterClone enters the volume as a child of its source, before the backend makes it. What a
// worker has left behind that did not know that it had been replaced is not in the way.
func (e *execution) enterClone(ctx context.Context) error {
	err := e.tryEnterClone(ctx)
	var cleared bool
	var fault error
	switch {
	case errors.Is(err, volume.ErrSnapshotExists):
		cleared, fault = e.isStale(ctx, snapshots.VolumeKey(e.command.Key.Name))
	case errors.Is(err, snapshots.ErrRemoving):
		cleared, fault = e.clearEnded(ctx, e.head.record.Source)
	}
	if fault != nil {
		return fault
	}
	if cleared {
		return e.tryEnterClone(ctx)
	}
	return err
}

func (e *execution) tryEnterClone(ctx context.Context) error {
	record := e.head.record
	enter := e.worker.chains.CreateClone
	if record.ReadOnly {
		enter = e.worker.chains.CreateView
	}
	return e.asked(ctx, func(ctx context.Context) error {
		_, err := enter(ctx, e.project(), record.Name, keyOf(record.Source), string(record.ID), record.Labels)
		return err
	})
}

// leaveClone removes the volume's entry, after the backend has deleted it.
func (e *execution) leaveClone(ctx context.Context) error {
	record := e.head.record
	if record.Source.IsZero() && !record.ReadOnly { // a view keeps its entry when it is flattened
		return nil
	}
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.Remove(ctx, e.project(), snapshots.VolumeKey(record.Name), string(record.ID))
	})
}

// isEntered reports whether the snapshot that the operation makes is made and entered.
func (e *execution) isEntered(ctx context.Context) (bool, error) {
	wanted := e.head.record.Op.Snapshot
	info, err := e.entry(ctx, e.snapshotKey(wanted.Name))
	if errors.Is(err, volume.ErrSnapshotNotFound) {
		return false, nil
	}
	return err == nil && info.ID == string(wanted.ID), err
}

func (e *execution) enterSnapshot(ctx context.Context) error {
	op := e.head.record.Op
	return e.asked(ctx, func(ctx context.Context) error {
		_, err := e.worker.chains.CreateSnapshot(ctx, e.project(), keyOf(e.snapshotKey(op.Snapshot.Name)),
			string(op.Snapshot.ID), op.Args.Labels, snapshots.Usage{},
			snapshots.WithVolumeSize(op.Snapshot.Size), snapshots.OfVolume(string(e.head.record.ID)))
		return err
	})
}

// remover names the operation in the mark of what it removes.
func (e *execution) remover() string { return string(e.head.record.Op.CommandID) }

// markSnapshot keeps clones from being entered below the snapshot until it is gone, or the
// mark is taken back. It returns a [volume.ErrSnapshotInUse] that names the clones there are,
// and nil for a snapshot that is gone.
func (e *execution) markSnapshot(ctx context.Context, name volume.SnapshotName) error {
	key := e.snapshotKey(name)
	mark := func(ctx context.Context) error {
		return e.worker.chains.BeginRemove(ctx, e.project(), keyOf(key), e.remover())
	}
	err := e.asked(ctx, mark)
	if errors.Is(err, snapshots.ErrRemoving) {
		if cleared, fault := e.clearEnded(ctx, key); fault != nil {
			return fault
		} else if cleared {
			err = e.asked(ctx, mark)
		}
	}
	blocked, isBlocked := errors.AsType[*snapshots.BlockedError](err)
	switch {
	case errors.Is(err, volume.ErrSnapshotNotFound):
		return nil // by an earlier attempt
	case isBlocked:
		return inUse(key, blocked.Children, 0)
	}
	return err
}

// recordOf returns the record of a volume of the project, or none.
func (e *execution) recordOf(ctx context.Context, name volume.Name) (record volume.Record, err error) {
	err = e.asked(ctx, func(ctx context.Context) error {
		entry, err := e.worker.records.ByKey(ctx, volume.Key{Project: e.project(), Name: name})
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		record = entry.Value
		return err
	})
	return record, err
}

func (e *execution) leaveSnapshot(ctx context.Context, name volume.SnapshotName) error {
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.FinishRemove(ctx, e.project(), keyOf(e.snapshotKey(name)), e.remover())
	})
}

// unmarkSnapshot takes the mark of a removal back that is given up.
func (e *execution) unmarkSnapshot(ctx context.Context) error {
	op := e.head.record.Op
	if op == nil || op.Verb != volume.VerbDeleteSnapshot {
		return nil
	}
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.CancelRemove(ctx, e.project(), keyOf(e.snapshotKey(op.Snapshot.Name)), e.remover())
	})
}

// cut records that the volume and its snapshots stand on nothing any more.
func (e *execution) cut(ctx context.Context) error {
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.Flatten(ctx, e.project(), e.command.Key.Name, string(e.head.record.ID))
	})
}

// settleSnapshots makes the store and the backend agree on the volume's snapshots, and
// returns how many both have. An entry without its snapshot goes, and so does a snapshot
// that was given up: nobody was told that it is there. Any other one that only the backend
// has was made past jetvol, and is left alone.
func (e *execution) settleSnapshots(ctx context.Context, backend *backends.Backend) (int, error) {
	kept, err := e.keptSnapshots(ctx, backend)
	if err != nil {
		return 0, err
	}
	return e.settleSnapshotsWith(ctx, backend, kept)
}

// keptSnapshots returns what the backend has of the volume's snapshots, also if it has not the
// volume.
func (e *execution) keptSnapshots(ctx context.Context, backend *backends.Backend) ([]backends.Snapshot, error) {
	kept, err := backend.ListSnapshots(ctx, refOf(e.head.record))
	if errors.Is(err, volume.NotFound) {
		return nil, nil
	}
	return kept, err
}

// entered returns what the store has of the volume's snapshots.
func (e *execution) entered(ctx context.Context) (found []snapshots.Info, err error) {
	err = e.asked(ctx, func(ctx context.Context) (err error) {
		found, err = e.worker.chains.SnapshotsOf(ctx, e.project(), e.command.Key.Name)
		return err
	})
	return found, err
}

func (e *execution) settleSnapshotsWith(ctx context.Context, backend *backends.Backend, kept []backends.Snapshot) (int, error) {
	entered, err := e.entered(ctx)
	if err != nil {
		return 0, err
	}
	has := map[volume.SnapshotName]bool{}
	for _, snapshot := range kept {
		has[snapshot.Name] = true
	}
	both := 0
	for _, info := range entered {
		name := info.Name.Snapshot
		if !has[name] {
			err = e.dropEntry(ctx, info)
		} else {
			both++
			delete(has, name)
			err = e.clearMark(ctx, info)
		}
		if err != nil {
			return 0, err
		}
	}
	for name := range has {
		if !givenUp(e.head.record, name) {
			continue
		}
		if err := backend.DeleteSnapshot(ctx, refOf(e.head.record), name); err != nil {
			return 0, err
		}
	}
	return both, nil
}

// givenUp reports whether an operation on the snapshot is under way, or one that was to make it
// has failed as far as the record remembers.
func givenUp(record volume.Record, name volume.SnapshotName) bool {
	if op := record.Op; op != nil && op.Snapshot != nil && op.Snapshot.Name == name && op.Verb != volume.VerbRestore {
		return true
	}
	return slices.ContainsFunc(record.Outcomes, func(o volume.Outcome) bool {
		return o.Verb == volume.VerbSnapshot && o.Result == volume.Failed && o.Snapshot != nil && o.Snapshot.Name == name
	})
}

// dropEntry removes the entry of a snapshot that the backend does not have. Clones of it are
// whole, or they would keep it from being gone.
func (e *execution) dropEntry(ctx context.Context, info snapshots.Info) error {
	if err := e.clearMark(ctx, info); err != nil {
		return err
	}
	err := e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.Remove(ctx, e.project(), info.Name, info.ID)
	})
	if blocked, is := errors.AsType[*snapshots.BlockedError](err); is {
		return volume.Errorf(volume.ErrSnapshotInUse, "snapshot %s is missing at the backend: %w", info.Name, neededBy(blocked.Children, 0))
	}
	return err
}

// ClonePolicy bounds how deep clones of clones get. The zero value does not.
type ClonePolicy struct {
	// MaxDepth is how many snapshots a clone may stand on; 0 means any number.
	MaxDepth int
	// Flatten copies a clone that would be deeper whole, instead of refusing it.
	Flatten bool
}

// refuseDeep refuses a clone that would stand on too many snapshots.
func (e *execution) refuseDeep(ctx context.Context, backend string) error {
	deep, err := e.tooDeep(ctx, backend, e.command.Args.Source)
	if err != nil || !deep || e.worker.config.Clones[backend].Flatten {
		return err
	}
	return volume.Errorf(volume.ErrChainTooDeep, "create volume %s: a clone of %s would stand on more than %d snapshots: flatten %s first",
		e.command.Key, e.command.Args.Source, e.worker.config.Clones[backend].MaxDepth, e.command.Args.Source.Volume)
}

func (e *execution) tooDeep(ctx context.Context, backend string, source volume.SnapshotKey) (bool, error) {
	most := e.worker.config.Clones[backend].MaxDepth
	if most == 0 {
		return false, nil
	}
	var depth int
	err := e.asked(ctx, func(ctx context.Context) (err error) {
		depth, err = e.worker.chains.Depth(ctx, e.project(), keyOf(source))
		return err
	})
	return depth+1 > most, err
}

// fenceChain shuts former owners out of the store, who may be in the middle of an operation
// that changes something there.
func (e *execution) fenceChain(ctx context.Context) error {
	record := e.head.record
	if record.Op == nil || record.Op.Snapshot == nil && record.Source.IsZero() && !record.ReadOnly {
		return nil
	}
	return e.asked(ctx, func(ctx context.Context) error {
		return e.worker.chains.Fence(ctx, e.project(), e.command.Key.Name, record.Owner.Epoch)
	})
}

// isCut reports whether the store has the volume as standing on nothing, because a flatten
// came so far before it was cancelled.
func (e *execution) isCut(ctx context.Context) (whole bool, err error) {
	err = e.asked(ctx, func(ctx context.Context) error {
		info, err := e.worker.chains.Stat(ctx, e.project(), snapshots.VolumeKey(e.command.Key.Name))
		whole = err == nil && info.Parent.IsZero() || errors.Is(err, volume.ErrSnapshotNotFound)
		if whole {
			return nil
		}
		return err
	})
	return whole, err
}
