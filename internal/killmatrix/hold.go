package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/backends/local"
)

// hold keeps the local backend busy, as another process at work on the same volume would.
type hold struct {
	locks *os.File
}

// ofdSetLock is F_OFD_SETLK of fcntl(2): a lock that belongs to an open file.
const ofdSetLock = 37

// volumeLocks are the bytes of the lock file that stand for volumes: all but the first.
func volumeLocks(kind int16) *syscall.Flock_t {
	return &syscall.Flock_t{Type: kind, Start: 1, Len: 0}
}

// holdVolumes locks every volume of a local backend that has been opened before.
func holdVolumes(dir string) (*hold, error) {
	f, err := os.OpenFile(filepath.Join(dir, local.FencesDir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.FcntlFlock(f.Fd(), ofdSetLock, volumeLocks(syscall.F_WRLCK)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return &hold{locks: f}, nil
}

// release frees the volumes. It may be called again, and on nil.
func (h *hold) release() {
	if h == nil {
		return
	}
	// Unlock and not only close: a process that is being started at this moment may have
	// inherited the file. Both fail if it is closed already.
	_ = syscall.FcntlFlock(h.locks.Fd(), ofdSetLock, volumeLocks(syscall.F_UNLCK))
	_ = h.locks.Close()
}
