package main

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// absent is a driver in the place of one that could not be opened. Every call is
// Unavailable. It stays so until the worker starts again: a driver that was opened later
// might let through calls that were decided on before (see Open of package local).
//
// It has the abilities whose lack would be told as Unsupported, which is not tried again,
// or would be taken for leave to act without a fence.
type absent struct{ cause error }

var (
	_ backends.Driver  = absent{}
	_ backends.Resizer = absent{}
	_ backends.Fencer  = absent{}
	_ backends.Evictor = absent{}
	_ backends.Cloner  = absent{}

	_ backends.Importer = absent{}
)

func (a absent) err() error {
	return backends.Errorf(volume.Unavailable, "not opened when the worker started: %v", a.cause)
}

func (a absent) Create(context.Context, backends.Ref, volume.Bytes) error { return a.err() }

func (a absent) Delete(context.Context, backends.Ref) error { return a.err() }

func (a absent) Get(context.Context, volume.Key) (backends.Object, error) {
	return backends.Object{}, a.err()
}

func (a absent) Attach(context.Context, backends.Ref, volume.Node, volume.Mode) (volume.Attachment, error) {
	return volume.Attachment{}, a.err()
}

func (a absent) Detach(context.Context, backends.Ref, volume.Node) error { return a.err() }

func (a absent) Resize(context.Context, backends.Ref, volume.Bytes) error { return a.err() }

func (a absent) Fence(context.Context, backends.Ref) error { return a.err() }

func (a absent) Evict(context.Context, backends.Ref, volume.Node) (backends.Eviction, error) {
	return backends.Eviction{}, a.err()
}

func (a absent) CreateSnapshot(context.Context, backends.Ref, volume.SnapshotName) (backends.Snapshot, error) {
	return backends.Snapshot{}, a.err()
}

func (a absent) DeleteSnapshot(context.Context, backends.Ref, volume.SnapshotName) error {
	return a.err()
}

func (a absent) ListSnapshots(context.Context, backends.Ref) ([]backends.Snapshot, error) {
	return nil, a.err()
}

func (a absent) Restore(context.Context, backends.Ref, volume.SnapshotName) error { return a.err() }

func (a absent) Clone(context.Context, backends.Ref, volume.SnapshotName, backends.Ref, volume.Bytes) error {
	return a.err()
}

func (a absent) Flatten(context.Context, backends.Ref) error { return a.err() }

func (a absent) Children(context.Context, backends.Ref, volume.SnapshotName) ([]volume.Key, error) {
	return nil, a.err()
}

func (a absent) Release(context.Context, backends.Ref, volume.Image) error { return a.err() }

func (a absent) Import(context.Context, backends.Ref, volume.Image) (volume.Bytes, error) {
	return 0, a.err()
}

func (a absent) Importable(context.Context, backends.Ref, volume.Image) (backends.Candidate, error) {
	return backends.Candidate{}, a.err()
}

func (a absent) Health(context.Context) (backends.Health, error) { return backends.Health{}, a.err() }

func (a absent) Close() error { return nil }
