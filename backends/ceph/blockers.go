//go:build ceph

package ceph

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// blocked explains why an image cannot be removed: by the holders, snapshots, children and
// clients that have it open, all of them, and by the cause if there are none.
func (d *driver) blocked(c *conn, id string, held holders, cause error) error {
	by := held.blockers()
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
	if err := d.blocked(c, h.id, h.holders, nil); err != nil || !h.snapshots {
		return err
	}
	return d.sweep(c, h.id)
}

// blockers are the nodes that have the image reserved.
func (h holders) blockers() []backends.Blocker {
	var by []backends.Blocker
	for _, node := range h.nodes() {
		by = append(by, backends.Blocker{Kind: backends.BlockedByNode, Name: string(node)})
	}
	return by
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

func childBlockers(children []child) []backends.Blocker {
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

// child is an image that needs a snapshot of another.
type child struct {
	key  volume.Key // of the volume, if ours
	ours bool
	spec string // pool/namespace/image
}

// String is how people know the child.
func (c child) String() string {
	if c.ours {
		return c.key.String()
	}
	return c.spec
}

// children returns the clones of the snapshot that the image is opened at, or of all its
// snapshots (rbd_list_children3), in whatever pool. Those in the trash count: their
// removal was interrupted.
func (d *driver) children(c *conn, image *rbd.Image) ([]child, error) {
	specs, err := image.ListChildrenAttributes()
	if err != nil {
		return nil, err
	}
	children := make([]child, 0, len(specs))
	for _, spec := range specs {
		one := child{spec: joinSpec(spec.PoolName, spec.PoolNamespace, spec.ImageName)}
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
