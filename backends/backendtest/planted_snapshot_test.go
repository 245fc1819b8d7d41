package backendtest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// diskPlant is a fault that breaks one rule, with a case that must notice.
type diskPlant struct {
	plant  func(f *faulty)
	caught string
}

var snapshotPlants = map[string]diskPlant{
	"snapshot is claimed but unsupported": {func(f *faulty) {
		f.snapshot = func(context.Context, backends.Ref, volume.SnapshotName) (backends.Snapshot, error) {
			return backends.Snapshot{}, backends.Errorf(volume.Unsupported, "no snapshots here")
		}
	}, "Abilities_Claimed_AreHad"},
	"snapshot refuses a repeat": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			if f.exists(ctx, ref, name) {
				return backends.Snapshot{}, backends.Errorf(volume.AlreadyExists, "snapshot exists")
			}
			return f.disk.CreateSnapshot(ctx, ref, name)
		}
	}, "Snapshot_Repeated_ReturnsTheFirst"},
	"snapshot is taken again": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			_ = f.disk.DeleteSnapshot(ctx, ref, name)
			return f.disk.CreateSnapshot(ctx, ref, name)
		}
	}, "Snapshot_Repeated_ReturnsTheFirst"},
	"snapshot tells its own time": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			late := f.exists(ctx, ref, name)
			<-time.After(time.Millisecond)
			made, err := f.disk.CreateSnapshot(ctx, ref, name)
			if !late {
				made.CreatedAt = time.Now()
			}
			return made, err
		}
	}, "Snapshot_AtOnce_IsOne"},
	"snapshot refuses attached volumes": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			if found, err := f.disk.Get(ctx, ref.Key); err == nil && len(found.Attachments) > 0 {
				return backends.Snapshot{}, backends.HeldBy(found.Attachments)
			}
			return f.disk.CreateSnapshot(ctx, ref, name)
		}
	}, "Snapshot_OfAttachedVolume_IsTaken"},
	"snapshot has another size": {func(f *faulty) {
		f.told = func(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
			listed, err := f.disk.ListSnapshots(ctx, ref)
			for i := range listed {
				listed[i].Size++
			}
			return listed, err
		}
	}, "Snapshot_New_IsListed"},
	"snapshots are listed by name": {func(f *faulty) {
		f.told = func(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
			listed, err := f.disk.ListSnapshots(ctx, ref)
			slices.SortFunc(listed, func(a, b backends.Snapshot) int { return strings.Compare(string(a.Name), string(b.Name)) })
			return listed, err
		}
	}, "Snapshot_Several_AreListedOldestFirst"},
	"snapshot names are the store's": {func(f *faulty) {
		f.told = func(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
			listed, err := f.disk.ListSnapshots(ctx, ref)
			if err == nil && len(listed) == 0 {
				listed = f.anySnapshots()
			}
			return listed, err
		}
	}, "Snapshot_SameNameOfOtherVolume_IsIndependent"},
	"snapshot names are cut": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			return f.disk.CreateSnapshot(ctx, ref, name[:min(len(name), 32)])
		}
	}, "Snapshot_LongestNames_AreTaken"},
	"snapshot of a missing volume is taken": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			made, err := f.disk.CreateSnapshot(ctx, ref, name)
			if errors.Is(err, volume.NotFound) {
				err = nil
			}
			return made, err
		}
	}, "Snapshot_Missing_IsNotFound"},
	"snapshot ignores the id": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			return f.disk.CreateSnapshot(ctx, f.actual(ctx, ref), name)
		}
	}, "Snapshot_Stranger_IsRefused"},
	"snapshot ignores the fence": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			return f.disk.CreateSnapshot(ctx, past(ref), name)
		}
	}, "Snapshot_OlderEpoch_IsRefused"},
	"delete snapshot refuses a missing one": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if f.lists(ctx, ref) && !f.exists(ctx, ref, name) {
				return backends.Errorf(volume.NotFound, "no such snapshot")
			}
			return f.disk.DeleteSnapshot(ctx, ref, name)
		}
	}, "DeleteSnapshot_Repeated_IsSuccess"},
	"delete snapshot refuses a missing volume": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if !f.lists(ctx, ref) {
				return backends.Errorf(volume.NotFound, "no such volume")
			}
			return f.disk.DeleteSnapshot(ctx, ref, name)
		}
	}, "DeleteSnapshot_NothingThere_IsSuccess"},
	"delete snapshot ignores the id": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			return f.disk.DeleteSnapshot(ctx, f.actual(ctx, ref), name)
		}
	}, "DeleteSnapshot_Stranger_IsLeftAlone"},
	"delete snapshot only hides it": {func(f *faulty) {
		hidden := make(map[snapshotKey]bool)
		f.forget = func(_ context.Context, ref backends.Ref, name volume.SnapshotName) error {
			hidden[snapshotKey{ref.Key, name}] = true
			return nil
		}
		f.told = func(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
			listed, err := f.disk.ListSnapshots(ctx, ref)
			return slices.DeleteFunc(listed, func(s backends.Snapshot) bool { return hidden[snapshotKey{ref.Key, s.Name}] }), err
		}
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			delete(hidden, snapshotKey{ref.Key, name})
			return f.disk.CreateSnapshot(ctx, ref, name)
		}
	}, "DeleteSnapshot_NameUsedAgain_IsAnotherSnapshot"},
	"delete takes the snapshots along": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error {
			listed, _ := f.disk.ListSnapshots(ctx, ref)
			for _, made := range listed {
				_ = f.disk.DeleteSnapshot(ctx, ref, made.Name)
			}
			return f.disk.Delete(ctx, ref)
		}
	}, "Delete_WithSnapshots_IsBlockedNamingAll"},
	"delete names one blocker": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error { return first(f.disk.Delete(ctx, ref)) }
	}, "Delete_WithSnapshots_IsBlockedNamingAll"},
	"delete asks strangers for their snapshots": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error {
			if err := f.disk.Delete(ctx, ref); err != nil {
				return err
			}
			listed, _ := f.disk.ListSnapshots(ctx, f.actual(ctx, ref))
			for _, made := range listed {
				_ = f.disk.DeleteSnapshot(ctx, f.actual(ctx, ref), made.Name)
			}
			return nil
		}
	}, "Delete_StrangerWithSnapshots_IsLeftAlone"},
	"restore keeps the size": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			found, _ := f.disk.Get(ctx, ref.Key)
			return errors.Join(f.disk.Restore(ctx, ref, name), f.disk.Resize(ctx, ref, found.Size))
		}
	}, "Restore_AfterResize_HasTheSnapshotsSize"},
	"restore removes later snapshots": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			_ = f.disk.DeleteSnapshot(ctx, ref, "tuesday")
			return f.disk.Restore(ctx, ref, name)
		}
	}, "Restore_Unchanged_IsSuccessAndRepeats"},
	"restore ignores the holder": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if err := f.disk.Restore(ctx, ref, name); !errors.Is(err, volume.FailedPrecondition) || !f.lists(ctx, ref) {
				return err
			}
			return nil
		}
	}, "Restore_Held_IsBlockedNamingTheNode"},
	"restore of nothing is success": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if f.lists(ctx, ref) && !f.exists(ctx, ref, name) {
				return nil
			}
			return f.disk.Restore(ctx, ref, name)
		}
	}, "Restore_MissingSnapshot_IsNotFound"},
	"restore of a missing volume is success": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if err := f.disk.Restore(ctx, ref, name); !errors.Is(err, volume.NotFound) || f.lists(ctx, ref) {
				return err
			}
			return nil
		}
	}, "Restore_Missing_IsNotFound"},
	"restore ignores the id": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			return f.disk.Restore(ctx, f.actual(ctx, ref), name)
		}
	}, "Restore_Stranger_IsRefused"},
}

