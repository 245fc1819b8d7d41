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
		err = d.deleteSnapshot(c, h, name)
		if errors.Is(err, errNoSnapshot) {
			err = d.sweep(c, h.id) // its removal may have been killed
		}
		if absent(err) {
			return nil
		}
		return err
	})
}

func (d *driver) deleteSnapshot(c *conn, h header, name volume.SnapshotName) error {
	found, err := c.snapshot(h, name)
	switch {
	case errors.Is(err, errHalfSnapshot): // it cannot be opened, and has no children
		return c.deleteHalf(h, name)
	case err != nil:
		return err
	}
	children, err := d.childrenOf(c, h.id, name)
	if err != nil {
		return err
	}
	if err := backends.Blocked(childBlockers(children)...); err != nil {
		return err
	}
	err = c.edit(h.id, func(image *rbd.Image) error {
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

// deleteHalf is Busy if the snapshot was in the making: now it can have children.
func (c *conn) deleteHalf(h header, name volume.SnapshotName) error {
	return c.edit(h.id, func(image *rbd.Image) error {
		whole, err := c.clearHalf(image, h, name)
		if whole {
			return backends.Errorf(volume.Busy, "snapshot %s came into being", name)
		}
		return err
	})
}

// childrenOf returns the clones of one snapshot.
func (d *driver) childrenOf(c *conn, id string, name volume.SnapshotName) (found []dependant, err error) {
	err = c.lookAt(id, string(name), func(image *rbd.Image) (err error) {
		found, err = d.children(c, image)
		return err
	})
	return found, err
}

// sweep removes the snapshots that are in the trash for no reason: librbd puts each there
// first, under another name, and a kill before it goes on leaves it for ever. Those with
// clones stay; librbd removes them with the last one.
func (d *driver) sweep(c *conn, id string) error {
	left, err := c.orphans(id)
	if err != nil || len(left) == 0 {
		return err
	}
	return c.edit(id, func(image *rbd.Image) error {
		for _, number := range left {
			if err := image.RemoveSnapByID(number); err != nil && !absent(err) { // rbd_snap_remove_by_id
				return err
			}
		}
		return nil
	})
}

// orphans returns the numbers of the snapshots in the trash that no clone needs.
func (c *conn) orphans(id string) ([]uint64, error) {
	var left []uint64
	err := c.look(id, func(image *rbd.Image) error {
		infos, err := image.GetSnapshotNames()
		if err != nil {
			return err
		}
		for _, info := range infos {
			kind, err := image.GetSnapNamespaceType(info.Id)
			if err != nil {
				return err
			}
			if kind != rbd.SnapNamespaceTypeTrash {
				continue
			}
			if err := image.SetSnapByID(info.Id); err != nil {
				return err
			}
			children, err := image.ListChildrenAttributes()
			if err != nil {
				return err
			}
			if len(children) == 0 {
				left = append(left, info.Id)
			}
		}
		return nil
	})
	return left, err
}
