//go:build ceph

package ceph

import (
	"context"
	"slices"
	"strings"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Children returns the volumes that need the snapshot; see [backends.Cloner]. Clones that
// are not ours, or in another pool, are named by DeleteSnapshot's error only.
func (d *driver) Children(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
	var keys []volume.Key
	err := d.use(ctx, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		if _, err := c.snapshot(h, name); err != nil {
			return err
		}
		children, err := d.childrenOf(c, h.id, name)
		for _, one := range children {
			if one.ours {
				keys = append(keys, one.key)
			}
		}
		return err
	})
	slices.SortFunc(keys, func(a, b volume.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys, err
}

// Flatten calls rbd_flatten_with_progress; see [backends.Cloner]. The feature deep-flatten makes that
// true of the volume's snapshots too. If a client has librbd's lock, that client copies.
// Each operation is bounded by the timeouts, the whole only by the volume's size. It ends
// soon after the context, unless another client copies.
func (d *driver) Flatten(ctx context.Context, ref backends.Ref) error {
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil || !h.parent {
			return err
		}
		if has, err := c.hasParent(h.id); err != nil || !has {
			return err
		}
		return c.edit(h.id, flatten(ctx))
	})
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
