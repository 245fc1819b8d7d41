//go:build ceph

package ceph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// coded is an error with an errno as go-ceph has them, which no call here can cause.
type coded int

func (c coded) Error() string  { return fmt.Sprintf("ret=%d", int(c)) }
func (c coded) ErrorCode() int { return int(c) }

func TestClassify(t *testing.T) {
	// Errors of go-ceph itself, so that a change of its types is seen.
	tests := map[error]volume.Class{
		rados.ErrNotFound:         volume.NotFound,
		rados.ErrPermissionDenied: volume.FailedPrecondition,
		rados.ErrObjectExists:     volume.AlreadyExists,
		rados.ErrNotConnected:     volume.Unavailable,
		rbd.ErrNotFound:           volume.NotFound,
		rbd.ErrExist:              volume.AlreadyExists,
		rbd.ErrNotImplemented:     volume.Unsupported,
		rbd.ErrNoName:             volume.Internal,
		rados.ErrInvalidIOContext: volume.Internal,

		coded(-int(syscall.EBUSY)):        volume.Busy,
		coded(-int(syscall.EINPROGRESS)):  volume.Busy,
		coded(-int(syscall.ENOTEMPTY)):    volume.FailedPrecondition,
		coded(-int(syscall.EROFS)):        volume.FailedPrecondition,
		coded(-int(syscall.EACCES)):       volume.FailedPrecondition,
		coded(-int(syscall.EPERM)):        volume.FailedPrecondition,
		coded(-int(syscall.ETIMEDOUT)):    volume.Unavailable,
		coded(-int(syscall.ESHUTDOWN)):    volume.Unavailable,
		coded(-int(syscall.EIO)):          volume.Unavailable,
		coded(-int(syscall.ENOSPC)):       volume.ResourceExhausted,
		coded(-122):                       volume.ResourceExhausted,
		coded(-int(syscall.EINVAL)):       volume.InvalidArgument,
		coded(-int(syscall.EDOM)):         volume.InvalidArgument,
		coded(-int(syscall.ENAMETOOLONG)): volume.InvalidArgument,
		coded(-int(syscall.EOPNOTSUPP)):   volume.Unsupported,
		coded(-int(syscall.ECANCELED)):    volume.Aborted,
		coded(int(syscall.EBUSY)):         volume.Busy, // a sign more or less
	}
	for err, want := range tests {
		got := classify(fmt.Errorf("step: %w", err))
		if !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("%v: got %v of class %s, want class %s around it", err, got, volume.ClassOf(got), want)
		}
	}
	unknown := classify(coded(-int(syscall.ELIBBAD)))
	if !errors.Is(unknown, volume.Internal) || !strings.Contains(unknown.Error(), "80") || !strings.Contains(unknown.Error(), "library") {
		t.Errorf("unknown errno: got %v, want class %s, its number and its name", unknown, volume.Internal)
	}
	kept := backends.Errorf(volume.Busy, "x: %w", coded(-int(syscall.EIO)))
	if got := classify(kept); !errors.Is(got, volume.Busy) || errors.Is(got, volume.Unavailable) {
		t.Errorf("classified already: got %v, want it as it was", got)
	}
	if got := classify(nil); got != nil {
		t.Errorf("no error: got %v, want none", got)
	}
	if got := misconfigured(rados.ErrNotFound, "pool x"); errors.Is(got, volume.NotFound) || !errors.Is(got, volume.FailedPrecondition) {
		t.Errorf("missing pool: got %v, want class %s: no volume is missing", got, volume.FailedPrecondition)
	}
	// The Backend tells its caller's cancel from a deadline, so it has to see them.
	if got := classify(context.Canceled); !errors.Is(got, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v in it", got, context.Canceled)
	}
}

// TestClasses_AllErrnos_AreClasses: no typing error in the table.
func TestClasses_AllErrnos_AreClasses(t *testing.T) {
	for errno, class := range classes {
		if volume.ClassOf(backends.Errorf(class, "x")) != class {
			t.Errorf("%v: got class %q, want one of package volume", errno, class)
		}
	}
}
