package backends

import (
	"cmp"
	"context"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Snapshot is the state of a volume at one moment, kept by the backend under a name.
type Snapshot struct {
	Name      volume.SnapshotName
	Size      volume.Bytes // of the volume at that moment
	CreatedAt time.Time    // by the backend's clock
	// Protected says that the backend refuses to delete the snapshot until it is told to
	// allow it. DeleteSnapshot does that by itself.
	Protected bool
}

// Snapshotter is a driver that can keep states of a volume. A snapshot belongs to its
// volume, within which its name is unique, and never changes. Missing volumes and
// strangers are refused as by every change, except by DeleteSnapshot.
type Snapshotter interface {
	// CreateSnapshot keeps what is written so far. A volume that a node holds is allowed:
	// its snapshot is what a power cut would leave. A snapshot of that name is success,
	// whenever it was made, and is returned as it is.
	CreateSnapshot(ctx context.Context, ref Ref, name volume.SnapshotName) (Snapshot, error)

	// DeleteSnapshot removes the snapshot. One that is not there is success, also because
	// the volume is not there or is a stranger's. While clones need it, it is refused by
	// a [BlockedError] with each child.
	DeleteSnapshot(ctx context.Context, ref Ref, name volume.SnapshotName) error

	// ListSnapshots returns the snapshots of the volume, the oldest first.
	ListSnapshots(ctx context.Context, ref Ref) ([]Snapshot, error)

	// Restore gives the volume the content and the size that it had when the snapshot was
	// made; this alone may shrink it. All snapshots stay. A snapshot that is not there is
	// NotFound. While a node holds the volume or a client has it open, it is refused by a
	// [BlockedError]. It may take as long as writing the whole volume; when the context
	// ends, the writing may go on, and a repeat does it all again.
	Restore(ctx context.Context, ref Ref, name volume.SnapshotName) error
}

// CreateSnapshot keeps what is written to the volume so far; see [Snapshotter] for what
// it returns. It returns Unsupported if the driver is none, and InvalidArgument for
// invalid arguments. The timeout bounds the time without progress; see [ReportProgress].
func (b *Backend) CreateSnapshot(ctx context.Context, ref Ref, name volume.SnapshotName) (Snapshot, error) {
	c, snapshotter := b.snapshotCall("create_snapshot", ref, name)
	c.long = true
	return perform(ctx, b, c, func(ctx context.Context) (Snapshot, error) {
		return snapshotter.CreateSnapshot(ctx, ref, name)
	})
}

// DeleteSnapshot removes a snapshot; see [Snapshotter] for what it returns. It returns
// Unsupported if the driver is none, and InvalidArgument for invalid arguments.
func (b *Backend) DeleteSnapshot(ctx context.Context, ref Ref, name volume.SnapshotName) error {
	c, snapshotter := b.snapshotCall("delete_snapshot", ref, name)
	return b.change(ctx, c, func(ctx context.Context) error {
		return snapshotter.DeleteSnapshot(ctx, ref, name)
	})
}

// ListSnapshots returns the snapshots of a volume, the oldest first; see [Snapshotter]
// for what it returns. It returns Unsupported if the driver is none, and InvalidArgument
// for an invalid ref.
func (b *Backend) ListSnapshots(ctx context.Context, ref Ref) ([]Snapshot, error) {
	snapshotter, able := b.driver.(Snapshotter)
	c := call{method: "list_snapshots", key: ref.Key, invalid: ref.Validate()}.needs(able, cannotSnapshot)
	return perform(ctx, b, c, func(ctx context.Context) ([]Snapshot, error) {
		return snapshotter.ListSnapshots(ctx, ref)
	})
}

// Restore gives the volume the state that the snapshot kept; see [Snapshotter] for what
// it returns. It returns Unsupported if the driver is none, and InvalidArgument for
// invalid arguments. The timeout bounds the time without progress; see [ReportProgress].
func (b *Backend) Restore(ctx context.Context, ref Ref, name volume.SnapshotName) error {
	c, snapshotter := b.snapshotCall("restore", ref, name)
	c.long = true
	return b.change(ctx, c, func(ctx context.Context) error {
		return snapshotter.Restore(ctx, ref, name)
	})
}

const cannotSnapshot = "driver cannot take snapshots"

// snapshotCall is the call of a Snapshotter's method for a snapshot, and the driver as one.
func (b *Backend) snapshotCall(method string, ref Ref, name volume.SnapshotName) (call, Snapshotter) {
	snapshotter, able := b.driver.(Snapshotter)
	c := call{method: method, key: ref.Key, snapshot: name, invalid: cmp.Or(ref.Validate(), name.Validate())}
	return c.needs(able, cannotSnapshot), snapshotter
}
