package backendtest_test

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

type cloneFunc func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error

// clonePlant is a fault of Clone.
func clonePlant(caught string, fault func(f *faulty) cloneFunc) diskPlant {
	return diskPlant{func(f *faulty) { f.clone = fault(f) }, caught}
}

var clonePlants = map[string]diskPlant{
	"clone refuses a repeat": clonePlant("Clone_Repeated_IsSuccess", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if _, err := f.disk.Get(ctx, target.Key); err == nil {
				return backends.Errorf(volume.AlreadyExists, "volume is here")
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone detaches on a repeat": clonePlant("Clone_RepeatedWhileAttached_KeepsAttachment", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if found, err := f.disk.Get(ctx, target.Key); err == nil && len(found.Attachments) > 0 {
				_ = f.disk.Detach(ctx, found.Ref, found.Attachments[0].Node)
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone needs its source for ever": clonePlant("Clone_RepeatedAfterSourceIsGone_IsSuccess", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if !f.exists(ctx, source, name) {
				return backends.Errorf(volume.NotFound, "no such snapshot")
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone has the snapshot's size": clonePlant("Clone_Larger_HasTheWantedSize", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, _ volume.Bytes) error {
			return f.disk.Clone(ctx, source, name, target, volume.MiB)
		}
	}),
	"clone cuts the snapshot off": clonePlant("Clone_SmallerThanSnapshot_IsRefused", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			err := f.disk.Clone(ctx, source, name, target, size)
			if _, missing := f.disk.Get(ctx, target.Key); missing != nil && errors.Is(err, volume.FailedPrecondition) {
				return f.disk.Create(ctx, target, size)
			}
			return err
		}
	}),
	"clone rounds sizes": clonePlant("Clone_SizeWithoutUnit_IsExact", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			return f.disk.Clone(ctx, source, name, target, (size+volume.MiB-1)/volume.MiB*volume.MiB)
		}
	}),
	"clone refuses attached sources": clonePlant("Clone_OfAttachedVolume_IsMade", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if found, err := f.disk.Get(ctx, source.Key); err == nil && len(found.Attachments) > 0 {
				return backends.HeldBy(found.Attachments)
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone refuses clones": clonePlant("Clone_OfAClone_IsMade", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if source.Key.Name[:4] == "copy" {
				return backends.Errorf(volume.FailedPrecondition, "a clone itself")
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone of nothing is empty": clonePlant("Clone_NothingToClone_IsNotFound", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if err := f.disk.Clone(ctx, source, name, target, size); !errors.Is(err, volume.NotFound) {
				return err
			}
			return f.disk.Create(ctx, target, size)
		}
	}),
	"clone takes over strangers": clonePlant("Clone_OverAStranger_IsAlreadyExists", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			if err := f.disk.Clone(ctx, source, name, target, size); !errors.Is(err, volume.AlreadyExists) {
				return err
			}
			return nil
		}
	}),
	"clone looks at the source's epoch": clonePlant("Clone_OlderEpochOfTarget_IsRefused", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			target.Epoch = source.Epoch
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone does one at a time": clonePlant("Clone_ManyAtOnce_AreMade", func(f *faulty) cloneFunc {
		turn := make(chan struct{}, 1)
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			select {
			case turn <- struct{}{}:
				<-time.After(5 * time.Millisecond)
				<-turn
			default:
				return backends.Errorf(volume.FailedPrecondition, "another clone is being made")
			}
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"clone looks for its snapshot too early": clonePlant("Clone_WhileItsSnapshotIsDeleted_IsWholeOrNotThere", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			_, missing := f.disk.Get(ctx, target.Key)
			if missing == nil || !f.exists(ctx, source, name) {
				return f.disk.Clone(ctx, source, name, target, size)
			}
			<-time.After(5 * time.Millisecond)
			if err := f.disk.Clone(ctx, source, name, target, size); !errors.Is(err, volume.NotFound) {
				return err
			}
			return f.disk.Create(ctx, target, size)
		}
	}),
	"children are not told": {func(f *faulty) {
		f.children = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
			_, err := f.disk.Children(ctx, ref, name)
			return nil, err
		}
	}, "DeleteSnapshot_WithChildren_IsBlockedNamingAll"},
	"delete snapshot names one child": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			return first(f.disk.DeleteSnapshot(ctx, ref, name))
		}
	}, "DeleteSnapshot_WithChildren_IsBlockedNamingAll"},
	"children of nothing are none": {func(f *faulty) {
		f.children = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
			keys, err := f.disk.Children(ctx, ref, name)
			if errors.Is(err, volume.NotFound) {
				err = nil
			}
			return keys, err
		}
	}, "Children_NothingThere_IsNotFound"},
	"children are everybody's": {func(f *faulty) {
		f.children = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
			keys, err := f.disk.Children(ctx, ref, name)
			return append(keys, volume.Key{Project: "default", Name: "other"}), err
		}
	}, "Children_NoClones_AreNone"},
	"flatten does nothing": {func(f *faulty) {
		f.flatten = func(ctx context.Context, ref backends.Ref) error { return f.disk.DeleteSnapshot(ctx, ref, "none") }
	}, "Flatten_Clone_NeedsItsSourceNoLonger"},
	"flatten refuses what is no clone": {func(f *faulty) {
		f.flatten = func(ctx context.Context, ref backends.Ref) error {
			if ref.Key.Name[0] == 'a' {
				return backends.Errorf(volume.FailedPrecondition, "no clone")
			}
			return f.disk.Flatten(ctx, ref)
		}
	}, "Flatten_NoClone_IsSuccess"},
	"flatten of a missing volume is success": {func(f *faulty) {
		f.flatten = func(ctx context.Context, ref backends.Ref) error {
			if err := f.disk.Flatten(ctx, ref); !errors.Is(err, volume.NotFound) {
				return err
			}
			return nil
		}
	}, "Flatten_Missing_IsNotFound"},
	"flatten ignores the id": {func(f *faulty) {
		f.flatten = func(ctx context.Context, ref backends.Ref) error { return f.disk.Flatten(ctx, f.actual(ctx, ref)) }
	}, "Flatten_Stranger_IsRefused"},
}