// exists reports whether the volume has the snapshot.
func (f *faulty) exists(ctx context.Context, ref backends.Ref, name volume.SnapshotName) bool {
	listed, _ := f.disk.ListSnapshots(ctx, ref)
	return slices.ContainsFunc(listed, func(s backends.Snapshot) bool { return s.Name == name })
}

// lists reports whether there is such a volume.
func (f *faulty) lists(ctx context.Context, ref backends.Ref) bool {
	_, err := f.disk.ListSnapshots(ctx, ref)
	return err == nil
}

// anySnapshots are snapshots of whatever volume.
func (f *faulty) anySnapshots() []backends.Snapshot {
	unlock, _ := f.lock(volume.Key{})
	defer unlock()
	var all []backends.Snapshot
	for kept := range f.kept {
		all = append(all, backends.Snapshot{Name: kept.name})
	}
	return all
}

// actual is the ref of what is under the key, in ref's epoch.
func (f *faulty) actual(ctx context.Context, ref backends.Ref) backends.Ref {
	if found, err := f.disk.Get(ctx, ref.Key); err == nil {
		ref.ID = found.ID
	}
	return ref
}

// first is err with one of its blockers only.
func first(err error) error {
	if blocked, ok := errors.AsType[*backends.BlockedError](err); ok {
		return backends.Blocked(blocked.By[0])
	}
	return err
}
