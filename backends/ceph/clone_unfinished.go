//go:build ceph

package ceph

import (
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// unfinished reports whether a clone that is not marked for the volume of its name is what
// a killed Clone left: its metadata is nobody's or, because rbd_clone3 copies the parent's
// at the end, that of the volume which it was cloned from; and there is nothing in it that
// somebody could miss. It returns the errors of driver.half.
func (d *driver) unfinished(c *conn, h header) (bool, error) {
	if h.snapshots || len(h.holders.lockers) > 0 {
		return false, nil
	}
	unused := false
	err := c.look(h.id, func(image *rbd.Image) error {
		if copied, err := copiedMark(image, h.mark); !copied || err != nil {
			return err
		}
		var err error
		unused, err = c.unused(image, h.size)
		return err
	})
	return unused, err
}

// copiedMark reports whether an image has no mark or its parent's.
func copiedMark(image *rbd.Image, m mark) (bool, error) {
	if m.none() {
		return true, nil
	}
	key, marked := m.key()
	if !marked {
		return false, nil
	}
	parent, err := image.GetParent() // rbd_get_parent
	if absent(err) {                 // it was flattened: somebody uses it
		return false, nil
	}
	return err == nil && parent.Image.ImageName == imageName(key), err
}

// unfinishedClone is ENOENT for what a killed Clone left, and the refusal of a stranger's.
func (d *driver) unfinishedClone(c *conn, name string, h header) error {
	switch unfinished, err := d.unfinished(c, h); {
	case unfinished: // also while somebody has it open
		return errAbsent
	case err != nil:
		return err
	}
	return foreign(volume.FailedPrecondition, name, h.mark)
}

// removeUnfinished makes room for the key's volume: it removes what a killed Clone left,
// and refuses a stranger's.
func (d *driver) removeUnfinished(c *conn, key volume.Key, h header) error {
	name := imageName(key)
	switch unfinished, err := d.unfinished(c, h); {
	case absent(err):
		return backends.Errorf(volume.Busy, "image %s is being removed", name)
	case err != nil:
		return err
	case !unfinished:
		return foreign(volume.AlreadyExists, name, h.mark)
	}
	return d.remove(c, name)
}

// removeHalf is removeUnfinished for what a killed Create left, or a Clone before the
// image had its parent.
func (d *driver) removeHalf(c *conn, name string, h header) error {
	switch half, err := d.half(c, h); {
	case absent(err):
		return backends.Errorf(volume.Busy, "image %s is being removed", name)
	case err != nil:
		return err
	case !half:
		return foreign(volume.AlreadyExists, name, h.mark)
	}
	return d.remove(c, name)
}

// deleteUnfinished removes what a killed Clone left, and leaves a stranger's alone.
func (d *driver) deleteUnfinished(c *conn, name string, h header) error {
	unfinished, err := d.unfinished(c, h)
	if err != nil && !absent(err) || err == nil && !unfinished {
		return err
	}
	return d.remove(c, name)
}
