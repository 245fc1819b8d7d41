package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// adopt decides on an adopt: what the backend has under the name, with the marks of jetvol,
// becomes a volume again. A create that is under way cannot be met here, because it stands in
// the record before the backend knows of it, and a late call of an earlier owner cannot come
// after, because he is fenced before the object is looked at. If the name was known before,
// with the object's own id, that life goes on.
func (e *execution) adopt(ctx context.Context) (fsm.Decision, error) {
	none := fsm.Decision{Record: e.head.record}
	backend, err := e.worker.backend(e.command.Backend)
	if err != nil {
		return none, err
	}
	object, err := e.found(ctx, backend)
	if err == nil && !e.command.ValidateOnly && e.head.record.Owner.Fencing {
		object, err = e.foundFenced(ctx, backend, object)
	}
	if err != nil {
		return none, err
	}
	spec := volume.Spec{Size: object.Size, Attachments: object.Attachments}
	// What is refused, or only asked, leaves nothing in the store.
	decision, err := fsm.Adopt(e.head.record, e.command, object.ID, spec, now())
	if err != nil {
		return decision, err
	}
	kept, err := e.keptOf(ctx, backend, object)
	if err == nil {
		err = e.hasPlace(ctx, quotas.Usage{Volumes: 1, Bytes: int64(object.Size), Snapshots: int64(len(kept))})
	}
	if err != nil || e.command.ValidateOnly {
		return decision, err
	}
	spec.Snapshots = len(kept)
	if err := e.adoptOrigin(ctx, object.ID, &spec); err != nil {
		return none, err
	}
	if backend.Capabilities().Snapshot {
		err = e.adoptSnapshots(ctx, object.ID, kept)
	}
	if err != nil {
		return none, err
	}
	return fsm.Adopt(e.head.record, e.command, object.ID, spec, now())
}

// found returns the object that the backend has under the name.
func (e *execution) found(ctx context.Context, backend *backends.Backend) (backends.Object, error) {
	// gofail: var beforeFound string
	// killAt(beforeFound, "observe", e.command.ID)

	object, err := backend.Get(e.cancellable, e.command.Key)
	// gofail: var afterFound string
	// killAt(afterFound, "observe", e.command.ID)

	return object, e.lookError(ctx, err)
}

// foundFenced shuts out the name's former owners and looks again: nobody changes it any more.
func (e *execution) foundFenced(ctx context.Context, backend *backends.Backend, object backends.Object) (backends.Object, error) {
	if err := e.fenceAs(ctx, backend, e.refTo(object)); err != nil {
		return object, backendError(err)
	}
	return e.found(ctx, backend)
}

// refTo names the object that is to be adopted.
func (e *execution) refTo(object backends.Object) backends.Ref {
	return backends.Ref{Key: e.command.Key, ID: object.ID, Epoch: e.head.record.Owner.Epoch}
}

// adoptOrigin finds what the object is a clone of, if the store still knows it by its id.
func (e *execution) adoptOrigin(ctx context.Context, id volume.ID, spec *volume.Spec) error {
	key := snapshots.VolumeKey(e.command.Key.Name)
	var info snapshots.Info
	err := e.asked(ctx, func(ctx context.Context) (err error) {
		info, err = e.worker.chains.Stat(ctx, e.project(), key)
		return err
	})
	switch {
	case errors.Is(err, volume.ErrSnapshotNotFound):
		return nil
	case err != nil:
		return err
	case info.ID != string(id): // of a life that is over
		_, err := e.isStale(ctx, key)
		return err
	}
	spec.ReadOnly = info.Kind == snapshots.View
	spec.Source = volume.SnapshotKey{Volume: info.Parent.Volume, Snapshot: info.Parent.Snapshot}
	return nil
}

// keptOf returns the snapshots that the backend has of the object.
func (e *execution) keptOf(ctx context.Context, backend *backends.Backend, object backends.Object) ([]backends.Snapshot, error) {
	if !backend.Capabilities().Snapshot {
		return nil, nil
	}
	kept, err := backend.ListSnapshots(ctx, e.refTo(object))
	if err != nil {
		return nil, backendError(err)
	}
	return kept, nil
}

// adoptSnapshots makes the store say what the backend does of the object's snapshots. Those
// that the store alone has are gone with an earlier life.
func (e *execution) adoptSnapshots(ctx context.Context, of volume.ID, kept []backends.Snapshot) error {
	entered, err := e.entered(ctx)
	if err != nil {
		return err
	}
	for _, info := range entered {
		if err := e.dropUnlessKept(ctx, info, kept); err != nil {
			return err
		}
	}
	for _, snapshot := range kept {
		if err := e.adoptSnapshot(ctx, of, snapshot, entered); err != nil {
			return err
		}
	}
	return nil
}

// dropUnlessKept removes the entry of a snapshot that the backend does not have, and the mark
// of a removal from one that it has.
func (e *execution) dropUnlessKept(ctx context.Context, info snapshots.Info, kept []backends.Snapshot) error {
	for _, snapshot := range kept {
		if snapshot.Name == info.Name.Snapshot {
			return e.clearMark(ctx, info)
		}
	}
	return e.dropEntry(ctx, info)
}

// adoptSnapshot enters a snapshot unless it is. Its own id is lost: it gets that of the
// transition that adopts it, with its name, because one adopts several.
func (e *execution) adoptSnapshot(ctx context.Context, of volume.ID, snapshot backends.Snapshot, entered []snapshots.Info) error {
	for _, info := range entered {
		if info.Name.Snapshot == snapshot.Name {
			return nil
		}
	}
	key := e.snapshotKey(snapshot.Name)
	id := string(volume.NewID(e.command.Key, e.head.record.Generation+1)) + "@" + string(snapshot.Name)
	// gofail: var beforeAdoptEntry string
	// killAt(beforeAdoptEntry, "adopt-entry", e.command.ID)

	err := e.asked(ctx, func(ctx context.Context) error {
		_, err := e.worker.chains.CreateSnapshot(ctx, e.project(), keyOf(key), id, nil, snapshots.Usage{},
			snapshots.WithVolumeSize(snapshot.Size), snapshots.OfVolume(string(of)))
		return err
	})
	// gofail: var afterAdoptEntry string
	// killAt(afterAdoptEntry, "adopt-entry", e.command.ID)

	return err
}
