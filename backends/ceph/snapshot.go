//go:build ceph

package ceph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var (
	_ backends.Cloner        = (*driver)(nil)
	_ backends.UsageReporter = (*driver)(nil)
)

// CreateSnapshot calls rbd_snap_create; see [backends.Snapshotter]. If a client has
// librbd's lock, librbd asks that client to do it, and waits for one that died or stopped
// until its watch ends, 30 s: the call may then take longer than the Backend waits.
func (d *driver) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
	var made backends.Snapshot
	err := d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		made, err = c.takeSnapshot(h, name)
		return err
	})
	return made, err
}

// takeSnapshot returns the snapshot of that name, whoever made it, and makes one in place
// of half of one. It is Busy if another client is in the middle of making or removing it.
func (c *conn) takeSnapshot(h header, name volume.SnapshotName) (backends.Snapshot, error) {
	half := false
	if h.snapshots { // a look costs less than opening for writing
		made, err := c.snapshot(h, name)
		if half = errors.Is(err, errHalfSnapshot); !half && !errors.Is(err, errNoSnapshot) {
			return made, err
		}
	}
	err := c.edit(h.id, func(image *rbd.Image) error {
		if half {
			if whole, err := c.clearHalf(image, h, name); whole || err != nil {
				return err
			}
		}
		_, err := image.CreateSnapshot(string(name))
		return err
	})
	if err != nil && !is(err, syscall.EEXIST) {
		return backends.Snapshot{}, err
	}
	made, err := c.snapshot(h, name)
	if errors.Is(err, errHalfSnapshot) || errors.Is(err, errNoSnapshot) {
		err = backends.Errorf(volume.Busy, "snapshot %s is being made or removed by somebody else", name)
	}
	return made, err
}

// ListSnapshots reads the image's header; see [backends.Snapshotter].
func (d *driver) ListSnapshots(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
	var listed []backends.Snapshot
	err := d.use(ctx, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil || !h.snapshots {
			return err
		}
		return c.look(h.id, func(image *rbd.Image) (err error) {
			listed, err = snapshotsOf(image)
			return err
		})
	})
	return listed, err
}

// errNoSnapshot says that the volume is there and its snapshot is not.
var errNoSnapshot = backends.Errorf(volume.NotFound, "no such snapshot")

// snapshot returns the snapshot of that name, errNoSnapshot or errHalfSnapshot.
func (c *conn) snapshot(h header, name volume.SnapshotName) (backends.Snapshot, error) {
	var found backends.Snapshot
	var number uint64
	err := c.look(h.id, func(image *rbd.Image) error {
		listed, err := snapshotsOf(image)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(listed, func(s backends.Snapshot) bool { return s.Name == name })
		if at < 0 {
			return fmt.Errorf("%s: %w", name, errNoSnapshot)
		}
		found = listed[at]
		number, err = image.GetSnapID(string(name))
		return err
	})
	if err != nil || h.features&rbd.FeatureObjectMap == 0 { // somebody has taken the feature away
		return found, err
	}
	_, err = c.io.Stat(fmt.Sprintf("%s%s.%016x", objectMapObject, h.id, number))
	if absent(err) {
		err = c.halfOrDistrusted(h.id, name, number)
	}
	return found, err
}

// snapshotsOf returns the snapshots that people see, in the order in which they were made
// (rbd_snap_list). Others are a group's, or in the trash: removed while a clone of format
// 2 needed them, and kept by librbd until that clone is gone.
func snapshotsOf(image *rbd.Image) ([]backends.Snapshot, error) {
	infos, err := image.GetSnapshotNames()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(infos, func(a, b rbd.SnapInfo) int { return cmp.Compare(a.Id, b.Id) })
	var listed []backends.Snapshot
	for _, info := range infos {
		kind, err := image.GetSnapNamespaceType(info.Id)
		if err != nil {
			return nil, err
		}
		if kind != rbd.SnapNamespaceTypeUser {
			continue
		}
		one, err := describe(image, info)
		if err != nil {
			return nil, err
		}
		listed = append(listed, one)
	}
	return listed, nil
}

// describe reads what librbd has in memory of an opened image.
func describe(image *rbd.Image, info rbd.SnapInfo) (backends.Snapshot, error) {
	made, err := image.GetSnapTimestamp(info.Id)
	if err != nil {
		return backends.Snapshot{}, err
	}
	protected, err := image.GetSnapshot(info.Name).IsProtected()
	return backends.Snapshot{
		Name:      volume.SnapshotName(info.Name),
		Size:      volume.Bytes(info.Size), //nolint:gosec // librbd takes no size above 2^63
		CreatedAt: time.Unix(made.Sec, made.Nsec).UTC(),
		Protected: protected,
	}, err
}
