package snapshots

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// ErrFenced says that another owner of the volume has shut the caller out. Its class is aborted.
var ErrFenced error = &fault{volume.Aborted, "fenced"}

// fenceToken begins the keys of fences: `<project>.f.<volume>`.
const fenceToken = "f"

// fence is the lowest epoch of an owner of a volume that may still change something in its
// name.
type fence struct {
	SchemaVersion int    `json:"schema_version"`
	Epoch         uint64 `json:"epoch"`
}

type ownerKey struct{}

type owner struct {
	name  volume.Name
	epoch uint64
}

// ByOwner returns a context under which changes are made in the name of the volume's owner
// in the given epoch: they are refused with [ErrFenced] from the moment of a [Store.Fence]
// with a higher one.
func ByOwner(ctx context.Context, name volume.Name, epoch uint64) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner{name, epoch})
}

// Fence shuts out the owners of a volume with an epoch below the given one: when it returns,
// what they change either has been stored or never will be. It may be repeated, and returns
// [ErrFenced] if a higher one was there before.
func (s *Store) Fence(ctx context.Context, project volume.Project, name volume.Name, epoch uint64) error {
	if err := (volume.Key{Project: project, Name: name}).Validate(); err != nil {
		return err
	}
	for {
		now, revision, err := s.fenceOf(ctx, project, name)
		switch {
		case err != nil:
			return err
		case now.Epoch > epoch:
			return fmt.Errorf("fence %s for epoch %d: %w at epoch %d", name, epoch, ErrFenced, now.Epoch)
		case now.Epoch == epoch:
			return nil
		}
		_, err = s.fences.CompareAndSet(ctx, fenceName(project, name), fence{volume.SchemaVersion, epoch}, revision)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
}

// fenceOf returns the fence of a volume and its revision; none is epoch 0 at revision 0.
func (s *Store) fenceOf(ctx context.Context, project volume.Project, name volume.Name) (fence, uint64, error) {
	entry, err := s.fences.Get(ctx, fenceName(project, name))
	if errors.Is(err, kv.ErrNotFound) {
		return fence{}, 0, nil
	}
	return entry.Value, entry.Revision, err
}

// expectOwner makes the batch fail once the owner that the context names is fenced.
func (tx *Tx) expectOwner(ctx context.Context, b *kv.Batch) error {
	by, owned := ctx.Value(ownerKey{}).(owner)
	if !owned {
		return nil
	}
	now, revision, err := tx.store.fenceOf(ctx, tx.project, by.name)
	switch {
	case err != nil:
		return err
	case now.Epoch > by.epoch:
		return fmt.Errorf("apply transaction: volume %s, epoch %d: %w at epoch %d", by.name, by.epoch, ErrFenced, now.Epoch)
	}
	b.Expect(fenceName(tx.project, by.name), revision)
	return nil
}

func fenceName(project volume.Project, name volume.Name) string {
	return string(project) + "." + fenceToken + "." + string(name)
}
