package local

import (
	"context"
	"errors"
	"io/fs"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Restore copies the snapshot to a new file, decides in the sidecar that this is the
// content, and then puts it in the image's place; see [backends.Snapshotter]. A client that
// was not told of, and has the old image open, goes on with that.
func (d *Driver) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if err := name.Validate(); err != nil {
		return err
	}
	object, found, err := d.take(ctx, ref)
	if err != nil {
		return err
	}
	defer object.release()
	if err := backends.Blocked(backends.Holders(found.Attachments)...); err != nil {
		return err
	}
	from, made, err := d.openSnapshot(ref, name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // nothing is written through it
	if err := d.copyImage(ctx, restoredName(ref.Key), fileMode, from, made.Size); err != nil {
		return err
	}
	found.Size, found.Restored = made.Size, true
	if err := d.store(ref.Key, found); err != nil {
		return err
	}
	if err := d.finishRestore(ref.Key, &found); err != nil {
		return err
	}
	return d.record(JournalEntry{Change: ChangeRestore, ID: ref.ID, Size: made.Size, Snapshot: name}, ref.Key)
}

// finishRestore puts the file of a restore that was decided in the image's place. The
// volume's lock is held.
func (d *Driver) finishRestore(key volume.Key, found *sidecar) error {
	if !found.Restored {
		return nil
	}
	d.dir.step()
	// Missing: another call was killed after this step.
	if err := d.dir.root.Rename(restoredName(key), imageName(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.dir.fault(err)
	}
	// In place before the sidecar says so.
	if err := d.dir.sync(); err != nil {
		return err
	}
	found.Restored = false
	return d.store(key, *found)
}
