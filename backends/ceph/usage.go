//go:build ceph

package ceph

import (
	"context"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Usage asks the object maps which objects the volume and each of its snapshots have of
// their own, and counts them whole (rbd_diff_iterate2, made fast by the feature fast-diff);
// see [backends.UsageReporter]. So a byte written counts as 4 MiB. What only a snapshot in
// the trash has is not counted.
func (d *driver) Usage(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
	var usage backends.Usage
	err := d.use(ctx, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		usage = backends.Usage{Provisioned: h.size}
		var listed []backends.Snapshot
		if h.snapshots {
			if err := c.look(h.id, func(image *rbd.Image) (err error) {
				listed, err = snapshotsOf(image)
				return err
			}); err != nil {
				return err
			}
		}
		usage.Used, err = c.used(h, listed)
		return err
	})
	return usage, err
}

// used adds up what each snapshot, and at last the image, has since the one before.
func (c *conn) used(h header, listed []backends.Snapshot) (volume.Bytes, error) {
	var sum volume.Bytes
	before := rbd.NoSnapshot
	for _, one := range append(listed, backends.Snapshot{Name: rbd.NoSnapshot, Size: h.size}) {
		used, err := c.changed(h.id, before, one)
		if err != nil {
			return 0, err
		}
		sum += used
		before = string(one.Name)
	}
	return sum, nil
}

// changed is the space of the objects that came or changed between two states.
func (c *conn) changed(id, from string, to backends.Snapshot) (volume.Bytes, error) {
	var sum uint64
	diff := rbd.DiffIterateConfig{
		SnapName:    from,
		Length:      uint64(to.Size), //nolint:gosec // sizes are not negative
		WholeObject: rbd.EnableWholeObject,
		Callback: func(_, length uint64, exists int, _ any) int {
			if exists != 0 {
				sum += length
			}
			return 0
		},
	}
	err := c.lookAt(id, string(to.Name), func(image *rbd.Image) error { return image.DiffIterate(diff) })
	return volume.Bytes(sum), err
}
