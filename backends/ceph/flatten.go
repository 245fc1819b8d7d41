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

// librbd's flatten leaves out the objects that the object map says to exist, and then lets
// go of the parent. But a client marks an object before it copies it up: one that is killed
// in between, in a flatten or in a write of its own, leaves a mark without an object, and
// the next flatten loses those 4 MiB. Measured with 16.2.15, a flatten that was killed and
// begun again lost some in 5 of 5 runs, also after a rebuild of the map, and in none without
// one. Ceph's pull request 61129 (end of 2024) is about that. So no flatten runs here but
// without an object map. The steps, each of which may be repeated after a kill:
//
//	distrust the maps -> disable them -> flatten -> enable them -> rebuild them
//
// The first makes good what a kill in the second or fourth leaves: features whose objects
// are gone or yet to come, for want of which a snapshot looks like half of one.

// Flatten calls rbd_flatten_with_progress with object-map and fast-diff disabled; see
// [backends.Cloner]. The feature deep-flatten makes that true of the volume's snapshots too.
// If a client has librbd's lock, that client copies. A client that does not let go of the
// object map is named by a BlockedError, and nothing has been copied.
//
// Each operation is bounded by the timeouts, the whole only by the volume's size. It ends
// soon after the context, unless another client copies or the maps are being rebuilt; then
// the maps stay disabled or invalid, which costs time and no data, until a repeat.
func (d *driver) Flatten(ctx context.Context, ref backends.Ref) error {
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		if h.parent {
			if err := c.flatten(ctx, h); err != nil {
				return err
			}
		}
		return d.enableMaps(ctx, c, h.id)
	})
}

// flatten copies what is the parent's, if there is one.
func (c *conn) flatten(ctx context.Context, h header) error {
	if has, err := c.hasParent(h.id); err != nil || !has {
		return err
	}
	if err := c.disableMaps(h); err != nil {
		return err
	}
	return c.edit(h.id, flatten(ctx))
}

// hasParent asks librbd: what is left of a parent in the header may belong to nothing.
func (c *conn) hasParent(id string) (has bool, err error) {
	err = c.look(id, func(image *rbd.Image) error {
		_, err := image.GetParent()
		if absent(err) {
			return nil
		}
		has = err == nil
		return err
	})
	return has, err
}

// disableMaps calls rbd_update_features, and returns nil only if there is no object map
// after it. A client with librbd's lock does it itself, and so knows of it.
func (c *conn) disableMaps(h header) error {
	if h.features&mapFeatures == 0 {
		return nil
	}
	if err := c.distrust(h.id); err != nil {
		return err
	}
	err := c.edit(h.id, func(image *rbd.Image) error {
		const enable = false
		err := image.UpdateFeatures(h.features&mapFeatures, enable)
		if err != nil {
			err = fmt.Errorf("disable the object map: %w", err)
		}
		if is(err, syscall.EROFS, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.ETIMEDOUT) { // who has the lock refuses, or is silent
			if blocked := c.unwatched(image); blocked != nil {
				err = fmt.Errorf("%w: %w", blocked, err)
			}
		}
		return err
	})
	now, lookErr := c.header(h.id)
	switch {
	case lookErr != nil:
		return lookErr
	case now.features&mapFeatures == 0: // whoever did it
		return nil
	case err != nil:
		return err
	}
	return backends.Errorf(volume.Busy, "object map was enabled again by somebody else")
}

// enableMaps gives the image the maps again that ours have, and rebuilds those that are not
// trusted. It does nothing in a volume where nothing is amiss.
func (d *driver) enableMaps(ctx context.Context, c *conn, id string) error {
	h, err := c.header(id)
	if err != nil {
		return err
	}
	if missing := uint64(d.features) & mapFeatures &^ h.features; missing != 0 {
		err := c.edit(id, func(image *rbd.Image) error {
			const enable = true
			return image.UpdateFeatures(missing, enable)
		})
		if err != nil {
			return fmt.Errorf("enable the object map: %w", err)
		}
	}
	// The head's map is the last to be rebuilt: if it is trusted, all are.
	flags, err := c.flags(id, head)
	if err != nil || flags&(mapInvalid|diffInvalid) == 0 {
		return err
	}
	return c.rebuildDistrusted(ctx, id)
}
