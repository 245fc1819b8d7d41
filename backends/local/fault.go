package local

import (
	"errors"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// faultClasses says what an errno of a file operation means here. ENOENT and ENOTDIR
// concern the directory: a missing object is found out before.
var faultClasses = map[syscall.Errno]volume.Class{
	syscall.ENOSPC: volume.ResourceExhausted,
	syscall.EDQUOT: volume.ResourceExhausted,
	syscall.EFBIG:  volume.ResourceExhausted,

	syscall.ENOENT:  volume.Unavailable,
	syscall.ENOTDIR: volume.Unavailable,
	syscall.EIO:     volume.Unavailable,
	syscall.EROFS:   volume.Unavailable,
	syscall.ESTALE:  volume.Unavailable,
	syscall.ENXIO:   volume.Unavailable,
	syscall.ENODEV:  volume.Unavailable,
	syscall.EMFILE:  volume.Unavailable,
	syscall.ENFILE:  volume.Unavailable,
	syscall.ENOMEM:  volume.Unavailable,
	syscall.ENOLCK:  volume.Unavailable,

	syscall.EACCES: volume.FailedPrecondition,
	syscall.EPERM:  volume.FailedPrecondition,
	syscall.ELOOP:  volume.FailedPrecondition,

	syscall.EWOULDBLOCK: volume.Busy,
}

// fault returns err with the directory's name and the class of its errno, Internal if
// it has none that is known; nil for nil.
func (d *directory) fault(err error) error {
	if err == nil {
		return nil
	}
	return backends.Errorf(faultClass(err), "directory %s: %w", d.path, err)
}

func faultClass(err error) volume.Class {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		if class, known := faultClasses[errno]; known {
			return class
		}
	}
	return volume.Internal
}
