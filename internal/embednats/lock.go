package embednats

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jetvol/jetvol/volume"
)

// ErrDirectoryInUse says that another server, of this process or another, holds the
// directory. Its class is [volume.Busy].
var ErrDirectoryInUse = fmt.Errorf("directory in use by another server: %w", volume.Busy)

// lockName is the file in the directory that carries the lock. It is never removed: a
// process that has it open would then lock a file that no other process can see.
const lockName = "jetvol.lock"

// maxHolder bounds what is read of the lock file for the message of a refusal.
const maxHolder = 32

// lockDirectory takes dir for this process until the returned file is closed or the
// process ends. It returns [ErrDirectoryInUse] at once if dir is taken.
func lockDirectory(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// The number is for people only: whether dir is taken is for the kernel to say.
	if err := writeHolder(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func lockFile(file *os.File) error {
	// flock(2): the lock belongs to the open file, which is not inherited across exec.
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock: held by %s, stop it or choose another directory: %w", holder(file), ErrDirectoryInUse)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return nil
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(file, "process %d\n", os.Getpid())
	return err
}

// holder returns what the lock file says of who holds it.
func holder(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, maxHolder))
	if err != nil || len(text) == 0 {
		return "an unknown process"
	}
	return strings.TrimSpace(string(text))
}
