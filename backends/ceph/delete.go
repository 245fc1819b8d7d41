//go:build ceph

package ceph

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Delete removes the image; see [backends.Driver]. An image that is not ours is left alone.
func (d *driver) Delete(ctx context.Context, ref backends.Ref) error {
	return d.change(ctx, ref, func(c *conn) error { return d.delete(c, ref) })
}

func (d *driver) delete(c *conn, ref backends.Ref) error {
	name := imageName(ref.Key)
	h, err := c.anything(name)
	switch {
	// It may be half made, half removed or in the trash: nothing says whose it was.
	case absent(err):
		return d.remove(c, name)
	case err != nil:
		return err
	case h.parent && !h.mark.owns(ref.Key):
		return d.deleteUnfinished(c, name, h)
	case h.mark.none():
		return d.deleteHalf(c, name, h)
	case h.mark.id != ref.ID:
		return nil
	case !h.mark.owns(ref.Key): // of a later version, which knows better
		return foreign(volume.FailedPrecondition, name, h.mark)
	case len(h.holders.lockers) > 0, h.snapshots:
		if err := d.clear(c, h); err != nil {
			return err
		}
	}
	return d.remove(c, name)
}

func (d *driver) deleteHalf(c *conn, name string, h header) error {
	half, err := d.half(c, h)
	if err != nil && !absent(err) || err == nil && !half {
		return err
	}
	return d.remove(c, name)
}
