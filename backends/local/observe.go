package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Get reads the sidecar; see [backends.Driver]. It takes no lock.
func (d *Driver) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if err := key.Validate(); err != nil {
		return backends.Object{}, err
	}
	if err := d.ready(ctx); err != nil {
		return backends.Object{}, err
	}
	return d.get(key)
}

// get looks at a damaged object again: a delete, a create or a restore may have come
// between the look at its sidecar and that at its image.
func (d *Driver) get(key volume.Key) (object backends.Object, err error) {
	for range looks {
		if object, err = d.look(key); !errors.Is(err, volume.Internal) {
			return object, err
		}
	}
	return object, err
}

func (d *Driver) look(key volume.Key) (backends.Object, error) {
	found, err := d.load(key)
	if err != nil {
		return backends.Object{}, err
	}
	name, info, err := d.lstatImage(key, found)
	if errors.Is(err, fs.ErrNotExist) {
		return backends.Object{}, d.dir.lost(name)
	}
	if err != nil {
		return backends.Object{}, err
	}
	if err := d.dir.damaged(name, volume.Bytes(info.Size()), found.Size); err != nil {
		return backends.Object{}, err
	}
	object := backends.Object{Ref: backends.Ref{Key: key, ID: found.ID}, Size: found.Size}
	for _, attachment := range found.Attachments {
		object.Attachments = append(object.Attachments, d.attachment(key, attachment))
	}
	return object, nil
}

// lstatImage describes the file with the content of the object, and returns its name.
func (d *Driver) lstatImage(key volume.Key, found sidecar) (string, fs.FileInfo, error) {
	if found.Restored {
		name := restoredName(key)
		if info, err := d.dir.lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return name, info, err
		}
	}
	name := imageName(key)
	info, err := d.dir.lstat(name)
	return name, info, err
}

// List tells the whole objects; see [backends.Lister]. A damaged one does not hide the
// others: it is told in the error, after them.
func (d *Driver) List(ctx context.Context, yield func(backends.Object) bool) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	var damaged []error
	err := d.dir.each(func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, candidate := d.candidate(name)
		if !candidate {
			return nil
		}
		object, err := d.get(key)
		switch {
		case errors.Is(err, volume.NotFound):
			return nil
		case errors.Is(err, volume.Internal), errors.Is(err, volume.FailedPrecondition):
			damaged = append(damaged, err)
			return nil
		case err != nil:
			return err
		case !yield(object):
			return errStopped
		}
		return nil
	})
	switch {
	case errors.Is(err, errStopped):
		return nil
	case err != nil || damaged == nil:
		return err
	}
	// Text only: damaged is Internal, whatever class the single errors have.
	return backends.Errorf(volume.Internal, "%d damaged: %v", len(damaged), errors.Join(damaged...))
}

var errStopped = errors.New("list stopped by its caller")

// candidate returns the key of the object that the file tells of, once per object: the
// image does, being the entry that no change renames and that no readdir can miss; the
// sidecar only if its image is lost.
func (d *Driver) candidate(name string) (volume.Key, bool) {
	base, isImage := strings.CutSuffix(name, imageSuffix)
	base, isSidecar := strings.CutSuffix(base, sidecarSuffix)
	if isImage == isSidecar {
		return volume.Key{}, false
	}
	key, err := volume.ParseKey(base)
	if err != nil {
		return volume.Key{}, false
	}
	if isImage {
		return key, true
	}
	hasImage, err := d.dir.exists(imageName(key))
	return key, err == nil && !hasImage
}

// batch is how many names are read at once: a directory may hold a million.
const batch = 512

// each calls f for each name in the directory until f returns an error, and returns that.
func (d *directory) each(f func(name string) error) error {
	handle, err := d.root.Open(".")
	if err != nil {
		return d.fault(err)
	}
	defer func() { _ = handle.Close() }() // nothing was written through it
	for {
		names, err := handle.Readdirnames(batch)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return d.fault(err)
		}
	}
}
