//go:build ceph

package ceph

import (
	"context"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Restore calls rbd_snap_rollback under librbd's lock, which keeps clients that open the
// image meanwhile from writing; see [backends.Snapshotter]. It copies each object that has
// changed: each operation is bounded by the timeouts, the whole only by the volume's size.
// When the context ends, Restore goes on and keeps its turn.
func (d *driver) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		if _, err := c.snapshot(h, name); err != nil {
			return err
		}
		if err := backends.Blocked(backends.Holders(h.holders.attachments())...); err != nil {
			return err
		}
		return c.rollback(ctx, h.id, name)
	})
}

func (c *conn) rollback(ctx context.Context, id string, name volume.SnapshotName) error {
	return c.edit(id, func(image *rbd.Image) error {
		// Who has it open may have the lock, and would be waited for.
		if err := c.unwatched(image); err != nil {
			return err
		}
		if err := image.LockAcquire(rbd.LockModeExclusive); err != nil {
			return err
		}
		// Who opened it in between knows nothing of the rollback yet, and reads on.
		if err := c.unwatched(image); err != nil {
			return err
		}
		return beating(ctx, image.GetSnapshot(string(name)).Rollback)
	})
}

// unwatched returns a BlockedError while a client has the image open for writing.
func (c *conn) unwatched(image *rbd.Image) error {
	watchers, err := c.watchers(image)
	if err != nil {
		return err
	}
	return backends.Blocked(watcherBlockers(watchers)...)
}
