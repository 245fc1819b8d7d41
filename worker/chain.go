package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// The snapshots of a volume, and what it is a clone of, lie in two places: at the backend
// and in the store of package snapshots. No transaction spans both, and none has to. The
// operation stands in the record before either is changed, each step may be repeated, and
// the steps are in an order in which a crash between them loses nothing:
//
//   - A clone is entered before the backend makes it and removed after the backend has
//     deleted it. So the store never misses a child that the backend has.
//   - A snapshot is made before it is entered, and marked before it is deleted. So what the
//     store offers to be cloned or restored is there.
//
// What remains when an operation is given up or cancelled in between is settled by
// [execution.settleSnapshots].

// resolve looks up what a command needs to know of snapshots before it is decided, and
// refuses what the store knows to be impossible.
func (e *execution) resolve(ctx context.Context) error {
	switch e.command.Verb {
	case volume.VerbCreate:
		return e.resolveCreate(ctx)
	case volume.VerbAdopt:
		return e.resolveAdopt(ctx)
	case volume.VerbUnmanage:
		return e.able("unmanage", func(c backends.Capabilities) bool { return c.Import })
	case volume.VerbSnapshot:
		return e.refuseTaken(ctx)
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		return e.resolveSnapshot(ctx)
	case volume.VerbFlatten:
		return e.able("flatten", func(c backends.Capabilities) bool { return c.Clone })
	default:
		return nil
	}
}

// resolveCreate finds the backend of a new volume: that of its source if it is a clone, or
// the one it asks for, or the default one.
func (e *execution) resolveCreate(ctx context.Context) error {
	if !e.command.Args.Source.IsZero() {
		return e.resolveSource(ctx)
	}
	return e.resolveBackend()
}

// resolveBackend finds the backend that the command asks for, or the default one.
func (e *execution) resolveBackend() error {
	e.command.Backend = cmp.Or(e.command.Args.Backend, e.worker.config.DefaultBackend)
	_, err := e.worker.backend(e.command.Backend)
	return err
}

func (e *execution) resolveSource(ctx context.Context) error {
	args := e.command.Args
	entry, err := e.entry(ctx, args.Source)
	if err != nil {
		return err
	}
	source, err := e.sourceRecord(ctx, args.Source.Volume)
	if err != nil {
		return err
	}
	if op := source.Op; op != nil && string(op.CommandID) == entry.RemovedBy {
		return volume.Errorf(volume.ErrBackendBusy, "create volume %s: snapshot %s is being deleted", e.command.Key, args.Source)
	}
	if args.Backend != "" && args.Backend != source.Backend {
		return volume.Errorf(volume.ErrInvalidArgument, "create volume %s: snapshot %s is at backend %s, not at %s",
			e.command.Key, args.Source, source.Backend, args.Backend)
	}
	e.command.Backend, e.command.SourceSize = source.Backend, entry.VolumeSize
	backend, err := e.worker.backend(source.Backend)
	if err != nil {
		return err
	}
	if !backend.Capabilities().Clone {
		return cannot(e.command, source.Backend, "clone")
	}
	return e.refuseDeep(ctx, source.Backend)
}

// sourceRecord returns the record of the volume that a clone's source belongs to.
func (e *execution) sourceRecord(ctx context.Context, name volume.Name) (volume.Record, error) {
	record, err := e.recordOf(ctx, name)
	if err == nil && !record.Exists() {
		err = volume.Errorf(volume.ErrSnapshotNotFound, "create volume %s: no volume %s", e.command.Key, name)
	}
	return record, err
}

// resolveSnapshot finds the snapshot that a command names, and refuses to delete one that
// clones need.
func (e *execution) resolveSnapshot(ctx context.Context) error {
	if !e.head.record.Exists() {
		return nil // refused for that
	}
	if err := e.able(string(e.command.Verb), func(c backends.Capabilities) bool { return c.Snapshot }); err != nil {
		return err
	}
	key := e.snapshotKey(e.command.Args.Snapshot)
	entry, err := e.entry(ctx, key)
	if err != nil {
		return err
	}
	e.command.SourceSize = entry.VolumeSize
	if e.command.Verb != volume.VerbDeleteSnapshot {
		return nil
	}
	return e.refuseNeeded(ctx, key)
}

