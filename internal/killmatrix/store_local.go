package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/backends/local"
	trials "github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// localStore keeps volumes in the directories of the trials.
type localStore struct{}

func (localStore) close() error { return nil }

func (localStore) room(_ context.Context, dir string) (room, error) {
	r := &localRoom{Disk: trials.Disk{Dir: dir, Journal: filepath.Join(dir, "journal.jsonl")}}
	return r, os.MkdirAll(r.Volumes(), 0o700)
}

// localRoom is a directory.
type localRoom struct {
	trials.Disk
	file string // the workers' configuration, if they have one
}

func (r *localRoom) failpoints() []string { return nil }

// Flags are those of a worker over this directory.
func (r *localRoom) Flags() []string {
	if r.file != "" {
		return []string{"--config", r.file}
	}
	return r.Disk.Flags()
}

func (r *localRoom) driver(context.Context) (tampered, error) {
	return local.Open(local.Options{Dir: r.Volumes()})
}

// localConfig is the configuration of a worker over a directory.
const localConfig = `backends:
  local:
    driver: local
    dir: %s
    journal: %s
`

func (r *localRoom) decide(policy volume.RecordOnly) error {
	r.file = filepath.Join(r.Dir, "jetvol.yaml")
	return policyFile(r.file, fmt.Sprintf(localConfig, r.Volumes(), r.Journal), policy)
}

// ofdSetLock is F_OFD_SETLK of fcntl(2): a lock that belongs to an open file.
const ofdSetLock = 37

// volumeLocks are the bytes of the lock file that stand for volumes: all but the first.
func volumeLocks(kind int16) *syscall.Flock_t {
	return &syscall.Flock_t{Type: kind, Start: 1, Len: 0}
}

// hold locks every volume of a backend that has been opened before, as another process at
// work on them would.
func (r *localRoom) hold() (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(r.Volumes(), local.FencesDir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.FcntlFlock(f.Fd(), ofdSetLock, volumeLocks(syscall.F_WRLCK)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return func() {
		// Unlock and not only close: a process that is being started at this moment may
		// have inherited the file. Both fail if it is closed already.
		_ = syscall.FcntlFlock(f.Fd(), ofdSetLock, volumeLocks(syscall.F_UNLCK))
		_ = f.Close()
	}, nil
}
