//go:build ceph

package ceph

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// blocked explains why an image cannot be removed: by snapshots, by children or by clients
// that have it open, if there are any, and by the cause otherwise.
func (d *driver) blocked(c *conn, id string, cause error) error {
	var found obstacles
	if err := c.look(id, func(image *rbd.Image) (err error) {
		found, err = c.obstacles(image)
		return err
	}); err != nil {
		return fmt.Errorf("%w (who is in the way could not be read: %w)", classify(cause), err)
	}
	return cmp.Or(found.err(), classify(cause))
}

// obstacles are what keeps an image from being removed.
type obstacles struct {
	snapshots []string
	children  []string // pool/image
	watchers  []string // addresses
}

func (c *conn) obstacles(image *rbd.Image) (found obstacles, err error) {
	snapshots, err := image.GetSnapshotNames()
	if err != nil {
		return found, err
	}
	for _, snapshot := range snapshots {
		found.snapshots = append(found.snapshots, snapshot.Name)
	}
	pools, images, err := image.ListChildren()
	if err != nil {
		return found, err
	}
	for i, child := range images {
		found.children = append(found.children, pools[i]+"/"+child)
	}
	found.watchers, err = c.watchers(image)
	return found, err
}

func (o obstacles) err() error {
	switch {
	case len(o.children) > 0:
		return backends.Errorf(volume.FailedPrecondition, "has snapshots %q with clones %q", o.snapshots, o.children)
	case len(o.snapshots) > 0:
		return backends.Errorf(volume.FailedPrecondition, "has snapshots %q", o.snapshots)
	case len(o.watchers) > 0:
		return backends.Errorf(volume.Busy, "opened by clients %q", o.watchers)
	}
	return nil
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
