package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var _ backends.Importer = (*Driver)(nil)

// Release makes the image a file of the directory under its foreign name; see
// [backends.Importer]. A file that has the name, and a name that files of volumes may have,
// are FailedPrecondition.
func (d *Driver) Release(ctx context.Context, ref backends.Ref, name volume.Image) error {
	if err := foreignName(name); err != nil {
		return err
	}
	held, err := d.begin(ctx, ref)
	if err != nil {
		return err
	}
	defer held.release()
	found, err := d.load(ref.Key)
	switch {
	case errors.Is(err, volume.NotFound), err == nil && found.ID != ref.ID:
		return d.wasReleased(ref, name, err != nil)
	case err != nil:
		return err
	}
	if err := backends.Blocked(append(backends.Holders(found.Attachments), found.blockers()...)...); err != nil {
		return err
	}
	if err := d.unused(name); err != nil {
		return err
	}
	return d.moveOut(ref, found, name)
}

// moveOut takes the object out of the directory. The rename is the step with which it is gone.
func (d *Driver) moveOut(ref backends.Ref, found sidecar, name volume.Image) error {
	img, err := d.openWhole(ref.Key, &found)
	if err != nil {
		return err
	}
	defer img.close()
	// Longer than recorded is what a killed Resize left.
	if err := img.resize(found.Size); err != nil {
		return err
	}
	if err := d.discardUnfinished(ref.Key, &found); err != nil {
		return err
	}
	found.Foreign = name
	if err := d.store(ref.Key, found); err != nil {
		return err
	}
	if err := d.rename(imageName(ref.Key), string(name)); err != nil {
		return err
	}
	if err := d.record(JournalEntry{Change: ChangeRelease, ID: ref.ID, Size: found.Size, Foreign: name}, ref.Key); err != nil {
		return err
	}
	return d.wasReleased(ref, name, true)
}

// wasReleased is the end of a Release: the file is there, and the sidecar goes, if it is not
// that of another life.
func (d *Driver) wasReleased(ref backends.Ref, name volume.Image, own bool) error {
	there, err := d.dir.exists(string(name))
	switch {
	case err != nil:
		return err
	case !there:
		return backends.Errorf(volume.NotFound, "neither %s is here nor file %s", ref.ID, filepath.Join(d.dir.path, string(name)))
	}
	if own {
		if err := d.dir.discardImage(sidecarName(ref.Key)); err != nil {
			return err
		}
	}
	return d.dir.sync()
}

// Import makes the file the image of a new object; see [backends.Importer]. Only a regular
// file can be one.
func (d *Driver) Import(ctx context.Context, ref backends.Ref, name volume.Image) (volume.Bytes, error) {
	if err := foreignName(name); err != nil {
		return 0, err
	}
	held, err := d.begin(ctx, ref)
	if err != nil {
		return 0, err
	}
	defer held.release()
	found, err := d.load(ref.Key)
	switch {
	case errors.Is(err, volume.NotFound):
		return d.moveIn(ref, name)
	case err != nil:
		return 0, err
	case found.ID != ref.ID:
		return 0, backends.Errorf(volume.AlreadyExists, "another volume is here: %s", found.ID)
	}
	return found.Size, d.dir.sync()
}

// Importable looks at the file and takes no lock; see [backends.Importer].
func (d *Driver) Importable(ctx context.Context, ref backends.Ref, name volume.Image) (backends.Candidate, error) {
	if err := foreignName(name); err != nil {
		return backends.Candidate{}, err
	}
	if err := d.readyFor(ctx, ref); err != nil {
		return backends.Candidate{}, err
	}
	found, err := d.load(ref.Key)
	size := found.Size
	switch {
	case errors.Is(err, volume.NotFound):
		size, err = d.foreignSize(name)
	case err == nil && found.ID != ref.ID:
		err = backends.Errorf(volume.AlreadyExists, "another volume is here: %s", found.ID)
	}
	if err != nil {
		return backends.Candidate{}, err
	}
	return backends.Candidate{Size: size, Becomes: imageName(ref.Key)}, nil
}

// foreignSize returns the size of a file that can be a volume.
func (d *Driver) foreignSize(name volume.Image) (volume.Bytes, error) {
	info, err := d.dir.lstat(string(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, backends.Errorf(volume.NotFound, "no file %s", filepath.Join(d.dir.path, string(name)))
	}
	if err != nil {
		return 0, err
	}
	size := volume.Bytes(info.Size())
	if err := size.ValidateSize(); err != nil {
		return 0, backends.Errorf(volume.FailedPrecondition, "file %s cannot be a volume: %v", filepath.Join(d.dir.path, string(name)), err)
	}
	return size, nil
}

// moveIn makes an object of the file. The rename is the step with which it is there: until
// then its sidecar is of an image that is elsewhere.
func (d *Driver) moveIn(ref backends.Ref, name volume.Image) (volume.Bytes, error) {
	size, err := d.foreignSize(name)
	if err != nil {
		return 0, err
	}
	// What a killed Create left has no data. The sidecar goes first: it may be of what was released.
	if err := d.dir.discardImage(sidecarName(ref.Key)); err != nil {
		return 0, err
	}
	for _, left := range []string{imageName(ref.Key), restoredName(ref.Key)} {
		if err := d.dir.discardImage(left); err != nil {
			return 0, err
		}
	}
	// No image is left in the place of the one that the sidecar is about to be of.
	if err := d.dir.sync(); err != nil {
		return 0, err
	}
	s := newSidecar(ref, size)
	s.Foreign = name
	if err := d.store(ref.Key, s); err != nil {
		return 0, err
	}
	if err := d.rename(string(name), imageName(ref.Key)); err != nil {
		return 0, err
	}
	return size, d.record(JournalEntry{Change: ChangeImport, ID: ref.ID, Size: size, Foreign: name}, ref.Key)
}

// foreignName refuses a name that the file of a volume may have, or a file of the driver's own.
func foreignName(name volume.Image) error {
	if err := name.Validate(); err != nil {
		return err
	}
	base, found := strings.CutSuffix(string(name), imageSuffix)
	if !found {
		base, found = strings.CutSuffix(base, sidecarSuffix)
	}
	base, _ = strings.CutSuffix(base, strings.TrimSuffix(restoredSuffix, imageSuffix))
	if _, err := volume.ParseKey(base); found && err == nil {
		return backends.Errorf(volume.FailedPrecondition, "name %s: is one of the files of volume %s", name, base)
	}
	return nil
}

// unused refuses a name that something has already.
func (d *Driver) unused(name volume.Image) error {
	there, err := d.dir.exists(string(name))
	if err == nil && there {
		err = d.taken(string(name))
	}
	return err
}

func (d *Driver) taken(name string) error {
	return backends.Errorf(volume.FailedPrecondition, "file %s: exists already", filepath.Join(d.dir.path, name))
}

// rename gives a file another name, durably, and refuses one that is taken (renameat2(2)).
func (d *Driver) rename(from, to string) error {
	at, err := d.dir.root.Open(".")
	if err != nil {
		return d.dir.fault(err)
	}
	defer func() { _ = at.Close() }() // nothing was written through it
	d.dir.step()
	fd := int(at.Fd())
	err = unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, fs.ErrExist):
		return d.taken(to)
	case errors.Is(err, unix.EINVAL): // the file system has no RENAME_NOREPLACE
		return backends.Errorf(volume.FailedPrecondition, "directory %s: %w", d.dir.path, os.NewSyscallError("renameat2", err))
	case err != nil:
		return d.dir.fault(os.NewSyscallError("renameat2", err))
	}
	return d.dir.sync()
}
