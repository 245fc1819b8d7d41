//go:build ceph

package ceph

// #cgo LDFLAGS: -lrbd
// #include <stdlib.h>
// #include <rbd/librbd.h>
//
// static int go_on(uint64_t done, uint64_t total, void *data) { return 0; }
//
// static int rebuild_map(rbd_image_t image) {
// 	return rbd_rebuild_object_map(image, go_on, NULL);
// }
import "C"

import (
	"cmp"
	"fmt"
	"unsafe"

	"github.com/ceph/go-ceph/rados"
)

// rebuildMap makes the object map of the image's head, or of the snapshot with the number,
// anew out of the list of its objects, and clears its flags (rbd_rebuild_object_map). If
// another client has librbd's lock, that client does the head's. go-ceph 0.41.0 does not
// have the call, nor does its Image tell the rbd_image_t: the image is opened here.
func rebuildMap(io *rados.IOContext, id string, number uint64) (err error) {
	name := C.CString(id)
	defer C.free(unsafe.Pointer(name))
	var image C.rbd_image_t
	if err := failure("rbd_open_by_id", C.rbd_open_by_id(C.rados_ioctx_t(io.Pointer()), name, &image, nil)); err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, failure("rbd_close", C.rbd_close(image))) }()
	if number != head {
		if err := failure("rbd_snap_set_by_id", C.rbd_snap_set_by_id(image, C.uint64_t(number))); err != nil {
			return err
		}
	}
	return failure("rbd_rebuild_object_map", C.rebuild_map(image))
}

// codeError is what a function of librbd returned; classify knows it like go-ceph's.
type codeError struct {
	function string
	code     int
}

func (e codeError) Error() string  { return fmt.Sprintf("%s: ret=%d", e.function, e.code) }
func (e codeError) ErrorCode() int { return e.code }

func failure(function string, code C.int) error {
	if code >= 0 {
		return nil
	}
	return codeError{function, int(code)}
}
