//go:build ceph

package ceph

// #cgo LDFLAGS: -lrados
// #include <rados/librados.h>
import "C"

import (
	"syscall"

	"github.com/ceph/go-ceph/rados"
)

// unwatch ends a watch (rados_unwatch2) and returns when none of its callbacks runs or will
// run (rados_watch_flush). Until then somebody has to listen to the watcher, or a callback
// blocks a thread of librados. The errno of an error says why the OSD was not told: then it
// forgets the watch when the connection has ended.
//
// It takes the place of Watcher.Delete. In go-ceph 0.41.0 that closes the channels without
// waiting for callbacks that are in the middle of sending to them: a data race, and a panic
// in a thread of librados, which ends the process. Here the channels stay open, and
// go-ceph's table of watchers keeps an entry, below a kilobyte, until a later watch gets
// the same address. The watcher must not be deleted any more: librados has freed it.
//
// go-ceph keeps IOContext.Pointer for itself. There is no other way to rados_unwatch2.
func unwatch(cluster *rados.Conn, io *rados.IOContext, w *rados.Watcher) error {
	code := C.rados_unwatch2(C.rados_ioctx_t(io.Pointer()), C.uint64_t(w.ID()))
	if err := cluster.WatcherFlush(); err != nil {
		return err
	}
	if code < 0 {
		return syscall.Errno(-code)
	}
	return nil
}
