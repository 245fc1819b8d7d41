package null

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Blind takes its time and remembers nothing, so that several processes may use one each
// for the same volumes. It implements [backends.Driver] and [backends.Resizer].
//
// Every change is success, as the change of an object that is in the state that its
// caller knows it to be in. Thus Blind refuses nothing that another driver would: no
// second holder, no stranger, no smaller size. It cannot be asked what there is: Get is
// Unsupported, so a reconcile over it fails. It is no Fencer, as there is nothing that a
// late call could change, and no Evictor, as it does not know who holds what.
type Blind struct{ latency time.Duration }

var (
	_ backends.Driver  = (*Blind)(nil)
	_ backends.Resizer = (*Blind)(nil)
)

// NewBlind returns a driver without a memory.
func NewBlind(opts Options) *Blind { return &Blind{latency: opts.Latency} }

// Create is success.
func (b *Blind) Create(ctx context.Context, _ backends.Ref, _ volume.Bytes) error {
	return pause(ctx, b.latency)
}

// Delete is success.
func (b *Blind) Delete(ctx context.Context, _ backends.Ref) error { return pause(ctx, b.latency) }

// Get is Unsupported.
func (b *Blind) Get(ctx context.Context, _ volume.Key) (backends.Object, error) {
	if err := pause(ctx, b.latency); err != nil {
		return backends.Object{}, err
	}
	return backends.Object{}, backends.Errorf(volume.Unsupported, "remembers nothing")
}

// Attach is success, without connection information.
func (b *Blind) Attach(ctx context.Context, _ backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if err := pause(ctx, b.latency); err != nil {
		return volume.Attachment{}, err
	}
	return volume.Attachment{Node: node, Mode: mode}, nil
}

// Detach is success.
func (b *Blind) Detach(ctx context.Context, _ backends.Ref, _ volume.Node) error {
	return pause(ctx, b.latency)
}

// Resize is success.
func (b *Blind) Resize(ctx context.Context, _ backends.Ref, _ volume.Bytes) error {
	return pause(ctx, b.latency)
}

// Health tells that nothing is remembered.
func (b *Blind) Health(ctx context.Context) (backends.Health, error) {
	if err := pause(ctx, b.latency); err != nil {
		return backends.Health{}, err
	}
	facts := map[string]string{"objects": "not remembered", "latency": b.latency.String()}
	return backends.Health{Driver: DriverName, Version: "1", Facts: facts}, nil
}

// Close does nothing.
func (b *Blind) Close() error { return nil }
