package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/volume"
)

// Names of the local backend's files: `<project>.<name>` and one of these.
const (
	imageSuffix   = ".img"
	sidecarSuffix = ".json"
)

// hold keeps a volume of the local backend busy, as another process would.
type hold struct {
	image *os.File
	made  bool // the image was not there before
}

// holdVolume locks the volume's image, which it makes if there is none.
func holdVolume(dir string, key volume.Key) (*hold, error) {
	name := filepath.Join(dir, key.String()+imageSuffix)
	_, err := os.Lstat(name)
	made := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits
		return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
	}
	return &hold{image: f, made: made}, nil
}

// release frees the volume. It may be called again, and on nil.
func (h *hold) release() {
	if h != nil {
		_ = h.image.Close() // closing unlocks; nothing was written
	}
}

// tidy removes the image that was made for the hold, if no volume came to be of it.
func (h *hold) tidy() error {
	if h == nil || !h.made {
		return nil
	}
	name := h.image.Name()
	if _, err := os.Lstat(name[:len(name)-len(imageSuffix)] + sidecarSuffix); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info, err := os.Lstat(name); err != nil || info.Size() > 0 {
		return nil // gone, or something that the checks have to see
	}
	return os.Remove(name)
}
