//go:build ceph

package ceph

import (
	"errors"
	"testing"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// leadTo makes a name lead to an image, as one half of a rename by librbd does.
func leadTo(c *conn, name, id string) error {
	e := &encoder{}
	e.text(id)
	return c.io.WriteFull(idObject+name, e.body)
}

// renames are what a rename that was killed leaves: each name leads to the image, and the
// directory has one of them.
var renames = map[string]struct {
	here bool // the object is still there
	make func(c *conn, own, name, id string) error
}{
	"the new name leads to it": {true, func(c *conn, _, name, id string) error { return leadTo(c, name, id) }},
	"the old name still leads to it": {false, func(c *conn, own, name, id string) error {
		return errors.Join(c.rename(id, own, name), leadTo(c, own, id))
	}},
	"it is renamed and still marked": {false, func(c *conn, own, name, id string) error { return c.rename(id, own, name) }},
}

// halfReleased is a volume whose Release was killed there.
func halfReleased(t *testing.T, d *driver, half func(c *conn, own, name, id string) error) (backends.Ref, volume.Image) {
	t.Helper()
	ref := created(t, d, "db-01")
	name := volume.ReleasedImage(ref.ID)
	withConn(t, d, func(c *conn) error {
		id, err := c.named(imageName(ref.Key))
		if err == nil {
			err = c.setForeign(id, ref, name)
		}
		if err == nil {
			err = half(c, imageName(ref.Key), string(name), id)
		}
		return err
	})
	return ref, name
}

// wantNames wants exactly these names to lead to an image.
func wantNames(t *testing.T, d *driver, there, gone string) {
	t.Helper()
	withConn(t, d, func(c *conn) error {
		id, err := c.named(there)
		if err != nil {
			return err
		}
		if err := c.isListed(there, id); err != nil {
			return err
		}
		if _, err := c.named(gone); !absent(err) {
			t.Errorf("name %s: got %v, want it to lead nowhere", gone, err)
		}
		return nil
	})
}

func TestRelease_KilledInTheRename_ObjectIsWhereTheDirectorySays(t *testing.T) {
	d := open(t, inNamespace(t))
	for name, half := range renames {
		t.Run(name, func(t *testing.T) {
			ref, image := halfReleased(t, d, half.make)
			if _, err := d.Get(t.Context(), ref.Key); half.here != (err == nil) || err != nil && !errors.Is(err, volume.NotFound) {
				t.Errorf("get: got %v, want it there %t", err, half.here)
			}
			ok(t, d.Release(t.Context(), ref, image), "release repeated")
			wantNames(t, d, string(image), imageName(ref.Key))
			withImage(t, d, string(image), func(i *rbd.Image) error {
				metadata, err := i.ListMetadata()
				if len(metadata) > 0 {
					t.Errorf("metadata: got %v, want none", metadata)
				}
				return err
			})
			next := backends.Ref{Key: ref.Key, ID: volume.NewID(ref.Key, 2)}
			size, err := d.Import(t.Context(), next, image)
			ok(t, err, "import")
			if size != small {
				t.Errorf("size: got %s, want %s", size, small)
			}
			wantNames(t, d, imageName(ref.Key), string(image))
			ok(t, d.Delete(t.Context(), next), "delete")
		})
	}
}

// TestRelease_KilledAfterTheRename_NothingTouchesTheImage: the operation was cancelled, and the
// volume's name is used again.
func TestRelease_KilledAfterTheRename_NothingTouchesTheImage(t *testing.T) {
	d := open(t, inNamespace(t))
	for name, half := range renames {
		if half.here {
			continue
		}
		t.Run(name, func(t *testing.T) {
			ref, image := halfReleased(t, d, half.make)
			ok(t, d.Delete(t.Context(), ref), "delete")
			next := backends.Ref{Key: ref.Key, ID: volume.NewID(ref.Key, 2)}
			ok(t, d.Create(t.Context(), next, small), "create under the same name")
			ok(t, d.Delete(t.Context(), next), "delete of that")
			size, err := d.Import(t.Context(), next, image)
			ok(t, err, "import of what was released")
			if size != small {
				t.Errorf("size: got %s, want %s", size, small)
			}
			ok(t, d.Delete(t.Context(), next), "delete")
		})
	}
}

func TestImport_WhatIsNotToBeTaken_IsRefused(t *testing.T) {
	cfg := inNamespace(t)
	d := open(t, cfg)
	other, into := refOf("other"), refOf("into")
	ok(t, d.Create(t.Context(), other, small), "create")
	wantNotTaken(t, d, into, volume.Image(imageName(other.Key)), volume.FailedPrecondition)
	refused(t, d.Release(t.Context(), other, "jetvol.a.b"), "release under a name of jetvol's", volume.FailedPrecondition)

	const image = volume.Image("strange")
	withConn(t, d, func(c *conn) error { return d.makeImage(c, string(image), small) })
	withImage(t, d, string(image), func(i *rbd.Image) error { _, err := i.CreateSnapshot("kept"); return err })
	wantNotTaken(t, d, into, image, volume.FailedPrecondition)
	withImage(t, d, string(image), func(i *rbd.Image) error { return i.GetSnapshot("kept").Remove() })
	withImage(t, open(t, cfg), string(image), func(*rbd.Image) error {
		wantNotTaken(t, d, into, image, volume.Busy)
		return nil
	})
	found, err := d.Importable(t.Context(), into, image)
	if want := (backends.Candidate{Size: small, Becomes: imageName(into.Key)}); err != nil || found != want {
		t.Errorf("look: got %+v, %v, want %+v", found, err, want)
	}
	_, err = d.Import(t.Context(), into, image)
	ok(t, err, "import")
	ok(t, errors.Join(d.Delete(t.Context(), into), d.Delete(t.Context(), other)), "delete")
}

// A clone needs its parent, whoever made it: it is told, and left as it is.
func TestImport_Clone_IsRefused(t *testing.T) {
	d := open(t, inNamespace(t))
	parent, child, into := refOf("parent"), refOf("child"), refOf("into")
	ok(t, d.Create(t.Context(), parent, small), "create")
	_, err := d.CreateSnapshot(t.Context(), parent, "kept")
	ok(t, err, "snapshot")
	ok(t, d.Clone(t.Context(), parent, "kept", child, small), "clone")
	const image = volume.Image("strange")
	withConn(t, d, func(c *conn) error {
		id, err := c.named(imageName(child.Key))
		return errors.Join(err, c.unmark(id), c.rename(id, imageName(child.Key), string(image)))
	})
	wantNotTaken(t, d, into, image, volume.FailedPrecondition)
}

// wantNotTaken wants an import to be refused, and before it the look at what it would be of.
func wantNotTaken(t *testing.T, d *driver, into backends.Ref, image volume.Image, class volume.Class) {
	t.Helper()
	_, err := d.Importable(t.Context(), into, image)
	refused(t, err, "look at "+string(image), class)
	_, err = d.Import(t.Context(), into, image)
	refused(t, err, "import of "+string(image), class)
}
