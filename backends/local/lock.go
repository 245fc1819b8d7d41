package local

import (
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// lockName is the file in [FencesDir] whose bytes stand for locks. It has no content and
// is never removed, so that no lock can be on a file that is not there any more. Byte 0
// is held, shared, by every open driver; each volume has one byte of its own.
const lockName = "lock"

// presenceByte is the byte of the open drivers.
const presenceByte = 0

// Commands of fcntl(2) for locks that belong to an open file, not to a process.
const (
	ofdSetLock     = 37 // F_OFD_SETLK
	ofdSetLockWait = 38 // F_OFD_SETLKW
)

// hold is a lock on one volume. It dies with its process.
type hold struct {
	file   *os.File
	at     int64  // the volume's byte
	fenced uint64 // the lowest epoch that is taken
}

// lock takes the lock of a volume, whether or not the volume has any file. It returns
// Busy if another call holds it.
func (d *Driver) lock(key volume.Key) (*hold, error) {
	d.fences.step()
	if err := d.fences.present(); err != nil {
		return nil, err
	}
	f, err := d.openLock(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	err = setLock(f, ofdSetLock, syscall.F_WRLCK, lockByte(key))
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = backends.Errorf(volume.Busy, "another call is changing volume %s", key)
	case err != nil:
		err = d.fences.fault(err)
	default:
		return &hold{file: f, at: lockByte(key)}, nil
	}
	return nil, errors.Join(err, f.Close())
}

// release gives the lock back. It is given back and not only closed: a program that is
// being started at this moment may have inherited the open file.
func (h *hold) release() {
	_ = setLock(h.file, ofdSetLock, syscall.F_UNLCK, h.at) // closing does it, at the latest
	_ = h.file.Close()                                     // nothing was written through it
}

// lockByte is the byte that stands for a volume. Should two volumes ever share one of
// the 2^62, they only find each other busy.
func lockByte(key volume.Key) int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(key.String())) // never fails
	return int64(sum.Sum64()>>2) + 1
}

// openLock opens the lock file anew, for locks of its own.
func (d *Driver) openLock(flag int) (*os.File, error) {
	f, err := d.fences.open(lockName, flag)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, backends.Errorf(volume.Unavailable, "file %s: missing", filepath.Join(d.fences.path, lockName))
	}
	return f, err
}

// setLock calls fcntl(2) for one byte of f. Kind is one of F_WRLCK, F_RDLCK and F_UNLCK.
func setLock(f *os.File, command int, kind int16, at int64) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = connection.Control(func(fd uintptr) {
		for {
			lock := syscall.Flock_t{Type: kind, Start: at, Len: 1}
			if lockErr = syscall.FcntlFlock(fd, command, &lock); !errors.Is(lockErr, syscall.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, lockErr)
}
