package cephproc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lockPause stands between two tries to get the lock.
const lockPause = 20 * time.Millisecond

// locked calls f while no other process, and no other caller in this one, changes the
// cluster. It waits for its turn until ctx ends. It returns [ErrNoCluster] if there is no
// directory, or none any more.
func (c *Cluster) locked(ctx context.Context, f func(context.Context) error) error {
	dir, err := os.Open(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", c.dir, ErrNoCluster)
	}
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // which releases the lock
	if err := lock(ctx, dir); err != nil {
		return fmt.Errorf("wait for another command on %s: %w", c.dir, err)
	}
	if !c.isAt(dir) { // while we waited, Down removed it
		return fmt.Errorf("%s: %w", c.dir, ErrNoCluster)
	}
	return f(ctx)
}

func lock(ctx context.Context, dir *os.File) error {
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for {
		// flock(2): the lock belongs to the open file, which the daemons do not inherit.
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isAt reports whether the open directory is still the one that the path names.
func (c *Cluster) isAt(dir *os.File) bool {
	opened, err := dir.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(c.dir)
	return err == nil && os.SameFile(opened, named)
}
