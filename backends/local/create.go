package local

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Create makes an image and a sidecar; see [backends.Driver].
func (d *Driver) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	held, err := d.begin(ctx, ref)
	if err != nil {
		return err
	}
	defer held.release()
	if done, err := d.made(ref, size); done || err != nil {
		return err
	}
	entry := JournalEntry{Change: ChangeCreate, ID: ref.ID, Size: size}
	return d.make(ref, entry, func(*image) error { return nil })
}

// made reports whether there is an object of that ID and size, and refuses any other.
func (d *Driver) made(ref backends.Ref, size volume.Bytes) (bool, error) {
	found, err := d.load(ref.Key)
	switch {
	case errors.Is(err, volume.NotFound):
		return false, nil
	case err != nil:
		return false, err
	case found.ID != ref.ID:
		return false, backends.Errorf(volume.AlreadyExists, "another volume is here: %s", found.ID)
	case found.Size != size:
		return false, backends.Errorf(volume.FailedPrecondition, "exists with size %s, not %s", found.Size, size)
	}
	// A missing image is lost data, which an empty new one would hide.
	whole, err := d.dir.exists(imageName(ref.Key))
	switch {
	case err != nil:
		return false, err
	case !whole:
		return false, d.dir.lost(imageName(ref.Key))
	}
	return true, d.dir.sync()
}

// make makes an object that is not there, and whose image fill gives its content.
func (d *Driver) make(ref backends.Ref, entry JournalEntry, fill func(*image) error) error {
	// What a release left would be an object again as soon as there is an image.
	if err := d.dir.discardImage(sidecarName(ref.Key)); err != nil {
		return err
	}
	// What an unfinished restore of an earlier life left only takes space.
	if err := d.dir.discardImage(restoredName(ref.Key)); err != nil {
		return err
	}
	img, err := d.openOrMakeImage(ref.Key)
	if err != nil {
		return err
	}
	defer img.close()
	// The image may be what is left of an earlier life: none of its data may show.
	if err := img.truncate(0); err != nil {
		return err
	}
	if err := fill(img); err != nil {
		return errors.Join(err, d.removeImage(ref.Key)) // it may have filled the disk
	}
	if err := img.resize(entry.Size); err != nil {
		return err
	}
	// The image's entry must be durable before the sidecar's.
	if err := d.dir.sync(); err != nil {
		return err
	}
	if err := d.store(ref.Key, newSidecar(ref, entry.Size)); err != nil {
		return err
	}
	return d.record(entry, ref.Key)
}
