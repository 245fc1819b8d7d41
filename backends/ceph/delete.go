//go:build ceph

package ceph

import (
	"context"
	"fmt"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Delete removes the image; see [backends.Driver]. An image that is not ours is left alone.
func (d *driver) Delete(ctx context.Context, ref backends.Ref) error {
	return d.change(ctx, ref, func(c *conn) error { return d.delete(c, ref) })
}

func (d *driver) delete(c *conn, ref backends.Ref) error {
	name := imageName(ref.Key)
	id, err := c.listed(name)
	if absent(err) {
		return d.remove(c, name) // it may be in the trash
	}
	if err != nil {
		return err
	}
	h, err := c.header(id)
	switch {
	case absent(err): // half made or half removed: no data is left, nor whose it was
		return d.remove(c, name)
	case err != nil:
		return err
	case h.parent && !h.mark.owns(ref.Key):
		return d.deleteUnfinished(c, name, h)
	case h.mark.none():
		return d.deleteHalf(c, name, h)
	case h.mark.id != ref.ID:
		return nil
	case len(h.holders.lockers) > 0, h.snapshots:
		if err := d.clear(c, h); err != nil {
			return err
		}
	}
	return d.remove(c, name)
}

func (d *driver) deleteHalf(c *conn, name string, h header) error {
	half, err := d.half(c, h)
	if err != nil || !half {
		return err
	}
	return d.remove(c, name)
}

// remove calls rbd_remove, which also clears away what is left of half an image. It moves
// the image to the pool's trash, where nobody finds it any more, and then removes it from
// there; killed between, the next one finds it in the trash by its name and goes on.
func (d *driver) remove(c *conn, name string) error {
	cause := rbd.RemoveImage(c.io, name)
	if cause == nil {
		return nil
	}
	// The ENOENT can be false: librbd returns it when it cannot write to the trash of a
	// full pool. What counts is the directory.
	id, err := c.listed(name)
	switch {
	case absent(err) && absent(cause):
		return d.confirmAbsence(c)
	case absent(err):
		return classify(cause)
	case err != nil:
		return fmt.Errorf("%w; and then: %w", classify(cause), err)
	case absent(cause):
		return backends.Errorf(volume.Unavailable, "image %s is still there after its removal: %w", name, cause)
	}
	return d.blocked(c, id, holders{}, cause)
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

// watchers returns the addresses of the clients that have the image open for writing, this
// connection excepted. Who reads only makes no watch and cannot be seen.
func (c *conn) watchers(image *rbd.Image) ([]string, error) {
	list, err := image.ListWatchers()
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, watcher := range list {
		if addr := bareAddr(watcher.Addr); !slices.Contains(c.addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs), nil
}

// owners returns the addresses of the clients that have librbd's exclusive lock, this
// connection excepted: of rados_list_lockers, as rbd_lock_get_owners refuses an image
// opened for reading. One that is no watcher any more is dead or cut off.
func (c *conn) owners(id string) ([]string, error) {
	list, err := c.io.ListLockers(headerObject+id, exclusiveLockName)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, addr := range list.Addrs {
		if addr = bareAddr(addr); !slices.Contains(c.addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}
