package backendtest_test

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// faulty is a disk with other methods where there is a function.
type faulty struct {
	*disk

	create   func(ctx context.Context, ref backends.Ref, size volume.Bytes) error
	remove   func(ctx context.Context, ref backends.Ref) error
	get      func(ctx context.Context, key volume.Key) (backends.Object, error)
	attach   func(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error)
	resize   func(ctx context.Context, ref backends.Ref, size volume.Bytes) error
	list     func(ctx context.Context, yield func(backends.Object) bool) error
	snapshot func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error)
	forget   func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error
	told     func(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error)
	restore  func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error
	clone    func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error
	flatten  func(ctx context.Context, ref backends.Ref) error
	children func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error)
	usage    func(ctx context.Context, ref backends.Ref) (backends.Usage, error)
	// open returns a new handle instead of f itself.
	open func() backends.Driver
}

func (f *faulty) handle() backends.Driver {
	if f.open != nil {
		return f.open()
	}
	return f
}

func (f *faulty) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if f.create != nil {
		return f.create(ctx, ref, size)
	}
	return f.disk.Create(ctx, ref, size)
}

func (f *faulty) Delete(ctx context.Context, ref backends.Ref) error {
	if f.remove != nil {
		return f.remove(ctx, ref)
	}
	return f.disk.Delete(ctx, ref)
}

func (f *faulty) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if f.get != nil {
		return f.get(ctx, key)
	}
	return f.disk.Get(ctx, key)
}

func (f *faulty) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if f.attach != nil {
		return f.attach(ctx, ref, node, mode)
	}
	return f.disk.Attach(ctx, ref, node, mode)
}

func (f *faulty) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if f.resize != nil {
		return f.resize(ctx, ref, size)
	}
	return f.disk.Resize(ctx, ref, size)
}

func (f *faulty) List(ctx context.Context, yield func(backends.Object) bool) error {
	if f.list != nil {
		return f.list(ctx, yield)
	}
	return f.disk.List(ctx, yield)
}

func (f *faulty) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
	if f.snapshot != nil {
		return f.snapshot(ctx, ref, name)
	}
	return f.disk.CreateSnapshot(ctx, ref, name)
}

func (f *faulty) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if f.forget != nil {
		return f.forget(ctx, ref, name)
	}
	return f.disk.DeleteSnapshot(ctx, ref, name)
}

func (f *faulty) ListSnapshots(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
	if f.told != nil {
		return f.told(ctx, ref)
	}
	return f.disk.ListSnapshots(ctx, ref)
}

func (f *faulty) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if f.restore != nil {
		return f.restore(ctx, ref, name)
	}
	return f.disk.Restore(ctx, ref, name)
}

func (f *faulty) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	if f.clone != nil {
		return f.clone(ctx, source, name, target, size)
	}
	return f.disk.Clone(ctx, source, name, target, size)
}

func (f *faulty) Flatten(ctx context.Context, ref backends.Ref) error {
	if f.flatten != nil {
		return f.flatten(ctx, ref)
	}
	return f.disk.Flatten(ctx, ref)
}

func (f *faulty) Children(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
	if f.children != nil {
		return f.children(ctx, ref, name)
	}
	return f.disk.Children(ctx, ref, name)
}

func (f *faulty) Usage(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
	if f.usage != nil {
		return f.usage(ctx, ref)
	}
	return f.disk.Usage(ctx, ref)
}
