package local

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const (
	fileMode      = 0o600
	directoryMode = 0o700
)

// directory is the one place that touches the disk, apart from the journal.
type directory struct {
	path     string      // absolute
	root     *os.Root    // held open, so that its inode is not given to another
	identity fs.FileInfo // of root
	// step is called before each change to the disk; the crash test ends the process
	// there.
	step func()
}

func openDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, backends.Errorf(volume.Unavailable, "directory %s: %w", path, err)
	}
	d := &directory{path: path, step: func() {}}
	if err := makeDirectory(path); err != nil {
		return nil, d.fault(err)
	}
	if d.root, err = os.OpenRoot(path); err != nil {
		return nil, d.fault(err)
	}
	if d.identity, err = d.root.Stat("."); err != nil {
		return nil, errors.Join(d.fault(err), d.close())
	}
	return d, nil
}

// makeDirectory makes the directory last, so that a path mistyped further up is not
// taken for a wish.
func makeDirectory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(path, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }() // nothing was written through it
	return parent.Sync()
}

func (d *directory) close() error { return d.root.Close() }

// present returns Unavailable unless the path still leads to the directory that was
// opened. Without this an unmounted file system would look like a directory whose
// volumes were all deleted.
func (d *directory) present() error {
	info, err := os.Stat(d.path)
	if err != nil {
		return d.fault(err)
	}
	if !os.SameFile(info, d.identity) {
		return backends.Errorf(volume.Unavailable, "directory %s: not the one that was opened: unmounted or replaced", d.path)
	}
	return nil
}

// exists reports whether there is something of that name, and returns
// FailedPrecondition if it is not a regular file.
func (d *directory) exists(name string) (bool, error) {
	_, err := d.lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// lstat describes a regular file; it returns fs.ErrNotExist if there is none.
func (d *directory) lstat(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, d.fault(err)
	case !info.Mode().IsRegular():
		return nil, d.refused(name, info.Mode())
	}
	return info, nil
}

func (d *directory) refused(name string, mode fs.FileMode) error {
	kind := "not a regular file"
	if name == FencesDir {
		kind = "not a directory"
	}
	if mode&fs.ModeSymlink != 0 {
		kind = "a symbolic link"
	}
	return backends.Errorf(volume.FailedPrecondition, "file %s: %s, refused", filepath.Join(d.path, name), kind)
}

// open opens a regular file. It returns fs.ErrNotExist if there is none and Busy if it
// was exchanged at the same moment.
func (d *directory) open(name string, flag int) (*os.File, error) {
	if _, err := d.lstat(name); err != nil {
		return nil, err
	}
	// O_NONBLOCK: should a pipe take the file's place now, do not wait for its writer.
	f, err := d.root.OpenFile(name, flag|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, d.fault(err)
	}
	if err := d.same(name, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// maxRead bounds what is read of a file, in bytes; a real one has a few hundred, up to 300
// more for each of [volume.MaxAttachments] nodes and 170 for each of [MaxSnapshots].
const maxRead = 256 << 10

// looks is how often something is looked at without a lock, when each time a change comes
// into the middle of the look.
const looks = 5

// read returns the content of a small regular file, or fs.ErrNotExist. A file that is
// replaced at this moment is read again.
func (d *directory) read(name string) (data []byte, err error) {
	for range looks {
		if data, err = d.readOnce(name); !errors.Is(err, volume.Busy) {
			break
		}
	}
	return data, err
}

func (d *directory) readOnce(name string) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	return data, d.fault(err)
}

// touch makes an empty file unless there is one already.
func (d *directory) touch(name string) error {
	// O_EXCL: never through a link.
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return d.fault(err)
	}
	return d.fault(f.Close())
}

// same returns Busy unless f is the regular file that has the name now. Checked after
// opening, because os.Root follows links inside the directory.
func (d *directory) same(name string, f *os.File) error {
	opened, err := f.Stat()
	if err != nil {
		return d.fault(err)
	}
	named, err := d.lstat(name)
	if err == nil && os.SameFile(named, opened) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return backends.Errorf(volume.Busy, "file %s: replaced by another process", filepath.Join(d.path, name))
}

// replace puts data durably in the place of the named file, or leaves it as it was.
func (d *directory) replace(name, temporary string, data []byte) error {
	if err := d.writeNew(temporary, data); err != nil {
		return errors.Join(err, d.discard(temporary))
	}
	d.step()
	if err := d.root.Rename(temporary, name); err != nil {
		return errors.Join(d.fault(err), d.discard(temporary))
	}
	return d.sync()
}

func (d *directory) writeNew(name string, data []byte) error {
	d.step()
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return d.fault(err)
	}
	d.step()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return d.fault(err)
}

// discard removes a file if it is there.
func (d *directory) discard(name string) error {
	d.step()
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.fault(err)
	}
	return nil
}

// discardImage removes a regular file if it is there. What took its place is not ours to
// remove.
func (d *directory) discardImage(name string) error {
	if there, err := d.exists(name); err != nil || !there {
		return err
	}
	return d.discard(name)
}

// sync makes the directory's entries durable.
func (d *directory) sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return d.fault(err)
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	return d.fault(f.Sync())
}

// temporaryName is a name that only one call uses.
func temporaryName(key volume.Key) string {
	return temporaryPrefix + key.String() + "." + rand.Text() + temporarySuffix
}
