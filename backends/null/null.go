// Package null has drivers that store nothing. They take as long as they are told to, so
// a benchmark of jetvol over one measures jetvol.
//
// [Driver] remembers its objects as long as its process lives and fulfils the whole
// contract of a driver within that process. Workers in several processes would each have
// a memory of their own: a volume that moves from one to another would be missing there,
// and one that moves back would be as it was long ago. They use [Blind], which remembers
// nothing and says so.
package null

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// DriverName is what [Driver.Health] calls this driver.
const DriverName = "null"

// Options say how the driver behaves. The zero value answers at once.
type Options struct {
	// Latency is how long each call waits before it acts.
	Latency time.Duration
}

// Driver remembers objects in memory until the process ends. It implements
// [backends.Driver], [backends.Resizer], [backends.Lister], [backends.Fencer] and
// [backends.Evictor].
type Driver struct {
	latency time.Duration

	mu      sync.Mutex
	objects map[volume.Key]backends.Object // guarded by mu
	fences  map[volume.Key]uint64          // guarded by mu; the lowest epoch that is taken
}

var (
	_ backends.Driver  = (*Driver)(nil)
	_ backends.Resizer = (*Driver)(nil)
	_ backends.Lister  = (*Driver)(nil)
	_ backends.Fencer  = (*Driver)(nil)
	_ backends.Evictor = (*Driver)(nil)
)

// New returns a driver without objects.
func New(opts Options) *Driver {
	return &Driver{
		latency: opts.Latency,
		objects: make(map[volume.Key]backends.Object),
		fences:  make(map[volume.Key]uint64),
	}
}

// pause takes the latency's time. It returns ctx's error if that ends first.
func pause(ctx context.Context, latency time.Duration) error {
	if err := ctx.Err(); err != nil || latency <= 0 {
		return err
	}
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait pauses and locks the driver. After an error nothing is locked.
func (d *Driver) wait(ctx context.Context) error {
	if err := pause(ctx, d.latency); err != nil {
		return err
	}
	d.mu.Lock()
	return nil
}

// begin is wait for a change of ref, refused if ref's epoch is fenced.
func (d *Driver) begin(ctx context.Context, ref backends.Ref) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	if err := ref.Check(d.fences[ref.Key]); err != nil {
		d.mu.Unlock()
		return err
	}
	return nil
}

// Fence remembers the epoch until the process ends; see [backends.Fencer].
func (d *Driver) Fence(ctx context.Context, ref backends.Ref) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.fences[ref.Key] = ref.Epoch
	return nil
}

// Create remembers an object; see [backends.Driver].
func (d *Driver) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	found, exists := d.objects[ref.Key]
	switch {
	case !exists:
		d.objects[ref.Key] = backends.Object{Ref: backends.Ref{Key: ref.Key, ID: ref.ID}, Size: size}
	case found.ID != ref.ID:
		return backends.Errorf(volume.AlreadyExists, "another volume is here: %s", found.ID)
	case found.Size != size:
		return backends.Errorf(volume.FailedPrecondition, "exists with size %s, not %s", found.Size, size)
	}
	return nil
}

// Delete forgets an object; see [backends.Driver].
func (d *Driver) Delete(ctx context.Context, ref backends.Ref) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	found, exists := d.objects[ref.Key]
	if !exists || found.ID != ref.ID {
		return nil
	}
	if len(found.Attachments) > 0 {
		return backends.HeldBy(found.Attachments)
	}
	delete(d.objects, ref.Key)
	return nil
}

// Get returns a remembered object; see [backends.Driver].
func (d *Driver) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if err := d.wait(ctx); err != nil {
		return backends.Object{}, err
	}
	defer d.mu.Unlock()
	found, exists := d.objects[key]
	if !exists {
		return backends.Object{}, errAbsent()
	}
	return told(found), nil
}

// Attach remembers the node, and has no connection information; see [backends.Driver].
func (d *Driver) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if err := d.begin(ctx, ref); err != nil {
		return volume.Attachment{}, err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return volume.Attachment{}, err
	}
	if err := backends.CheckAttach(found.Attachments, node, mode); err != nil {
		return volume.Attachment{}, err
	}
	wanted := volume.Attachment{Node: node, Mode: mode}
	found.Attachments = found.Attachments.With(wanted)
	d.objects[ref.Key] = found
	return wanted, nil
}

// Detach forgets the node; see [backends.Driver].
func (d *Driver) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return err
	}
	if err := backends.CheckDetach(found.Attachments, node); err != nil {
		return err
	}
	found.Attachments = found.Attachments.Without(node)
	d.objects[ref.Key] = found
	return nil
}

// Evict forgets the node, if it holds the object. Nodes are names only here: there is no
// client to be fenced; see [backends.Evictor].
func (d *Driver) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	if err := d.begin(ctx, ref); err != nil {
		return backends.Eviction{}, err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return backends.Eviction{}, err
	}
	found.Attachments = found.Attachments.Without(node)
	d.objects[ref.Key] = found
	return backends.Eviction{}, nil
}

// Resize remembers a greater size; see [backends.Resizer].
func (d *Driver) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return err
	}
	if found.Size > size {
		return backends.Errorf(volume.FailedPrecondition, "has size %s, cannot shrink to %s", found.Size, size)
	}
	found.Size = size
	d.objects[ref.Key] = found
	return nil
}

// List tells the objects that are remembered when it begins; see [backends.Lister].
func (d *Driver) List(ctx context.Context, yield func(backends.Object) bool) error {
	if err := d.wait(ctx); err != nil {
		return err
	}
	objects := make([]backends.Object, 0, len(d.objects))
	for _, object := range d.objects {
		objects = append(objects, told(object))
	}
	d.mu.Unlock() // yield may take long, or call the driver
	for _, object := range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(object) {
			return nil
		}
	}
	return nil
}

// Health tells the number of objects.
func (d *Driver) Health(ctx context.Context) (backends.Health, error) {
	if err := d.wait(ctx); err != nil {
		return backends.Health{}, err
	}
	defer d.mu.Unlock()
	facts := map[string]string{"objects": strconv.Itoa(len(d.objects)), "latency": d.latency.String()}
	return backends.Health{Driver: DriverName, Version: "1", Facts: facts}, nil
}

// Close does nothing: the objects stay for a caller that holds the driver.
func (d *Driver) Close() error { return nil }

// own returns the object with the key and the ID of ref; d.mu is held.
func (d *Driver) own(ref backends.Ref) (backends.Object, error) {
	found, exists := d.objects[ref.Key]
	if !exists {
		return backends.Object{}, errAbsent()
	}
	if found.ID != ref.ID {
		return backends.Object{}, backends.Errorf(volume.FailedPrecondition, "another volume is here: %s, not %s", found.ID, ref.ID)
	}
	return found, nil
}

// told is an object that its receiver may change.
func told(o backends.Object) backends.Object {
	o.Attachments = slices.Clone(o.Attachments)
	return o
}

func errAbsent() error { return backends.Errorf(volume.NotFound, "no volume here") }
