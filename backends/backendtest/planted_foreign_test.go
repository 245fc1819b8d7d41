package backendtest_test

import (
	"context"
	"sync"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// foreignPlants are faults with what jetvol did not make, with answers that get lost, and
// with what a driver claims.
var foreignPlants = map[string]diskPlant{
	"create takes over what is foreign": {func(f *faulty) {
		f.create = func(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
			f.spoil(ref.Key)
			return f.Driver.Create(ctx, ref, size)
		}
	}, "Foreign_Create_IsRefused"},
	"delete removes what is foreign": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error {
			f.spoil(ref.Key)
			return f.disk.Delete(ctx, ref)
		}
	}, "Foreign_Delete_LeavesItAlone"},
	"delete snapshot changes what is foreign": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			f.spoil(ref.Key)
			return f.disk.DeleteSnapshot(ctx, ref, name)
		}
	}, "Foreign_DeleteSnapshot_LeavesItAlone"},
	"get tells what is foreign": {func(f *faulty) {
		f.get = func(ctx context.Context, key volume.Key) (backends.Object, error) {
			if f.isForeign(key) {
				return backends.Object{Ref: backends.Ref{Key: key, ID: volume.NewID(key, 1)}}, nil
			}
			return f.disk.Get(ctx, key)
		}
	}, "Foreign_Get_TellsNoVolume"},
	"list tells what is foreign": {func(f *faulty) {
		f.list = func(ctx context.Context, yield func(backends.Object) bool) error {
			for _, key := range f.foreigners() {
				if !yield(backends.Object{Ref: backends.Ref{Key: key}}) {
					return nil
				}
			}
			return f.disk.List(ctx, yield)
		}
	}, "Foreign_List_TellsTheOthers"},
	"attach takes what is foreign": {func(f *faulty) {
		f.attach = func(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
			if f.isForeign(ref.Key) {
				return volume.Attachment{Node: node, Mode: mode}, nil
			}
			return f.disk.Attach(ctx, ref, node, mode)
		}
	}, "Foreign_OtherChanges_AreRefused"},
	"clone takes over what is foreign": clonePlant("Foreign_Clone_IsRefused", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			f.spoil(target.Key)
			return f.disk.Clone(ctx, source, name, target, size)
		}
	}),
	"delete ignores watchers": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error { return f.Driver.Delete(ctx, ref) }
	}, "Watched_Delete_IsBlockedNamingTheWatcher"},
	"restore ignores watchers": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			return f.Driver.Restore(ctx, ref, name)
		}
	}, "Watched_Restore_IsBlockedNamingTheWatcher"},
	"snapshot refuses watched volumes": {func(f *faulty) {
		f.snapshot = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
			unlock, _ := f.lock(ref.Key)
			err := f.watchers(ref.Key)
			unlock()
			if err != nil {
				return backends.Snapshot{}, err
			}
			return f.disk.CreateSnapshot(ctx, ref, name)
		}
	}, "Watched_Snapshot_IsTaken"},
	"flatten is refused the third time": {func(f *faulty) {
		f.flatten = refuseFlatten(f, func(times int) bool { return times == 3 })
	}, "Answer_LostTwice_RepeatIsSuccess"},
	"flatten is refused the tenth time": {func(f *faulty) {
		f.flatten = refuseFlatten(f, func(times int) bool { return times == 10 })
	}, "Answer_ToManyAtOnce_IsTheSame"},
	"flatten by another handle is refused": {func(f *faulty) {
		var by sync.Map // volume.Key → *faulty
		f.open = func() backends.Driver {
			one := &faulty{disk: f.disk}
			one.flatten = func(ctx context.Context, ref backends.Ref) error {
				if other, done := by.LoadOrStore(ref.Key, one); done && other != one {
					return backends.Errorf(volume.FailedPrecondition, "flattened by another handle")
				}
				return one.disk.Flatten(ctx, ref)
			}
			return one
		}
	}, "Answer_Lost_RepeatByAnotherProcessIsSuccess"},
	"a cancelled restore is remembered": {func(f *faulty) {
		var cancelled sync.Map // volume.Key → bool
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			if _, broken := cancelled.Load(ref.Key); broken {
				return backends.Errorf(volume.FailedPrecondition, "half restored")
			}
			select {
			case <-ctx.Done():
				cancelled.Store(ref.Key, true)
				return ctx.Err()
			case <-time.After(time.Millisecond):
				return f.disk.Restore(ctx, ref, name)
			}
		}
	}, "Answer_LostToACancel_RepeatIsSuccess"},
	"a handle has abilities that others lack": {func(f *faulty) {
		handles := 0
		f.open = func() backends.Driver {
			if handles++; handles%2 == 0 {
				return withoutUsage{f.disk, f.disk, f.disk, f.disk, f.disk}
			}
			return f
		}
	}, "Abilities_OfEveryHandle_AreTheSame"},
}

// refuseFlatten is a Flatten that refuses one call for each volume.
func refuseFlatten(f *faulty, when func(times int) bool) func(context.Context, backends.Ref) error {
	var mu sync.Mutex
	times := make(map[volume.Key]int)
	return func(ctx context.Context, ref backends.Ref) error {
		mu.Lock()
		defer mu.Unlock()
		if times[ref.Key]++; when(times[ref.Key]) {
			return backends.Errorf(volume.FailedPrecondition, "flattened already")
		}
		return f.disk.Flatten(ctx, ref)
	}
}

// withoutUsage has the other abilities.
type withoutUsage struct {
	backends.Driver
	backends.Resizer
	backends.Lister
	backends.Fencer
	backends.Cloner
}

// spoil changes what is foreign.
func (d *disk) spoil(key volume.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, is := d.foreign[key]; is {
		d.foreign[key] = "spoilt"
	}
}

func (d *disk) isForeign(key volume.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, is := d.foreign[key]
	return is
}

func (d *disk) foreigners() []volume.Key {
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []volume.Key
	for key := range d.foreign {
		keys = append(keys, key)
	}
	return keys
}
