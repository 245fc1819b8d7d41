//go:build ceph

package ceph

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Names for what is asked for by more than one. EBLOCKLISTED of Ceph is ESHUTDOWN on Linux.
const (
	errBlocklisted = syscall.ESHUTDOWN
	errNotFound    = syscall.ENOENT
)

// classes says what an errno of librados or librbd means for a call, when the code that
// made the operation has not said it more exactly.
var classes = map[syscall.Errno]volume.Class{
	syscall.ENOENT: volume.NotFound,
	syscall.EEXIST: volume.AlreadyExists,

	// A watcher, a lock or a background task is in the way and may go by itself.
	syscall.EBUSY:       volume.Busy,
	syscall.EAGAIN:      volume.Busy,
	syscall.EINPROGRESS: volume.Busy,
	syscall.EALREADY:    volume.Busy,
	syscall.ETXTBSY:     volume.Busy,
	syscall.ESTALE:      volume.Busy,

	// Somebody has to do something first.
	syscall.ENOTEMPTY: volume.FailedPrecondition, // snapshots
	syscall.ECHILD:    volume.FailedPrecondition,
	syscall.EROFS:     volume.FailedPrecondition, // opened read-only, or held by another
	syscall.EACCES:    volume.FailedPrecondition, // a wrong key, or capabilities
	syscall.EPERM:     volume.FailedPrecondition, // capabilities

	// The cluster does not answer, or not us.
	syscall.ETIMEDOUT:    volume.Unavailable,
	errBlocklisted:       volume.Unavailable,
	syscall.ENOTCONN:     volume.Unavailable,
	syscall.ECONNREFUSED: volume.Unavailable,
	syscall.ECONNRESET:   volume.Unavailable,
	syscall.ECONNABORTED: volume.Unavailable,
	syscall.EPIPE:        volume.Unavailable,
	syscall.EHOSTUNREACH: volume.Unavailable,
	syscall.ENETUNREACH:  volume.Unavailable,
	syscall.EIO:          volume.Unavailable, // an OSD could not read or write
	syscall.EINTR:        volume.Unavailable,
	syscall.ENXIO:        volume.Unavailable, // no OSD for the object
	syscall.ENODEV:       volume.Unavailable,
	syscall.ENOMEM:       volume.Unavailable,
	syscall.EMFILE:       volume.Unavailable,
	syscall.ENFILE:       volume.Unavailable,

	syscall.ENOSPC: volume.ResourceExhausted,
	syscall.EDQUOT: volume.ResourceExhausted, // a quota of the pool
	syscall.EFBIG:  volume.ResourceExhausted,
	syscall.ERANGE: volume.Internal, // a buffer of ours was too short

	syscall.EINVAL:       volume.InvalidArgument,
	syscall.EDOM:         volume.InvalidArgument,
	syscall.ENAMETOOLONG: volume.InvalidArgument,
	syscall.E2BIG:        volume.InvalidArgument,

	syscall.ENOSYS:     volume.Unsupported, // an older cluster, or a feature that is off
	syscall.EOPNOTSUPP: volume.Unsupported,

	syscall.ECANCELED: volume.Aborted,
	syscall.EILSEQ:    volume.Internal, // damaged metadata
	syscall.EBADMSG:   volume.Internal,
}

// errnoOf returns the errno in err, 0 for none. Errors of go-ceph carry the negative one
// that the C function returned.
func errnoOf(err error) syscall.Errno {
	var coded interface{ ErrorCode() int }
	if !errors.As(err, &coded) {
		return 0
	}
	code := coded.ErrorCode()
	return syscall.Errno(max(code, -code))
}

// is reports whether err has one of the errnos.
func is(err error, errnos ...syscall.Errno) bool {
	found := errnoOf(err)
	for _, errno := range errnos {
		if found == errno && errno != 0 {
			return true
		}
	}
	return false
}

// classify returns err with the class of its errno; an unknown one is Internal and told
// by number and name, and an error that has a class already stays as it is.
func classify(err error) error {
	if err == nil || volume.ClassOf(err) != volume.Internal || errors.Is(err, volume.Internal) {
		return err
	}
	errno := errnoOf(err)
	if class, known := classes[errno]; known {
		return backends.Errorf(class, "%w", err)
	}
	if errno == 0 {
		return backends.Errorf(volume.Internal, "%w", err)
	}
	return backends.Errorf(volume.Internal, "unknown errno %d (%s): %w", int(errno), errno, err)
}

// misconfigured is classify for what a call needs before it comes to a volume: that the
// conf, the keyring, the pool or the namespace is missing does not mean that a volume is.
func misconfigured(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	switch errnoOf(err) {
	case syscall.ENOENT, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EDOM, syscall.ENOTDIR:
		return backends.Errorf(volume.FailedPrecondition, "%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, classify(err))
}
