package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// image is a volume's data file, open and locked against other processes.
type image struct {
	dir  *directory
	file *os.File
	name string
}

// lock opens and locks the image of a volume. It returns fs.ErrNotExist if there is
// none, and Busy if another call holds it.
func (d *Driver) lock(key volume.Key) (*image, error) {
	name := imageName(key)
	f, err := d.dir.open(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	return d.dir.lock(name, f)
}

// lockOrMake is lock, but makes an empty image if there is none.
func (d *Driver) lockOrMake(key volume.Key) (*image, error) {
	img, err := d.lock(key)
	if !errors.Is(err, fs.ErrNotExist) {
		return img, err
	}
	name := imageName(key)
	d.dir.step()
	// O_EXCL: never through a link that was planted since.
	f, err := d.dir.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil, backends.Errorf(volume.Busy, "file %s: made by another process", filepath.Join(d.dir.path, name))
	}
	if err != nil {
		return nil, d.dir.fault(err)
	}
	return d.dir.lock(name, f)
}

func (d *directory) lock(name string, f *os.File) (*image, error) {
	err := flock(f)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = backends.Errorf(volume.Busy, "file %s: another call is changing it", filepath.Join(d.path, name))
	} else if err != nil {
		err = d.fault(err)
	} else {
		// Its last holder may have removed it: then this lock is on nothing.
		err = d.same(name, f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &image{dir: d, file: f, name: name}, nil
}

// flock calls flock(2) for an exclusive lock and does not wait for it.
func flock(f *os.File) error {
	connection, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = connection.Control(func(fd uintptr) {
		lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	return errors.Join(err, lockErr)
}

// close unlocks the image. Its data was synced where that matters, so nothing is lost
// with the error.
func (i *image) close() { _ = i.file.Close() }

// resize gives the image its size, sparsely, and makes that durable.
func (i *image) resize(size volume.Bytes) error {
	if err := i.truncate(size); err != nil {
		return err
	}
	return i.dir.fault(i.file.Sync())
}

func (i *image) truncate(size volume.Bytes) error {
	i.dir.step()
	return i.dir.fault(i.file.Truncate(int64(size)))
}

func (i *image) size() (volume.Bytes, error) {
	info, err := i.file.Stat()
	if err != nil {
		return 0, i.dir.fault(err)
	}
	return volume.Bytes(info.Size()), nil
}

// damaged returns Internal if the image is shorter than recorded, which no crash
// causes: data is lost.
func (d *directory) damaged(name string, size, recorded volume.Bytes) error {
	if size >= recorded {
		return nil
	}
	return backends.Errorf(volume.Internal, "file %s: %s long, recorded are %s", filepath.Join(d.path, name), size, recorded)
}

// lost is the error of an object whose image is missing.
func (d *directory) lost(key volume.Key) error {
	return backends.Errorf(volume.Internal, "file %s: missing, though its sidecar exists", filepath.Join(d.path, imageName(key)))
}
