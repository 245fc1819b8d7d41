//go:build ceph

package ceph

import (
	"context"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Children returns the volumes that need the snapshot; see [backends.Cloner]. Clones that
// are not ours, or in another pool, are named by DeleteSnapshot's error only.
func (d *driver) Children(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
	var keys []volume.Key
	err := d.use(ctx, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		if _, err := c.snapshot(h, name); err != nil {
			return err
		}
		children, err := d.childrenOf(c, h.id, name)
		for _, one := range children {
			if one.ours {
				keys = append(keys, one.key)
			}
		}
		return err
	})
	slices.SortFunc(keys, func(a, b volume.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys, err
}
