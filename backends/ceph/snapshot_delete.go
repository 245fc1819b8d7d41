//go:build ceph

package ceph

import (
	"context"
	"errors"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// DeleteSnapshot calls rbd_snap_remove; see [backends.Snapshotter]. A snapshot that
// somebody has protected, which clones of format 1 need, is unprotected first. Of a
// snapshot with clones of format 2 librbd would keep the data in the image's trash and
// call it removed; here it is refused. A clone that is made at the same moment may still
// bring that about, which harms neither.
func (d *driver) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.find(c, ref.Key)
		switch {
		case absent(err):
			return nil
		case err != nil:
			return err
		case h.mark.id != ref.ID, !h.snapshots:
			return nil
		}
		err = d.deleteSnapshot(c, h.id, name)
		if absent(err) || errors.Is(err, errNoSnapshot) {
			return nil
		}
		return err
	})
}

func (d *driver) deleteSnapshot(c *conn, id string, name volume.SnapshotName) error {
	found, err := c.snapshot(id, name)
	if err != nil {
		return err
	}
	children, err := d.childrenOf(c, id, name)
	if err != nil {
		return err
	}
	if err := backends.Blocked(childBlockers(children)...); err != nil {
		return err
	}
	err = c.edit(id, func(image *rbd.Image) error {
		snapshot := image.GetSnapshot(string(name))
		if found.Protected {
			// EINVAL: somebody else has unprotected it.
			if err := snapshot.Unprotect(); err != nil && !is(err, syscall.EINVAL) {
				return err
			}
		}
		return snapshot.Remove()
	})
	if is(err, syscall.EBUSY) { // a clone of format 1 was quicker, or it was protected
		return backends.Errorf(volume.Busy, "snapshot %s came into use: %w", name, err)
	}
	return err
}

// childrenOf returns the clones of one snapshot.
func (d *driver) childrenOf(c *conn, id string, name volume.SnapshotName) ([]child, error) {
	image, err := rbd.OpenImageByIdReadOnly(c.io, id, string(name))
	if err != nil {
		return nil, err
	}
	defer image.Close() //nolint:errcheck // nothing was written
	return d.children(c, image)
}
