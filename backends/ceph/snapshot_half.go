//go:build ceph

package ceph

import (
	"errors"
	"fmt"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// errHalfSnapshot says that librbd has entered the snapshot in the header and has not
// written its object map, without which nobody can open it: clones get ENOENT. Its maker is
// between the two, or was killed there, and then it stays so for ever.
var errHalfSnapshot = backends.Errorf(volume.NotFound, "half of a snapshot, to be made again")

// halfOrDistrusted tells half of a snapshot, which is errHalfSnapshot, from a whole one
// whose object map was removed or is yet to be made for the sake of a flatten: that one's
// map is marked as not to be trusted, in all the time.
func (c *conn) halfOrDistrusted(id string, name volume.SnapshotName, number uint64) error {
	flags, err := c.flags(id, number)
	if err == nil && flags&mapInvalid == 0 {
		err = fmt.Errorf("%s: %w", name, errHalfSnapshot)
	}
	return err
}

// clearHalf removes half of a snapshot from an image that is open for writing, or reports
// that it is whole by now. Only the client with librbd's lock makes snapshots, also for
// others, and it gives the lock away when they are done: what is half under our lock was
// left by a dead one. It is EROFS, which edit makes Busy, while the owner keeps the lock.
func (c *conn) clearHalf(image *rbd.Image, h header, name volume.SnapshotName) (whole bool, err error) {
	if err := image.LockAcquire(rbd.LockModeExclusive); err != nil { // rbd_lock_acquire
		return false, err
	}
	_, err = c.snapshot(h, name)
	switch {
	case errors.Is(err, errNoSnapshot):
		return false, nil
	case !errors.Is(err, errHalfSnapshot):
		return err == nil, err
	}
	if err := image.GetSnapshot(string(name)).Remove(); err != nil && !absent(err) {
		return false, err
	}
	return false, nil
}