// refuseTaken refuses a snapshot under a name that another one has.
func (e *execution) refuseTaken(ctx context.Context) error {
	if !e.head.record.Exists() {
		return nil
	}
	if err := e.able("snapshot", func(c backends.Capabilities) bool { return c.Snapshot }); err != nil {
		return err
	}
	key := e.snapshotKey(e.command.Args.Snapshot)
	entry, err := e.entry(ctx, key)
	switch {
	case errors.Is(err, volume.ErrSnapshotNotFound):
		return nil
	case err != nil:
		return err
	}
	if lost, err := e.dropLost(ctx, entry); err != nil || lost {
		return err
	}
	return volume.Errorf(volume.ErrSnapshotExists, "snapshot volume %s: there is %s with id %s", e.command.Key, key, entry.ID)
}

// dropLost removes the entry of a snapshot that the backend does not have, and reports
// whether it was one: made by a worker that had been replaced, after the snapshot's end.
func (e *execution) dropLost(ctx context.Context, info snapshots.Info) (bool, error) {
	backend, err := e.worker.backend(e.head.record.Backend)
	if err != nil {
		return false, err
	}
	kept, err := backend.ListSnapshots(ctx, refOf(e.head.record))
	has := func(s backends.Snapshot) bool { return s.Name == info.Name.Snapshot }
	if err != nil || slices.ContainsFunc(kept, has) {
		return false, nil //nolint:nilerr // what is not known to be lost is there
	}
	if e.command.ValidateOnly {
		return true, nil
	}
	return true, e.dropEntry(ctx, info)
}

// refuseNeeded refuses to delete a snapshot with children.
func (e *execution) refuseNeeded(ctx context.Context, key volume.SnapshotKey) error {
	children, more, err := e.children(ctx, key)
	if err != nil || len(children) == 0 {
		return err
	}
	return inUse(key, children, more)
}

func inUse(key volume.SnapshotKey, children []snapshots.Key, more int) error {
	blocked := neededBy(children, more)
	text := strings.TrimSuffix(blocked.Error(), ": "+string(volume.FailedPrecondition))
	return &volume.Error{Code: volume.ErrSnapshotInUse, Message: fmt.Sprintf("delete snapshot %s: %s", key, text), Cause: blocked}
}

func neededBy(children []snapshots.Key, more int) error {
	by := make([]volume.Blocker, len(children))
	for i, child := range children {
		by[i] = volume.Blocker{Kind: volume.BlockedByChild, Name: child.String()}
	}
	err := backends.Blocked(by...)
	if blocked, is := errors.AsType[*backends.BlockedError](err); is {
		blocked.More += more
	}
	return err
}

// explainSnapshots adds to the refusal of a delete which snapshots are in its way.
func (e *execution) explainSnapshots(ctx context.Context, refusal error) error {
	rejected, ok := errors.AsType[*fsm.RejectedError](refusal)
	if !ok || rejected.Code != volume.ErrHasSnapshots {
		return refusal
	}
	var entered []snapshots.Info
	err := e.asked(ctx, func(ctx context.Context) (err error) {
		entered, err = e.worker.chains.SnapshotsOf(ctx, e.project(), e.command.Key.Name)
		return err
	})
	if err != nil {
		return err
	}
	for _, info := range entered[:min(len(entered), volume.MaxBlockers)] {
		rejected.By = append(rejected.By, volume.Blocker{Kind: volume.BlockedBySnapshot, Name: string(info.Name.Snapshot)})
	}
	return rejected
}

// able refuses a command over a backend that cannot carry it out.
func (e *execution) able(what string, has func(backends.Capabilities) bool) error {
	record := e.head.record
	if !record.Exists() {
		return nil
	}
	backend, err := e.worker.backend(record.Backend)
	if err != nil {
		return err
	}
	if !has(backend.Capabilities()) {
		return cannot(e.command, record.Backend, what)
	}
	return nil
}

func cannot(command volume.Command, backend, what string) error {
	return volume.Errorf(volume.ErrBackendUnsupported, "%s volume %s: backend %s cannot %s", command.Verb, command.Key, backend, what)
}

