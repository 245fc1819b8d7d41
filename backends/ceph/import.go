//go:build ceph

package ceph

import (
	"context"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var _ backends.Importer = (*driver)(nil)

// Release and Import rename the image (rbd_rename), which for librbd is three changes: it
// makes rbd_id.<new>, changes the pool's directory, and removes rbd_id.<old>. Before that the
// other name is written beside the mark, and while it stands there the directory alone says
// what the image is called. So its change is the step with which the object is gone or is
// there. Killed before it, rbd_id.<new> is left, killed after it, rbd_id.<old>: a name that
// leads to the image and is not in the directory. A repeat removes it.

// Release renames the image, which keeps its data and loses its mark; see [backends.Importer].
// A name that begins like those of jetvol's images is FailedPrecondition.
func (d *driver) Release(ctx context.Context, ref backends.Ref, name volume.Image) error {
	if err := foreignName(name); err != nil {
		return err
	}
	return d.change(ctx, ref, func(c *conn) error { return d.release(c, ref, string(name)) })
}

func (d *driver) release(c *conn, ref backends.Ref, name string) error {
	h, err := d.find(c, ref.Key)
	switch {
	case absent(err), err == nil && h.mark.id != ref.ID:
		return d.released(c, ref, name)
	case err != nil:
		return err
	case h.parent:
		return backends.Errorf(volume.FailedPrecondition, "image %s is a clone, and its parent needs to know it", imageName(ref.Key))
	}
	if err := d.clear(c, h); err != nil {
		return err
	}
	if err := c.makeWay(name, h.id); err != nil {
		return err
	}
	if err := c.setForeign(h.id, ref, volume.Image(name)); err != nil {
		return err
	}
	if err := c.rename(h.id, imageName(ref.Key), name); err != nil {
		return err
	}
	return d.released(c, ref, name)
}

// released is the end of a Release: there is an image of the name, and if it is still marked
// as ref's, the mark goes.
func (d *driver) released(c *conn, ref backends.Ref, name string) error {
	id, err := c.listed(name)
	var h header
	if err == nil {
		h, err = c.header(id)
	}
	switch {
	case absent(err):
		if err := d.confirmAbsence(c); err != nil {
			return err
		}
		return backends.Errorf(volume.NotFound, "neither %s is here nor an image %s", ref.ID, name)
	case err != nil:
		return err
	case h.mark.id != ref.ID:
		return nil
	}
	if err := c.forget(imageName(ref.Key), id); err != nil {
		return err
	}
	return c.clearMark(id)
}

// Import marks the image and renames it; see [backends.Importer]. A clone is refused with
// FailedPrecondition.
func (d *driver) Import(ctx context.Context, ref backends.Ref, name volume.Image) (size volume.Bytes, err error) {
	if err := foreignName(name); err != nil {
		return 0, err
	}
	err = d.change(ctx, ref, func(c *conn) error {
		size, err = d.takeIn(c, ref, string(name))
		return err
	})
	return size, err
}

// Importable reads the image; see [backends.Importer].
func (d *driver) Importable(ctx context.Context, ref backends.Ref, name volume.Image) (found backends.Candidate, err error) {
	if err := foreignName(name); err != nil {
		return found, err
	}
	err = d.use(ctx, func(c *conn) error {
		h, err := d.find(c, ref.Key)
		switch {
		case absent(err):
			h, err = d.importable(c, ref, string(name))
		case err == nil && h.mark.id != ref.ID:
			err = backends.Errorf(volume.AlreadyExists, "another volume is here: %s", h.mark.id)
		}
		if err == nil {
			found = backends.Candidate{Size: h.size, Becomes: imageName(ref.Key)}
		}
		return err
	})
	return found, err
}

func (d *driver) takeIn(c *conn, ref backends.Ref, name string) (volume.Bytes, error) {
	h, err := d.find(c, ref.Key)
	switch {
	case absent(err):
		if h, err = d.importable(c, ref, name); err != nil {
			return 0, err
		}
		if err := d.moveIn(c, ref, name, h); err != nil {
			return 0, err
		}
	case err != nil:
		return 0, err
	case h.mark.id != ref.ID:
		return 0, backends.Errorf(volume.AlreadyExists, "another volume is here: %s", h.mark.id)
	case h.mark.foreign == "":
		return h.size, nil
	}
	if err := c.forget(name, h.id); err != nil {
		return 0, err
	}
	return h.size, c.clearMetadata(h.id, foreignKey)
}

// importable returns the image of the foreign name if it can become ref's. One whose Release
// was killed before its end still has its mark.
func (d *driver) importable(c *conn, ref backends.Ref, name string) (header, error) {
	id, err := c.listed(name)
	var h header
	if err == nil {
		h, err = c.header(id)
	}
	switch {
	case absent(err):
		if err := d.confirmAbsence(c); err != nil {
			return h, err
		}
		return h, backends.Errorf(volume.NotFound, "no image %s", name)
	case err != nil:
		return h, err
	case !h.mark.none() && h.mark.id != ref.ID && h.mark.foreign != name:
		return h, foreign(volume.FailedPrecondition, name, h.mark)
	case h.parent:
		return h, backends.Errorf(volume.FailedPrecondition, "image %s is a clone: flatten it first", name)
	}
	if err := h.size.ValidateSize(); err != nil {
		return h, backends.Errorf(volume.FailedPrecondition, "image %s cannot be a volume: %v", name, err)
	}
	return h, d.blocked(c, h.id, h.holders.attachments(), nil)
}

// moveIn gives the image its mark and its name. What a killed Create left of the name goes.
func (d *driver) moveIn(c *conn, ref backends.Ref, name string, h header) error {
	if h.snapshots { // remains of them: importable has seen none
		if err := d.sweep(c, h.id); err != nil {
			return err
		}
	}
	own := imageName(ref.Key)
	switch _, err := c.anything(own); {
	case err == nil:
		if err := d.remove(c, own); err != nil {
			return err
		}
	case !absent(err):
		return err
	}
	if err := c.makeWay(own, h.id); err != nil {
		return err
	}
	if err := c.setForeign(h.id, ref, volume.Image(name)); err != nil {
		return err
	}
	return c.rename(h.id, name, own)
}

// foreignName refuses the names that are jetvol's.
func foreignName(name volume.Image) error {
	if err := name.Validate(); err != nil {
		return err
	}
	if strings.HasPrefix(string(name), imagePrefix) {
		return backends.Errorf(volume.FailedPrecondition, "image name %s: names that begin with %q are jetvol's", name, imagePrefix)
	}
	return nil
}

// rename calls rbd_rename, which needs librbd's lock; see conn.edit.
func (c *conn) rename(id, from, to string) error {
	if _, err := c.shutOutDead(id); err != nil {
		return err
	}
	err := rbd.GetImage(c.io, from).Rename(to)
	switch {
	case is(err, syscall.EEXIST):
		return taken(to)
	case is(err, syscall.EROFS):
		return backends.Errorf(volume.Busy, "client with librbd's lock does not answer: %w", err)
	}
	return err
}

func taken(name string) error {
	return backends.Errorf(volume.FailedPrecondition, "image %s: exists already", name)
}

// makeWay refuses a name that another image has, and removes what a killed rename of this one
// left of it.
func (c *conn) makeWay(name, id string) error {
	switch _, err := c.listed(name); {
	case err == nil:
		return taken(name)
	case !absent(err):
		return err
	}
	switch found, err := c.named(name); {
	case absent(err):
		return nil
	case err != nil:
		return err
	case found != id:
		return taken(name)
	}
	return c.forget(name, id)
}

// forget removes a name that leads to the image and is not in the pool's directory.
func (c *conn) forget(name, id string) error {
	found, err := c.named(name)
	if err == nil && found == id {
		if _, err = c.listed(name); err == nil {
			return backends.Errorf(volume.Busy, "image %s is being renamed by somebody else", name)
		}
		if absent(err) {
			err = c.io.Delete(idObject + name)
		}
	}
	if absent(err) {
		return nil
	}
	return err
}

// isListed returns ENOENT unless the pool's directory has the image under the name.
func (c *conn) isListed(name, id string) error {
	found, err := c.listed(name)
	if err == nil && found != id {
		err = errAbsent
	}
	return err
}

// enlistUnlessForeign enters an image whose name is not in the directory, or removes the name
// if the image has another one by now: ENOENT.
func (c *conn) enlistUnlessForeign(name, id string) error {
	h, err := c.header(id)
	if err == nil && h.mark.foreign != "" {
		if err := c.forget(name, id); err != nil {
			return err
		}
		return errAbsent
	}
	return c.enlist(name, id)
}
