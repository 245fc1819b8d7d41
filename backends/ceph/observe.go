//go:build ceph

package ceph

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Get reads an image in two operations; see [backends.Driver]. An image under the name of
// the key that is not ours is FailedPrecondition, half of one is NotFound.
func (d *driver) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	var found backends.Object
	err := d.use(ctx, func(c *conn) error {
		h, err := d.find(c, key)
		if err == nil {
			found = d.object(c, key, h)
		}
		return err
	})
	return found, err
}

// find returns the image of the key, whatever life it is of.
func (d *driver) find(c *conn, key volume.Key) (header, error) {
	name := imageName(key)
	id, err := c.named(name)
	var h header
	if err == nil {
		h, err = c.header(id)
	}
	if err == nil && h.mark.foreign != "" {
		err = c.isListed(name, id)
	}
	switch {
	case err != nil:
	case h.parent && !h.mark.owns(key):
		err = d.unfinishedClone(c, name, h)
	case h.mark.none():
		err = d.unmarked(c, name, h)
	}
	switch {
	case absent(err):
		if err := d.confirmAbsence(c); err != nil {
			return header{}, err
		}
		return header{}, errAbsent
	case err != nil:
		return header{}, err
	case !h.mark.owns(key):
		return header{}, foreign(volume.FailedPrecondition, name, h.mark)
	}
	return h, nil
}

// unmarked is ENOENT for half an image, and the refusal of a stranger's.
func (d *driver) unmarked(c *conn, name string, h header) error {
	half, err := d.half(c, h)
	switch {
	case half: // also while somebody has it open
		return errAbsent
	case err != nil:
		return err
	}
	return foreign(volume.FailedPrecondition, name, h.mark)
}

// own returns the image of the key and the ID of ref.
func (d *driver) own(c *conn, ref backends.Ref) (header, error) {
	h, err := d.find(c, ref.Key)
	if err == nil && h.mark.id != ref.ID {
		err = backends.Errorf(volume.FailedPrecondition, "another volume is here: %s, not %s", h.mark.id, ref.ID)
	}
	return h, err
}

func (d *driver) object(c *conn, key volume.Key, h header) backends.Object {
	o := backends.Object{Ref: backends.Ref{Key: key, ID: h.mark.id}, Size: h.size}
	for _, held := range h.holders.attachments() {
		o.Attachments = append(o.Attachments, d.attachment(c, key, held.Node, held.Mode))
	}
	return o
}

// List tells the images in the order of their names; see [backends.Lister]. It reads the
// pool's directory, page by page, and the header of each image under our names; those
// without our mark are left out.
func (d *driver) List(ctx context.Context, yield func(backends.Object) bool) error {
	return d.use(ctx, func(c *conn) error {
		told := 0
		err := c.pages(directoryObject, namePrefix+imagePrefix, func(entry string, value []byte) (bool, error) {
			told++
			return d.tell(ctx, c, entry, value, yield)
		})
		if err == nil && told == 0 {
			return d.confirmAbsence(c)
		}
		return err
	})
}

// tell calls yield for one entry of the directory if it is ours and still there.
func (d *driver) tell(ctx context.Context, c *conn, entry string, value []byte, yield func(backends.Object) bool) (again bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	id, err := rbdString(value)
	if err != nil {
		return false, err
	}
	h, err := c.header(id)
	if absent(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	key, marked := h.mark.key()
	if !marked || imageName(key) != strings.TrimPrefix(entry, namePrefix) {
		return true, nil // a stranger's, half an image, or a copy under another name
	}
	return yield(d.object(c, key, h)), nil
}

// pageSize is how many entries are read in one operation.
const pageSize = 512

// pages calls f for the entries of an object's omap whose keys have the prefix, in the
// order of the keys, until f returns false. An object that is not there has none.
func (c *conn) pages(object, prefix string, f func(key string, value []byte) (again bool, err error)) error {
	after := ""
	for {
		page, err := c.io.GetOmapValues(object, after, prefix, pageSize)
		if err != nil && !absent(err) {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(page)) {
			again, err := f(key, page[key])
			if err != nil || !again {
				return err
			}
			after = key
		}
		if len(page) < pageSize {
			return nil
		}
	}
}
