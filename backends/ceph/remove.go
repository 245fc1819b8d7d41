//go:build ceph

package ceph

import (
	"fmt"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// remove calls rbd_remove, which also clears away what is left of half an image. It moves
// the image to the pool's trash, where nobody finds it any more, and then removes it from
// there. Killed between, it is finished by the next remove of the name, which may be that
// of a later life: so there may be several.
func (d *driver) remove(c *conn, name string) error {
	err := rbd.RemoveImage(c.io, name)
	if err != nil && d.unlock(c, name) {
		err = rbd.RemoveImage(c.io, name)
	}
	switch {
	case err == nil:
		return d.finishRemovals(c, name)
	case absent(err):
		return d.confirmRemoval(c, name, err)
	default:
		return d.unremoved(c, name, err)
	}
}

// unlock reports whether a dead client had librbd's lock on an image that could not be
// removed, and has it no more.
func (d *driver) unlock(c *conn, name string) bool {
	id, err := c.listed(name)
	if err != nil {
		return false
	}
	dead, err := c.shutOutDead(id)
	return dead && err == nil // otherwise the caller tells why it could not remove it
}

// finishRemovals removes what interrupted removals of the name left in the trash.
func (d *driver) finishRemovals(c *conn, name string) error {
	left, err := c.trashed(name)
	if err != nil || left == 0 {
		return err
	}
	for range left {
		// Whoever has the name now is somebody else.
		if _, err := c.listed(name); !absent(err) {
			return err
		}
		if err := rbd.RemoveImage(c.io, name); err != nil && !absent(err) {
			return d.unremoved(c, name, err)
		}
	}
	return nil
}

// confirmRemoval returns nil if nothing is there. librbd's ENOENT, of which it is asked,
// can be false: it returns that when it cannot write to the trash of a full pool. What
// counts is the directory.
func (d *driver) confirmRemoval(c *conn, name string, cause error) error {
	_, err := c.listed(name)
	switch {
	case absent(err):
		return d.confirmAbsence(c)
	case err != nil:
		return err
	}
	return backends.Errorf(volume.Unavailable, "image %s is still there after its removal: %w", name, cause)
}

// unremoved explains why an image could not be removed.
func (d *driver) unremoved(c *conn, name string, cause error) error {
	id, err := c.listed(name)
	switch {
	case absent(err):
		return fmt.Errorf("image %s in the trash: %w", name, classify(cause))
	case err != nil:
		return fmt.Errorf("%w; and then: %w", classify(cause), err)
	}
	return d.blocked(c, id, nil, cause)
}

// confirmAbsence returns nil if the pool is the one that was opened. In a pool that was
// removed everything is absent, and so it is in its successor.
func (d *driver) confirmAbsence(c *conn) error {
	pool, err := c.cluster.GetPoolByName(d.cfg.Pool) // rados_pool_lookup
	if err == nil && pool == c.pool {
		return nil
	}
	d.conns.retire(c)
	if err != nil {
		return misconfigured(err, "pool %s", d.cfg.Pool)
	}
	return backends.Errorf(volume.Unavailable, "pool %s is another one now", d.cfg.Pool)
}

// beingRemoved is in the entry of an image that a removal put into the trash
// (TRASH_IMAGE_SOURCE_REMOVING). What people put there is theirs.
const beingRemoved = 3

// trashed counts the images of the name that a removal has put into the trash.
func (c *conn) trashed(name string) (count int, err error) {
	err = c.pages(trashObject, "id_", func(_ string, entry []byte) (bool, error) {
		d := &decoder{data: entry}
		fields := d.structure() // cls::rbd::TrashImageSpec: source, name, …
		if fields.byte() == beingRemoved && fields.text() == name {
			count++
		}
		return true, nil
	})
	return count, err
}
