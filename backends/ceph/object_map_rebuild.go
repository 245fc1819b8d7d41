//go:build ceph

package ceph

// #cgo LDFLAGS: -lrbd
// #include <stdlib.h>
// #include <rbd/librbd.h>
//
// static int go_on(uint64_t done, uint64_t total, void *data) { return 0; }
//
// // snapshot is the number of one, or head.
// static int rebuild_map(rados_ioctx_t io, const char *id, uint64_t snapshot, uint64_t head) {
// 	rbd_image_t image;
// 	int code = rbd_open_by_id(io, id, &image, NULL);
// 	if (code < 0)
// 		return code;
// 	if (snapshot != head)
// 		code = rbd_snap_set_by_id(image, snapshot);
// 	if (code >= 0)
// 		code = rbd_rebuild_object_map(image, go_on, NULL);
// 	int closed = rbd_close(image);
// 	return code < 0 ? code : closed;
// }
import "C"

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/ceph/go-ceph/rados"
)

// rebuildMap makes the object map of the image's head, or of the snapshot with the number,
// anew by asking for each of its objects, and clears its flags (rbd_rebuild_object_map). If
// another client has librbd's lock, that client does the head's. go-ceph 0.41.0 does not
// have the call, nor does its Image tell the rbd_image_t: the image is opened here. It is closed
// without [conn.close]'s wait, because closing one that was opened for writing ends its watch,
// which waits for the same threads.
func rebuildMap(io *rados.IOContext, id string, number uint64) error {
	name := C.CString(id)
	defer C.free(unsafe.Pointer(name))
	code := C.rebuild_map(C.rados_ioctx_t(io.Pointer()), name, C.uint64_t(number), C.uint64_t(head))
	if code < 0 {
		return codeError(code)
	}
	return nil
}

// codeError is what a function of librbd returned; classify knows it like go-ceph's.
type codeError int

func (e codeError) Error() string  { return fmt.Sprintf("rbd: ret=%d, %s", int(e), syscall.Errno(-e)) }
func (e codeError) ErrorCode() int { return int(e) }
