package local

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Clone makes an image of its own out of the snapshot's file, which it opens first: so it
// needs no lock of the source, whose snapshot may go meanwhile. A snapshot that is made
// anew at the same moment is Busy; see [backends.Cloner].
func (d *Driver) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	if err := cmp.Or(source.Validate(), name.Validate()); err != nil {
		return err
	}
	held, err := d.begin(ctx, target)
	if err != nil {
		return err
	}
	defer held.release()
	if done, err := d.made(target, size); done || err != nil {
		return err
	}
	from, made, err := d.openSnapshot(source, name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // nothing is written through it
	if made.Size > size {
		return backends.Errorf(volume.FailedPrecondition, "snapshot %s has size %s, a clone cannot have %s", name, made.Size, size)
	}
	entry := JournalEntry{Change: ChangeCreate, ID: target.ID, Size: size, Source: source.Key.String() + "@" + string(name)}
	return d.make(target, entry, func(img *image) error { return d.fill(ctx, img, from, made.Size) })
}

// openSnapshot opens the file of a snapshot and returns what it holds. It returns NotFound
// if there is no such volume or snapshot, FailedPrecondition if the volume has another ID,
// and Busy if the snapshot was made anew meanwhile, unless the volume is locked.
func (d *Driver) openSnapshot(ref backends.Ref, name volume.SnapshotName) (*os.File, kept, error) {
	before, err := d.kept(ref, name)
	if err != nil {
		return nil, kept{}, err
	}
	d.meanwhile()
	file := snapshotName(ref.Key, name)
	f, openErr := d.dir.open(file, os.O_RDONLY)
	// Looked at again: the file is of this snapshot, and so whole, only if the snapshot was
	// there both before and after the opening.
	after, err := d.kept(ref, name)
	switch {
	case err != nil:
	case !before.same(after):
		err = backends.Errorf(volume.Busy, "snapshot %s was made anew at this moment", name)
	case errors.Is(openErr, fs.ErrNotExist):
		err = d.dir.lost(file)
	default:
		err = openErr
	}
	if err == nil {
		err = d.wholeSnapshot(f, file, before)
	}
	if err != nil {
		if openErr == nil {
			_ = f.Close() // nothing was written through it
		}
		return nil, kept{}, err
	}
	return f, before, nil
}

// wholeSnapshot returns Internal if the file is shorter than what it is to hold.
func (d *Driver) wholeSnapshot(f *os.File, name string, made kept) error {
	info, err := f.Stat()
	if err != nil {
		return d.dir.fault(err)
	}
	return d.dir.damaged(name, volume.Bytes(info.Size()), made.Size)
}

// kept returns a snapshot of a volume as its sidecar tells it.
func (d *Driver) kept(ref backends.Ref, name volume.SnapshotName) (kept, error) {
	found, err := d.own(ref)
	if err != nil {
		return kept{}, err
	}
	return found.snapshot(name)
}

// Flatten does nothing to the object: a clone is whole from the start; see
// [backends.Cloner].
func (d *Driver) Flatten(ctx context.Context, ref backends.Ref) error {
	object, _, err := d.take(ctx, ref)
	if err != nil {
		return err
	}
	object.release()
	return nil
}

// Children returns none for every snapshot that is there; see [backends.Cloner].
func (d *Driver) Children(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
	if err := cmp.Or(d.readyFor(ctx, ref), name.Validate()); err != nil {
		return nil, err
	}
	_, err := d.kept(ref, name)
	return nil, err
}
