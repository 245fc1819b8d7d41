//go:build ceph

package ceph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// blocked explains why an image cannot be removed: by the holders, snapshots, children and
// clients that have it open, all of them, and by the cause if there are none.
func (d *driver) blocked(c *conn, id string, held volume.Attachments, cause error) error {
	by := backends.Holders(held)
	if err := c.look(id, func(image *rbd.Image) error {
		more, err := d.blockers(c, image)
		by = append(by, more...)
		return err
	}); err != nil {
		return errors.Join(classify(cause), fmt.Errorf("who is in the way could not be read: %w", classify(err)))
	}
	return cmp.Or(backends.Blocked(by...), classify(cause))
}

// clear refuses to remove an image that is in use, and otherwise removes the remains of
// its snapshots.
func (d *driver) clear(c *conn, h header) error {
	if err := d.blocked(c, h.id, h.holders.attachments(), nil); err != nil || !h.snapshots {
		return err
	}
	return d.sweep(c, h.id)
}

// blockers are what keeps an image from being removed, besides reservations. A snapshot
// in the trash is told by its children, for it goes with them.
func (d *driver) blockers(c *conn, image *rbd.Image) ([]backends.Blocker, error) {
	listed, err := snapshotsOf(image)
	if err != nil {
		return nil, err
	}
	var by []backends.Blocker
	for _, one := range listed {
		by = append(by, backends.Blocker{Kind: backends.BlockedBySnapshot, Name: string(one.Name)})
	}
	children, err := d.children(c, image)
	if err != nil {
		return nil, err
	}
	watchers, err := c.watchers(image)
	return append(append(by, childBlockers(children)...), watcherBlockers(watchers)...), err
}

func childBlockers(children []dependant) []backends.Blocker {
	var by []backends.Blocker
	for _, one := range children {
		by = append(by, backends.Blocker{Kind: backends.BlockedByChild, Name: one.String()})
	}
	return by
}

func watcherBlockers(addrs []string) []backends.Blocker {
	var by []backends.Blocker
	for _, addr := range addrs {
		by = append(by, backends.Blocker{Kind: backends.BlockedByWatcher, Name: addr})
	}
	return by
}

// dependant is an image that needs a snapshot of another.
type dependant struct {
	key  volume.Key // of the volume, if ours
	ours bool
	spec string // pool/namespace/image
}

// String is how people know the child.
func (d dependant) String() string {
	if d.ours {
		return d.key.String()
	}
	return d.spec
}

// children returns the clones of the snapshot that the image is opened at, or of all its
// snapshots (rbd_list_children3), in whatever pool. Those in the trash count: their
// removal was interrupted.
func (d *driver) children(c *conn, image *rbd.Image) ([]dependant, error) {
	specs, err := image.ListChildrenAttributes()
	if err != nil {
		return nil, err
	}
	children := make([]dependant, 0, len(specs))
	for _, spec := range specs {
		one := dependant{spec: joinSpec(spec.PoolName, spec.PoolNamespace, spec.ImageName)}
		if spec.PoolName == d.cfg.Pool && spec.PoolNamespace == d.cfg.Namespace {
			switch h, err := c.header(spec.ImageID); {
			case absent(err):
				continue // it has gone meanwhile
			case err != nil:
				return nil, err
			default:
				key, marked := h.mark.key()
				one.key, one.ours = key, marked && imageName(key) == spec.ImageName
			}
		}
		children = append(children, one)
	}
	return children, nil
}

// watchers returns the addresses of the clients that have the image open for writing, this
// connection excepted. Who reads only makes no watch and cannot be seen. One that died
// stays for 30 s; in a rare race, when it died while its watch was under way, the OSD keeps
// it until the placement group peers again (`ceph pg repeer`, `ceph osd down`).
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

// owner is a client that has librbd's exclusive lock.
type owner struct {
	address string
	client  string // client.4123
	cookie  string // of the watch with which it took the lock
}

// owners returns the clients that have librbd's exclusive lock, this connection excepted:
// of rados_list_lockers, as rbd_lock_get_owners refuses an image opened for reading. One
// that is no watcher any more is dead or cut off, if it has not just closed the image.
func (c *conn) owners(id string) ([]owner, error) {
	list, err := c.io.ListLockers(headerObject+id, exclusiveLockName)
	if err != nil {
		return nil, err
	}
	var owners []owner
	for i, addr := range list.Addrs {
		if addr = bareAddr(addr); !slices.Contains(c.addrs, addr) {
			owners = append(owners, owner{address: addr, client: list.Clients[i], cookie: list.Cookies[i]})
		}
	}
	return owners, nil
}

// addresses are those of the owners.
func addresses(owners []owner) []string {
	var addrs []string
	for _, o := range owners {
		addrs = append(addrs, o.address)
	}
	return addrs
}
