//go:build ceph

package ceph

// #cgo LDFLAGS: -lrados
// #include <rados/librados.h>
//
// // settle waits until what librados has begun to call back is over.
// static void settle(rados_ioctx_t io) {
// 	rados_completion_t passed;
// 	rados_aio_create_completion2(NULL, NULL, &passed);
// 	rados_aio_flush_async(io, passed);
// 	rados_aio_wait_for_complete(passed);
// 	rados_aio_release(passed);
// }
import "C"

import (
	"cmp"

	"github.com/ceph/go-ceph/rbd"
)

// look opens the image with the id for reading, which needs no lock and makes no watch
// (rbd_open_by_id_read_only).
func (c *conn) look(id string, f func(*rbd.Image) error) error {
	return c.lookAt(id, rbd.NoSnapshot, f)
}

// lookAt is look for one of the image's snapshots.
func (c *conn) lookAt(id, snapshot string, f func(*rbd.Image) error) error {
	image, err := rbd.OpenImageByIdReadOnly(c.io, id, snapshot)
	if err != nil {
		return err
	}
	defer c.close(image) //nolint:errcheck // nothing was written
	return f(image)
}

// alter opens the image with the id for writing, which makes a watch that others see while
// it lasts (rbd_open_by_id). Closing writes nothing: its failure undoes nothing.
func (c *conn) alter(id string, f func(*rbd.Image) error) (err error) {
	image, err := rbd.OpenImageById(c.io, id, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, c.close(image)) }()
	return f(image)
}

// close closes an image (rbd_close), when the thread that opened it has let go of it.
//
// In librbd that thread first wakes who waits for the image, and then locks the image's
// state once more (ImageState::complete_action_unlock). If by then the image is closed, the
// mutex is freed memory: the process aborts, or the thread, and with it the connection,
// hangs for ever. A busy machine and an image that is open for a millisecond are enough;
// with 16.2.15 on two busy cores about one run of our tests in five died. Those threads work
// in the order of librados' callbacks, one at a time, so that one that begins now begins
// after they have ended. It costs some 10 µs and no message.
func (c *conn) close(image *rbd.Image) error {
	C.settle(C.rados_ioctx_t(c.io.Pointer()))
	return image.Close()
}
