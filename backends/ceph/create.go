//go:build ceph

package ceph

import (
	"context"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// maxSize is the largest image that can have an object map: 256,000,000 objects of 4 MiB
// (cls_rbd::MAX_OBJECT_MAP_OBJECT_COUNT).
const maxSize = 256_000_000 * 4 * volume.MiB

// Create makes an image and gives it its mark; see [backends.Driver]. Killed between, an
// image without a mark is left, which the next Create marks and Delete removes; see
// driver.half.
func (d *driver) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if size > maxSize {
		return backends.Errorf(volume.ResourceExhausted, "size %s: RBD keeps an object map for up to %s", size, maxSize)
	}
	return d.change(ctx, ref, func(c *conn) error { return d.create(c, ref, size) })
}

func (d *driver) create(c *conn, ref backends.Ref, size volume.Bytes) error {
	name := imageName(ref.Key)
	// No look first: librbd does that itself.
	err := d.makeImage(c, name, size)
	switch {
	case err == nil:
		return d.markNamed(c, name, ref)
	case is(err, syscall.EEXIST):
		return d.createOver(c, ref, size)
	}
	return err
}

// makeImage calls rbd_create4. It returns EEXIST for an image of that name, also for half
// of one.
func (d *driver) makeImage(c *conn, name string, size volume.Bytes) error {
	options, err := d.imageOptions()
	if err != nil {
		return err
	}
	defer options.Destroy()
	err = rbd.CreateImage(c.io, name, uint64(size), options) //nolint:gosec // the Backend lets no negative size through
	if err == nil || is(err, syscall.EEXIST) {
		return err
	}
	return misconfigured(err, "create image %s in pool %s, data pool %q", name, d.cfg.Pool, d.cfg.DataPool)
}

// imageOptions are those of every new image. The caller destroys them.
func (d *driver) imageOptions() (*rbd.ImageOptions, error) {
	options := rbd.NewRbdImageOptions()
	if err := options.SetUint64(rbd.ImageOptionFeatures, uint64(d.features)); err != nil {
		options.Destroy()
		return nil, misconfigured(err, "features %v", d.cfg.Features)
	}
	if d.cfg.DataPool == "" {
		return options, nil
	}
	if err := options.SetString(rbd.ImageOptionDataPool, d.cfg.DataPool); err != nil {
		options.Destroy()
		return nil, misconfigured(err, "data pool %s", d.cfg.DataPool)
	}
	return options, nil
}

func (d *driver) markNamed(c *conn, name string, ref backends.Ref) error {
	id, err := c.named(name)
	if err == nil {
		err = c.setMark(id, ref)
	}
	if absent(err) {
		return backends.Errorf(volume.Busy, "image %s was removed while it was made", name)
	}
	return err
}

// createOver is create where there is something under the name already.
func (d *driver) createOver(c *conn, ref backends.Ref, size volume.Bytes) error {
	name := imageName(ref.Key)
	h, err := c.anything(name)
	switch {
	case absent(err):
		return d.remake(c, ref, size)
	case err != nil:
		return err
	case h.parent && !h.mark.owns(ref.Key):
		if err := d.removeUnfinished(c, ref.Key, h); err != nil {
			return err
		}
		return d.remake(c, ref, size)
	case h.mark.none():
		return d.createOverUnmarked(c, ref, size, h)
	case !h.mark.owns(ref.Key):
		return foreign(volume.AlreadyExists, name, h.mark)
	case h.mark.id != ref.ID:
		return backends.Errorf(volume.AlreadyExists, "another volume is here: %s", h.mark.id)
	case h.size != size:
		return backends.Errorf(volume.FailedPrecondition, "exists with size %s, not %s", h.size, size)
	}
	return nil
}

func (d *driver) createOverUnmarked(c *conn, ref backends.Ref, size volume.Bytes, h header) error {
	half, err := d.half(c, h)
	switch {
	case absent(err):
		return backends.Errorf(volume.Busy, "image %s is being removed", imageName(ref.Key))
	case err != nil:
		return err
	case !half:
		return foreign(volume.AlreadyExists, imageName(ref.Key), h.mark)
	case h.size != size:
		return d.remake(c, ref, size)
	}
	// The object map comes last. Without it all works, and removing takes minutes.
	switch _, err := c.io.Stat(objectMapObject + h.id); {
	case absent(err):
		return d.remake(c, ref, size)
	case err != nil:
		return err
	}
	return c.setMark(h.id, ref)
}

// remake removes what a killed or timed-out call left of an image, and creates again.
func (d *driver) remake(c *conn, ref backends.Ref, size volume.Bytes) error {
	name := imageName(ref.Key)
	if err := d.remove(c, name); err != nil {
		return err
	}
	err := d.makeImage(c, name, size)
	switch {
	case err == nil:
		return d.markNamed(c, name, ref)
	case is(err, syscall.EEXIST):
		return backends.Errorf(volume.Busy, "image %s is being made by somebody else: %w", name, err)
	}
	return err
}

// anything reads the header of whatever is under the name. It returns ENOENT for nothing
// and for an image without a header, half made or half removed.
func (c *conn) anything(name string) (header, error) {
	id, err := c.listed(name)
	if absent(err) {
		// A removal has met a create in the middle. librbd removes what is listed only.
		if id, err = c.named(name); err == nil {
			err = c.enlistUnlessForeign(name, id)
		}
	}
	if err != nil {
		return header{}, err
	}
	return c.header(id)
}

// half reports whether an image without a mark is what a killed Create left: under our
// name, with our features, and without anything that somebody could miss: no snapshot, no
// reservation, not one object of data. It returns ENOENT if the image goes meanwhile, and
// a BlockedError while somebody has it open: a Clone that is in progress, or was killed
// less than 30 s ago, or a stranger.
func (d *driver) half(c *conn, h header) (bool, error) {
	const dataPool = 1 << 7 // RBD_FEATURE_DATA_POOL is set by librbd for Config.DataPool
	if h.features&^dataPool != uint64(d.features) || h.snapshots || len(h.holders.lockers) > 0 {
		return false, nil
	}
	unused := false
	err := c.look(h.id, func(image *rbd.Image) (err error) {
		unused, err = c.unused(image, h.size)
		return err
	})
	return unused, err
}

// unused reports whether an image has no data; see half for an empty one that is open.
func (c *conn) unused(image *rbd.Image, size volume.Bytes) (bool, error) {
	data, err := hasData(image, size)
	if err != nil || data {
		return false, err
	}
	return true, c.unwatched(image)
}

// hasData asks the object map (rbd_diff_iterate2 for whole objects, from the beginning).
func hasData(image *rbd.Image, size volume.Bytes) (bool, error) {
	found := false
	err := image.DiffIterate(rbd.DiffIterateConfig{
		Length:      uint64(size), //nolint:gosec // sizes are not negative
		WholeObject: rbd.EnableWholeObject,
		Callback: func(_, _ uint64, _ int, _ any) int {
			found = true
			return stopIteration
		},
	})
	if found {
		return true, nil // the error is the one that our callback returned
	}
	return false, err
}

// stopIteration is any negative number: rbd_diff_iterate2 ends with it.
const stopIteration = -int(syscall.ECANCELED)
