package backendtest_test

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var contentPlants = map[string]diskPlant{
	"a repeated create empties the volume": {func(f *faulty) {
		f.create = func(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
			err := f.disk.Create(ctx, ref, size)
			if err == nil {
				f.setData(ref.Key, nil)
			}
			return err
		}
	}, "Content_Written_OutlivesHandlesAndAttachments"},
	"resize empties the volume": {func(f *faulty) {
		f.resize = func(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
			f.setData(ref.Key, nil)
			return f.disk.Resize(ctx, ref, size)
		}
	}, "Content_Resized_IsKeptAndGrowsByZeros"},
	"new volumes have old data": {func(f *faulty) {
		f.create = func(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
			if _, missing := f.disk.Get(ctx, ref.Key); missing != nil {
				f.setData(ref.Key, []byte("of another"))
			}
			return f.disk.Create(ctx, ref, size)
		}
	}, "Content_NewVolume_IsZero"},
	"delete leaves the data": {func(f *faulty) {
		f.remove = func(ctx context.Context, ref backends.Ref) error {
			data := f.dataOf(ref.Key)
			err := f.disk.Delete(ctx, ref)
			f.setData(ref.Key, data)
			return err
		}
	}, "Content_NextLife_IsZero"},
	"restore restores no data": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			return f.Driver.Restore(ctx, ref, name)
		}
	}, "Content_Restored_IsTheSnapshots"},
	"restore leaves what is beyond the snapshot": {func(f *faulty) {
		f.restore = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			data := f.dataOf(ref.Key)
			err := f.disk.Restore(ctx, ref, name)
			if restored := f.dataOf(ref.Key); err == nil && len(restored) < len(data) {
				f.setData(ref.Key, append(restored, data[len(restored):]...))
			}
			return err
		}
	}, "Content_RestoredAfterResize_IsTheSnapshots"},
	"delete snapshot empties the volume": {func(f *faulty) {
		f.forget = func(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
			f.setData(ref.Key, nil)
			return f.disk.DeleteSnapshot(ctx, ref, name)
		}
	}, "Content_SnapshotDeleted_StaysTheVolumes"},
	"clone has the source's content": clonePlant("Content_Cloned_IsTheSnapshots", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			err := f.disk.Clone(ctx, source, name, target, size)
			if err == nil {
				f.setData(target.Key, f.dataOf(source.Key))
			}
			return err
		}
	}),
	"clone writes through to the snapshot": clonePlant("Content_OfCloneAndSource_AreIndependent", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			err := f.disk.Clone(ctx, source, name, target, size)
			unlock, _ := f.lock(target.Key)
			defer unlock()
			if err == nil {
				f.data[target.Key] = f.kept[snapshotKey{source.Key, name}]
			}
			return err
		}
	}),
	"clone of a clone is empty": clonePlant("Content_CloneOfAClone_IsItsSnapshots", func(f *faulty) cloneFunc {
		return func(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
			err := f.disk.Clone(ctx, source, name, target, size)
			if err == nil && source.Key.Name[0] == 'c' {
				f.setData(target.Key, nil)
			}
			return err
		}
	}),
	"flatten empties the volume": {func(f *faulty) {
		f.flatten = func(ctx context.Context, ref backends.Ref) error {
			f.setData(ref.Key, nil)
			return f.disk.Flatten(ctx, ref)
		}
	}, "Content_Flattened_OutlivesTheSource"},
	"usage tells no size": {func(f *faulty) {
		f.usage = func(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
			usage, err := f.disk.Usage(ctx, ref)
			usage.Provisioned = usage.Used
			return usage, err
		}
	}, "Usage_NewVolume_IsItsSize"},
	"usage does not count": {func(f *faulty) {
		f.usage = func(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
			return f.Driver.Usage(ctx, ref)
		}
	}, "Usage_AfterWrites_CountsThem"},
	"usage of nothing is nothing": {func(f *faulty) {
		f.usage = func(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
			if _, err := f.disk.Get(ctx, ref.Key); err != nil {
				return backends.Usage{}, nil
			}
			return f.disk.Usage(ctx, ref)
		}
	}, "Usage_Missing_IsNotFound"},
	"usage ignores the id": {func(f *faulty) {
		f.usage = func(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
			return f.disk.Usage(ctx, f.actual(ctx, ref))
		}
	}, "Usage_Stranger_IsRefused"},
}

func (d *disk) dataOf(key volume.Key) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]byte{}, d.data[key]...)
}

func (d *disk) setData(key volume.Key, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.data[key] = data
}
