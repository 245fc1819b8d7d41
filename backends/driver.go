// Package backends is the border between jetvol and the systems that store volumes.
//
// A driver ([Driver]) is the code for one kind of system, named by its technology:
// local, ceph, lustre. A backend ([Backend]) is one configured instance of a driver,
// named by its operator: ceph-ssd. The worker speaks to a Backend; the Backend
// validates, bounds time and concurrency, classifies errors and measures, so that a
// driver stays thin. Neither ever retries: the worker does, because each attempt is a
// recorded transition.
//
// # The contract of a driver
//
// Every change is idempotent: carried out again with the same arguments, after a
// success, a failure or a crash at any point, it ends in the same state and returns
// the same result. What it finds done already is success. An object with the wanted
// name and another ID is a stranger's: it is never changed, and Create, Attach, Detach,
// Resize, Evict and Delete return [volume.AlreadyExists] or [volume.FailedPrecondition]
// instead. A missing object is [volume.NotFound], except for Delete, whose goal it is.
// What lies in a volume's place and was not made by jetvol is foreign and treated like a
// stranger's; Get says NotFound, AlreadyExists or FailedPrecondition, List passes over it.
//
// Errors carry a class, found by errors.Is: wrap with [Errorf]. An error without one
// counts as internal and is not retried. When a context ends, the driver may return at
// once; the outcome is then unknown, and the call will be made again.
//
// # Stale callers
//
// A worker may be stopped for any time, before a call or in the middle of one, and go on
// when another has taken its place. A driver that is a [Fencer] refuses what such a late
// call wants. Its owner follows this order: raise the epoch in the record, Fence, and
// only then act. A driver that is none may let a late call through.
package backends

import (
	"context"
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// Ref names one object of a backend, the volume's key and the identity of its life, and
// says with what right the caller acts on it.
type Ref struct {
	Key volume.Key
	ID  volume.ID
	// Epoch is the fencing token of the record's owner, raised whenever another worker
	// goes on with an operation. Zero, the lowest, is a caller without one, such as a
	// person: it is taken until the key is fenced. A driver keeps it nowhere but in a
	// fence; in an Object it is zero.
	Epoch uint64
}

// Validate returns a [volume.ErrInvalidName] if the key is not one or the ID is not of
// a life of that key.
func (r Ref) Validate() error {
	if err := r.Key.Validate(); err != nil {
		return err
	}
	key, err := r.ID.Key()
	if err != nil {
		return err
	}
	if key != r.Key {
		return volume.Errorf(volume.ErrInvalidName, "volume id %s: not an id of volume %s", r.ID, r.Key)
	}
	return nil
}

// Object is a volume as the backend has it.
type Object struct {
	Ref
	Size volume.Bytes
	// Attachments are the nodes that hold the volume, in the order of their names; nil
	// while none does.
	Attachments volume.Attachments
}

// Health is what a driver says of the system behind it.
type Health struct {
	Driver  string            // the technology: "local"
	Version string            // of the system behind it, or of the driver
	Facts   map[string]string // free text for people: directory, free space, …
}

// Driver is the code for one kind of storage system. Its methods are called
// concurrently, for one volume never more than one at a time by this process, except that
// an Evict may come beside another call; see [Evictor].
type Driver interface {
	// Create makes an empty object of the given size. An object of the same ID is
	// success if its size is the wanted one and FailedPrecondition if not; an object
	// with the key of another ID is AlreadyExists.
	Create(ctx context.Context, ref Ref, size volume.Bytes) error

	// Delete removes the object with the given key and ID. An object that is not
	// there is success, and so is one with another ID: that one is left alone. While a
	// node holds the object, a client has it open, or snapshots of it are left, it is
	// refused by a [BlockedError].
	Delete(ctx context.Context, ref Ref) error

	// Get returns what the backend has under the key, whatever its ID, or NotFound.
	Get(ctx context.Context, key volume.Key) (Object, error)

	// Attach reserves the object for a node and returns what the node needs to reach
	// it: for one node that writes, or for any number that only read. Held by the same
	// node in the same mode is success, and read-only is success beside others that are.
	// Held otherwise is FailedPrecondition naming every holder.
	Attach(ctx context.Context, ref Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error)

	// Detach ends the reservation of the node and no other. Not held by the node is
	// success, because an earlier call may have ended that, unless another node holds the
	// object for writing: that is FailedPrecondition naming the holder.
	Detach(ctx context.Context, ref Ref, node volume.Node) error

	// Health returns facts about the backend, or the error that users would meet.
	Health(ctx context.Context) (Health, error)

	// Close releases what the driver holds. No other call is made after it.
	Close() error
}

// Resizer is a driver that can change an object's size.
type Resizer interface {
	// Resize grows the object. At the wanted size already is success; larger than
	// that is FailedPrecondition: no driver shrinks.
	Resize(ctx context.Context, ref Ref, size volume.Bytes) error
}

// Lister is a driver that can tell what it has.
type Lister interface {
	// List calls yield for each object in no particular order until yield returns
	// false. Objects made or removed meanwhile may or may not be told.
	List(ctx context.Context, yield func(Object) bool) error
}

// Capabilities says which optional abilities a driver has.
type Capabilities struct {
	Resize   bool `json:"resize"`
	List     bool `json:"list"`
	Fence    bool `json:"fence"`
	Evict    bool `json:"evict"`
	Snapshot bool `json:"snapshot"`
	Clone    bool `json:"clone"`
	Usage    bool `json:"usage"`
	Import   bool `json:"import"`
}

// CapabilitiesOf reports the optional interfaces that d implements.
func CapabilitiesOf(d Driver) Capabilities {
	_, resize := d.(Resizer)
	_, list := d.(Lister)
	_, fence := d.(Fencer)
	_, evict := d.(Evictor)
	_, snapshot := d.(Snapshotter)
	_, clone := d.(Cloner)
	_, usage := d.(UsageReporter)
	_, imports := d.(Importer)
	return Capabilities{
		Resize: resize, List: list, Fence: fence, Evict: evict,
		Snapshot: snapshot, Clone: clone, Usage: usage, Import: imports,
	}
}

// Errorf returns an error of the given class. Its message is formatted like
// fmt.Errorf, with %w operands wrapped; the class is found by errors.Is.
func Errorf(class volume.Class, format string, args ...any) error {
	return &classed{class, fmt.Errorf(format, args...)}
}

type classed struct {
	class volume.Class
	error
}

func (e *classed) Error() string   { return e.error.Error() + ": " + string(e.class) }
func (e *classed) Unwrap() []error { return []error{e.class, e.error} }
