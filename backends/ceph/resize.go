//go:build ceph

package ceph

import (
	"context"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Resize grows the image, also while a node uses it: librbd asks the client that has its
// lock to do it, and that client sees the new size. See [backends.Resizer].
func (d *driver) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if size > maxSize {
		return backends.Errorf(volume.ResourceExhausted, "size %s: RBD keeps an object map for up to %s", size, maxSize)
	}
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		switch {
		case err != nil:
			return err
		case h.size == size:
			return nil
		case h.size > size:
			return backends.Errorf(volume.FailedPrecondition, "has size %s, cannot shrink to %s", h.size, size)
		}
		return c.grow(h.id, size)
	})
}

// grow calls rbd_resize2, which refuses to shrink what somebody has grown meanwhile.
func (c *conn) grow(id string, size volume.Bytes) error {
	return c.edit(id, func(image *rbd.Image) error {
		const shrink = false
		goOn := func(_, _ uint64, _ any) int { return 0 }
		return image.Resize2(uint64(size), shrink, goOn, nil) //nolint:gosec // the Backend lets no negative size through
	})
}
