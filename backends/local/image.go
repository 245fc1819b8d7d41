package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// image is a volume's data file, open while the lock of the volume is held.
type image struct {
	dir  *directory
	file *os.File
	name string
}

// openImage opens the image of a volume, whose lock is held. It returns fs.ErrNotExist if
// there is none.
func (d *Driver) openImage(key volume.Key) (*image, error) {
	name := imageName(key)
	f, err := d.dir.open(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	return &image{dir: d.dir, file: f, name: name}, nil
}

// openOrMakeImage is openImage, but makes an empty image if there is none.
func (d *Driver) openOrMakeImage(key volume.Key) (*image, error) {
	img, err := d.openImage(key)
	if !errors.Is(err, fs.ErrNotExist) {
		return img, err
	}
	return d.makeImage(imageName(key), fileMode)
}

// makeImage makes an empty file of that name, which must not be there.
func (d *Driver) makeImage(name string, mode fs.FileMode) (*image, error) {
	d.dir.step()
	// O_EXCL: never through a link that was planted since.
	f, err := d.dir.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, d.dir.fault(err)
	}
	return &image{dir: d.dir, file: f, name: name}, nil
}

// close closes the image. Its data was synced where that matters, so nothing is lost
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

// lost is the error of a file that is missing.
func (d *directory) lost(name string) error {
	return backends.Errorf(volume.Internal, "file %s: missing, though its sidecar exists", filepath.Join(d.path, name))
}
