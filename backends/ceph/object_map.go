//go:build ceph

package ceph

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// mapFeatures are the features that keep what exists in a map: fast-diff's is a part of
// object-map's, which librbd does not take away without it.
const mapFeatures = rbd.FeatureObjectMap | rbd.FeatureFastDiff

// Flags of an image, and of each of its snapshots, with which librbd asks the object and
// not its map (RBD_FLAG_OBJECT_MAP_INVALID and RBD_FLAG_FAST_DIFF_INVALID of librbd.h).
const (
	mapInvalid  = 1 << 0
	diffInvalid = 1 << 1
)

// head is the number of what is no snapshot (CEPH_NOSNAP).
const head = ^uint64(1)

const (
	getFlagsMethod = "get_flags" // of cls_rbd
	setFlagsMethod = "set_flags"
)

// flags reads the flags of a snapshot or of the head (get_flags of cls_rbd).
func (c *conn) flags(id string, number uint64) (uint64, error) {
	e := &encoder{}
	e.uint64(number)
	op := rados.CreateReadOp()
	defer op.Release()
	step := op.Exec(rbdClass, getFlagsMethod, e.body)
	if err := op.Operate(c.io, headerObject+id, rados.OperationNoFlag); err != nil {
		return 0, err
	}
	reply, err := step.Bytes()
	if err != nil {
		return 0, err
	}
	if len(reply) != 8 {
		return 0, backends.Errorf(volume.Internal, "flags of %d bytes: damaged", len(reply))
	}
	return binary.LittleEndian.Uint64(reply), nil
}

// distrust marks the maps of the head and of all snapshots as invalid (set_flags of
// cls_rbd). Who has the image open learns of it later.
func (c *conn) distrust(id string) error {
	numbers, err := c.numbers(id)
	if err != nil {
		return err
	}
	op := rados.CreateWriteOp()
	defer op.Release()
	op.AssertExists()
	for _, number := range numbers {
		e := &encoder{}
		e.uint64(mapInvalid | diffInvalid) // the flags
		e.uint64(mapInvalid | diffInvalid) // which of them to set
		e.uint64(number)
		op.Exec(rbdClass, setFlagsMethod, e.body)
	}
	if err := op.Operate(c.io, headerObject+id, rados.OperationNoFlag); err != nil {
		return fmt.Errorf("mark the object maps as invalid: %w", err)
	}
	return nil
}

// numbers returns those of all snapshots, the ones in the trash included, and the head's
// as the last.
func (c *conn) numbers(id string) ([]uint64, error) {
	var numbers []uint64
	err := c.look(id, func(image *rbd.Image) error {
		infos, err := image.GetSnapshotNames()
		for _, info := range infos {
			numbers = append(numbers, info.Id)
		}
		return err
	})
	return append(numbers, head), err
}

// rebuildDistrusted rebuilds the maps that are marked as invalid. It asks for every object
// that there may be, once for each map. A snapshot that went meanwhile needs none.
func (c *conn) rebuildDistrusted(ctx context.Context, id string) error {
	numbers, err := c.numbers(id)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		flags, err := c.flags(id, number)
		if absent(err) && number != head {
			continue
		}
		if err != nil {
			return err
		}
		if flags&(mapInvalid|diffInvalid) == 0 {
			continue
		}
		if _, err := c.shutOutDead(id); err != nil {
			return err
		}
		err = beating(ctx, func() error { return rebuildMap(c.io, id, number) })
		if err != nil && (number == head || !absent(err)) {
			return fmt.Errorf("rebuild the object map: %w", err)
		}
	}
	return nil
}
