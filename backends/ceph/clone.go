//go:build ceph

package ceph

import (
	"context"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// cloneFormat is that of all clones. Format 2 needs no protected snapshot. Left alone,
// librbd takes it only if the cluster was told that all clients are of Mimic (2018) or
// later (`ceph osd set-require-min-compat-client mimic`), and format 1 otherwise; told so,
// it always does. Clients before Mimic cannot open such a clone.
const cloneFormat = 2

// Clone calls rbd_clone3, gives the image its size and then its mark; see
// [backends.Cloner]. Killed before the mark, a clone is left that nobody takes for a
// volume, which the next Clone or Create makes anew and Delete removes; see
// driver.unfinished.
func (d *driver) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	if size > maxSize {
		return backends.Errorf(volume.ResourceExhausted, "size %s: RBD keeps an object map for up to %s", size, maxSize)
	}
	return d.change(ctx, target, func(c *conn) error {
		done, err := d.cloned(c, target, size)
		if done || err != nil {
			return err
		}
		parent, err := d.own(c, source)
		if err != nil {
			return err
		}
		from, err := c.snapshot(parent, name)
		if err != nil {
			return err
		}
		if from.Size > size {
			return backends.Errorf(volume.FailedPrecondition, "snapshot %s has size %s, a clone cannot have %s", name, from.Size, size)
		}
		return d.clone(c, imageName(source.Key), from, target, size)
	})
}

// cloned reports whether the target is there already, and refuses what is there in its
// place. What a killed call left is removed.
func (d *driver) cloned(c *conn, target backends.Ref, size volume.Bytes) (bool, error) {
	name := imageName(target.Key)
	h, err := c.anything(name)
	switch {
	case absent(err):
		return false, nil
	case err != nil:
		return false, err
	case h.parent && !h.mark.owns(target.Key):
		return false, d.removeUnfinished(c, target.Key, h)
	case h.mark.none():
		return false, d.removeHalf(c, name, h)
	case !h.mark.owns(target.Key):
		return false, foreign(volume.AlreadyExists, name, h.mark)
	case h.mark.id != target.ID:
		return false, backends.Errorf(volume.AlreadyExists, "another volume is here: %s", h.mark.id)
	case h.size != size:
		return false, backends.Errorf(volume.FailedPrecondition, "exists with size %s, not %s", h.size, size)
	}
	return true, nil
}

func (d *driver) clone(c *conn, parent string, from backends.Snapshot, target backends.Ref, size volume.Bytes) error {
	name := imageName(target.Key)
	err := d.makeClone(c, parent, from.Name, name)
	if is(err, syscall.EEXIST) { // without a header: half made or half removed
		if err := d.remove(c, name); err != nil {
			return err
		}
		err = d.makeClone(c, parent, from.Name, name)
	}
	switch {
	case is(err, syscall.EEXIST):
		return backends.Errorf(volume.Busy, "image %s is being made by somebody else: %w", name, err)
	case absent(err): // the snapshot went meanwhile
		return fmt.Errorf("%w: %w", errNoSnapshot, err)
	case err != nil:
		return err
	}
	if size > from.Size {
		id, err := c.named(name)
		if err != nil {
			return err
		}
		if err := c.grow(id, size); err != nil {
			return err
		}
	}
	return d.markNamed(c, name, target)
}

// makeClone calls rbd_clone3. It returns EEXIST for an image of that name, also for half
// of one, and ENOENT if the snapshot is not there.
func (d *driver) makeClone(c *conn, parent string, from volume.SnapshotName, name string) error {
	options, err := d.imageOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	if err := options.SetUint64(rbd.ImageOptionCloneFormat, cloneFormat); err != nil {
		return misconfigured(err, "clone format %d", cloneFormat)
	}
	return rbd.CloneImage(c.io, parent, string(from), c.io, name, options)
}
