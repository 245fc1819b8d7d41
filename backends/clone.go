package backends

import (
	"cmp"
	"context"

	"github.com/jetvol/jetvol/volume"
)

// Cloner is a [Snapshotter] that can make volumes out of snapshots.
//
// A clone is a volume like any other, with a key, an ID and snapshots of its own; what is
// written to it changes no other volume. Until it is flattened the backend may keep part
// of its content in the snapshot alone: it is then a child of that snapshot, which cannot
// be deleted. A driver whose clones are whole from the start has no children.
type Cloner interface {
	Snapshotter

	// Clone makes the target with the content of source's snapshot and the given size; what
	// lies beyond the snapshot's size is zero. Nodes may hold the source. An object with
	// target's ID is success if its size is the wanted one, also when the source has gone
	// since, and FailedPrecondition if not; an object with the key of another ID is
	// AlreadyExists. A missing source or snapshot is NotFound, a size below the snapshot's
	// FailedPrecondition. Get and List never tell a target with part of its content.
	//
	// The epoch that counts is target's. Calls for the source may run at the same time, in
	// any process: either the clone becomes a child or its snapshot is gone.
	Clone(ctx context.Context, source Ref, name volume.SnapshotName, target Ref, size volume.Bytes) error

	// Flatten copies what the volume still shares with a snapshot, which ends its being a
	// child. A volume that shares nothing is success. It may take as long as copying the
	// whole volume does; when the context ends, the copying may go on, and a repeat
	// finishes it.
	Flatten(ctx context.Context, ref Ref) error

	// Children returns the keys of the clones that need the snapshot, sorted by their
	// text. A missing snapshot is NotFound.
	Children(ctx context.Context, ref Ref, name volume.SnapshotName) ([]volume.Key, error)
}

const cannotClone = "driver cannot clone"

// Clone makes the volume target out of a snapshot of source; see [Cloner] for what it
// returns. It returns Unsupported if the driver is none, and InvalidArgument for invalid
// arguments, a target with the source's key among them. It takes the turn of the target's
// volume, not the source's. The timeout bounds the time without progress; see
// [ReportProgress].
func (b *Backend) Clone(ctx context.Context, source Ref, name volume.SnapshotName, target Ref, size volume.Bytes) error {
	cloner, able := b.driver.(Cloner)
	c := call{method: "clone", key: target.Key, long: true, invalid: cmp.Or(
		source.Validate(), name.Validate(), target.Validate(), size.ValidateSize(), source.validateTarget(target),
	)}.needs(able, cannotClone)
	return b.change(ctx, c, func(ctx context.Context) error {
		return cloner.Clone(ctx, source, name, target, size)
	})
}

func (r Ref) validateTarget(target Ref) error {
	if r.Key == target.Key {
		return volume.Errorf(volume.ErrInvalidArgument, "clone of volume %s onto itself", r.Key)
	}
	return nil
}

// Flatten makes a clone independent of its snapshot; see [Cloner] for what it returns. It
// returns Unsupported if the driver is none, and InvalidArgument for an invalid ref. The
// timeout bounds the time without progress; see [ReportProgress]. After it the copying may
// go on, and keeps its slot and its volume; a repeat waits for it.
func (b *Backend) Flatten(ctx context.Context, ref Ref) error {
	cloner, able := b.driver.(Cloner)
	c := call{method: "flatten", key: ref.Key, invalid: ref.Validate(), long: true}.needs(able, cannotClone)
	return b.change(ctx, c, func(ctx context.Context) error {
		return cloner.Flatten(ctx, ref)
	})
}

// Children returns the keys of the clones that need the snapshot; see [Cloner]. It returns
// Unsupported if the driver is none, and InvalidArgument for invalid arguments.
func (b *Backend) Children(ctx context.Context, ref Ref, name volume.SnapshotName) ([]volume.Key, error) {
	cloner, able := b.driver.(Cloner)
	c := call{
		method: "children", key: ref.Key, snapshot: name,
		invalid: cmp.Or(ref.Validate(), name.Validate()),
	}.needs(able, cannotClone)
	return perform(ctx, b, c, func(ctx context.Context) ([]volume.Key, error) {
		return cloner.Children(ctx, ref, name)
	})
}
