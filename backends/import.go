package backends

import (
	"cmp"
	"context"

	"github.com/jetvol/jetvol/volume"
)

// Importer is a driver that can give an object away and take in what jetvol did not make.
// What is given away, or has not been taken in, is foreign: it has a name that the people of
// the system chose, no mark of jetvol, and no call but these looks at it. None moves or
// copies any data, and none may lose some, wherever it is killed.
type Importer interface {
	// Release takes the marks of jetvol off the object and gives it the foreign name. There
	// being nothing under ref, and something under the name, is success: an earlier call
	// has done it. There being neither is NotFound.
	//
	// Refused by a [BlockedError] while a node holds the object, a client has it open, or
	// snapshots of it are left. FailedPrecondition if the name is taken, or not one that the
	// driver gives away. Nothing is changed then.
	Release(ctx context.Context, ref Ref, name volume.Image) error

	// Import gives what has the foreign name that of ref, marks it as ref's object, and
	// returns its size. An object of ref is success, whatever the foreign name stands for
	// now. An object of the key with another ID is AlreadyExists, nothing under the name is
	// NotFound.
	//
	// Refused by a [BlockedError] while a client has it open or it has snapshots;
	// FailedPrecondition if it is marked for another volume, or cannot be a volume. Nothing
	// is changed then.
	Import(ctx context.Context, ref Ref, name volume.Image) (volume.Bytes, error)

	// Importable looks at what has the foreign name and changes nothing: it returns what
	// Import would make of it now, or the error with which Import would refuse it, but for
	// a fence, which it does not ask. By the time of an Import either may have changed.
	Importable(ctx context.Context, ref Ref, name volume.Image) (Candidate, error)
}

// Candidate is what an [Importer] could take in.
type Candidate struct {
	Size volume.Bytes
	// Becomes is the system's name of the object that it would be, for people: of an image
	// or a file.
	Becomes string
}

// Release gives the object away under a foreign name; see [Importer] for what it returns. It
// returns Unsupported if the driver is none, and InvalidArgument for invalid arguments.
func (b *Backend) Release(ctx context.Context, ref Ref, name volume.Image) error {
	c, importer := b.importCall("release", " as ", ref, name)
	return b.change(ctx, c, func(ctx context.Context) error {
		return importer.Release(ctx, ref, name)
	})
}

// Import takes in what has a foreign name, and returns its size; see [Importer] for what it
// returns. It returns Unsupported if the driver is none, and InvalidArgument for invalid
// arguments.
func (b *Backend) Import(ctx context.Context, ref Ref, name volume.Image) (volume.Bytes, error) {
	c, importer := b.importCall("import", " from ", ref, name)
	return perform(ctx, b, c, func(ctx context.Context) (volume.Bytes, error) {
		return importer.Import(ctx, ref, name)
	})
}

// Importable says what an Import would take in; see [Importer] for what it returns. It returns
// Unsupported if the driver is none, and InvalidArgument for invalid arguments.
func (b *Backend) Importable(ctx context.Context, ref Ref, name volume.Image) (Candidate, error) {
	c, importer := b.importCall("importable", " from ", ref, name)
	return perform(ctx, b, c, func(ctx context.Context) (Candidate, error) {
		return importer.Importable(ctx, ref, name)
	})
}

// importCall is the call of an Importer's method, and the driver as one.
func (b *Backend) importCall(method, preposition string, ref Ref, name volume.Image) (call, Importer) {
	importer, able := b.driver.(Importer)
	c := call{
		method: method, key: ref.Key, detail: preposition + string(name),
		invalid: cmp.Or(ref.Validate(), name.Validate()),
	}
	return c.needs(able, "driver cannot release or import"), importer
}