// snapshotKey returns the key of a snapshot of the lane's volume.
func (e *execution) snapshotKey(name volume.SnapshotName) volume.SnapshotKey {
	return volume.SnapshotKey{Volume: e.command.Key.Name, Snapshot: name}
}

// storeError says that a step between the backend's was not possible or is not known to have
// happened. That is nobody's fault but JetStream's: no attempt of the operation has failed,
// and the command begins again.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

func beginAgain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrCorrupt): // now and ever, and not for the volume's other commands to wait for
		return volume.Errorf(volume.ErrInternal, "snapshots: %w", err)
	}
	return &storeError{fmt.Errorf("snapshots: %w", err)}
}

// settleChain brings store and backend to agree after an operation that was cancelled or
// refused in between.
func (e *execution) settleChain(ctx context.Context, seen *fsm.Observation) error {
	record := e.head.record
	switch record.Op.Verb {
	case volume.VerbCreate, volume.VerbDelete, volume.VerbUnmanage:
		if !seen.Present {
			return e.leaveClone(ctx)
		}
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore:
		if seen.Present {
			return e.countSnapshots(ctx, seen)
		}
	case volume.VerbFlatten:
		whole, err := e.isCut(ctx)
		seen.Whole = whole
		return err
	}
	return nil
}

// reconcileChain does so for a volume of which the record may be wrong. The entries of one
// that is believed to be there stay when the backend does not show it: it may come back. Those
// of one whose record goes for that go before it: an entry without its volume is nobody's.
func (e *execution) reconcileChain(ctx context.Context, seen *fsm.Observation) error {
	record := e.head.record
	unsure := record.State == volume.StatePending || record.State == volume.StateError
	goes := seen.ID == "" && e.command.RecordOnly == volume.RecordOnlyDelete
	switch {
	case seen.Present:
		if err := e.enterAgain(ctx); err != nil {
			return err
		}
		if err := e.enterSnapshotsAgain(ctx); err != nil {
			return err
		}
		return e.countSnapshots(ctx, seen)
	case !unsure && !goes:
		return nil
	}
	if err := e.countSnapshots(ctx, seen); err != nil {
		return err
	}
	return e.leaveClone(ctx)
}

// enterAgain enters a clone that was left when the backend did not show it. One whose source
// is gone by now needs it no more than the backend does.
func (e *execution) enterAgain(ctx context.Context) error {
	if e.head.record.Source.IsZero() {
		return nil
	}
	err := e.enterClone(ctx)
	if errors.Is(err, volume.ErrSnapshotNotFound) {
		return nil
	}
	return err
}

// enterSnapshotsAgain enters the snapshots of a volume that is back from where nobody saw it:
// their entries went meanwhile, all of them when its record became pending, or some if that was
// broken off. With the entries that the record counts nothing was lost, and what the backend
// alone has was given up.
func (e *execution) enterSnapshotsAgain(ctx context.Context) error {
	record := e.head.record
	back := record.State == volume.StatePending
	if !back && record.Snapshots == 0 {
		return nil
	}
	backend, err := e.worker.backend(record.Backend)
	if err != nil || !backend.Capabilities().Snapshot {
		return err
	}
	entered, err := e.entered(ctx)
	if err != nil || !back && len(entered) >= record.Snapshots {
		return err
	}
	kept, err := e.keptSnapshots(ctx, backend)
	if err != nil {
		return backendError(err)
	}
	for _, snapshot := range kept {
		if err := e.adoptSnapshot(ctx, record.ID, snapshot, entered); err != nil {
			return err
		}
	}
	return nil
}

func (e *execution) countSnapshots(ctx context.Context, seen *fsm.Observation) error {
	backend, err := e.worker.backend(e.head.record.Backend)
	if err != nil || !backend.Capabilities().Snapshot {
		return err
	}
	var kept []backends.Snapshot
	if seen.Present || seen.ID == "" { // if another has its place, nothing of it is left
		kept, err = e.keptSnapshots(ctx, backend)
	}
	if err != nil {
		return backendError(err)
	}
	count, err := e.settleSnapshotsWith(ctx, backend, kept)
	if err != nil {
		return backendError(err)
	}
	seen.Snapshots = &count
	return nil
}
