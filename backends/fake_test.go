package backends_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// fakeDriver does what its function says, for every method. It is neither Resizer nor
// Lister.
type fakeDriver struct {
	call   func(ctx context.Context, key volume.Key) error
	closed func() error
}

func (d *fakeDriver) Create(ctx context.Context, ref backends.Ref, _ volume.Bytes) error {
	return d.call(ctx, ref.Key)
}

func (d *fakeDriver) Delete(ctx context.Context, ref backends.Ref) error {
	return d.call(ctx, ref.Key)
}

func (d *fakeDriver) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	return backends.Object{}, d.call(ctx, key)
}

func (d *fakeDriver) Attach(ctx context.Context, ref backends.Ref, _ volume.Node, _ volume.Mode) (volume.Attachment, error) {
	return volume.Attachment{}, d.call(ctx, ref.Key)
}

func (d *fakeDriver) Detach(ctx context.Context, ref backends.Ref, _ volume.Node) error {
	return d.call(ctx, ref.Key)
}

func (d *fakeDriver) Health(ctx context.Context) (backends.Health, error) {
	return backends.Health{}, d.call(ctx, volume.Key{})
}

func (d *fakeDriver) Close() error {
	if d.closed == nil {
		return nil
	}
	return d.closed()
}

// ableDriver is a fakeDriver with the optional abilities.
type ableDriver struct {
	*fakeDriver
	list    func(ctx context.Context, yield func(backends.Object) bool) error
	evicted backends.Eviction
}

func (d *ableDriver) Resize(ctx context.Context, ref backends.Ref, _ volume.Bytes) error {
	return d.call(ctx, ref.Key)
}

func (d *ableDriver) List(ctx context.Context, yield func(backends.Object) bool) error {
	return d.list(ctx, yield)
}

func (d *ableDriver) Fence(ctx context.Context, ref backends.Ref) error {
	return d.call(ctx, ref.Key)
}

func (d *ableDriver) Evict(ctx context.Context, ref backends.Ref, _ volume.Node) (backends.Eviction, error) {
	return d.evicted, d.call(ctx, ref.Key)
}

// stuckDriver ignores its contexts: its calls return when they are released.
type stuckDriver struct {
	fakeDriver
	entered chan volume.Key
	release chan struct{}
}

func newStuckDriver() *stuckDriver {
	d := &stuckDriver{entered: make(chan volume.Key, 100), release: make(chan struct{})}
	d.call = func(_ context.Context, key volume.Key) error {
		d.entered <- key
		<-d.release
		return nil
	}
	return d
}

func keyOf(name volume.Name) volume.Key { return volume.Key{Project: "default", Name: name} }

func refOf(name volume.Name) backends.Ref {
	return backends.Ref{Key: keyOf(name), ID: volume.NewID(keyOf(name), 1)}
}

func evict(b *backends.Backend, ref backends.Ref, node volume.Node) error {
	_, err := b.Evict(context.Background(), ref, node)
	return err
}

func get(t *testing.T, b *backends.Backend, name volume.Name) error {
	t.Helper()
	_, err := b.Get(t.Context(), keyOf(name))
	return err
}

// wantClass wants exactly that class, so that the worker decides on nothing else.
func wantClass(t *testing.T, err error, want volume.Class) {
	t.Helper()
	if volume.ClassOf(err) != want || want != "" && !errors.Is(err, want) {
		t.Errorf("got %v (class %q), want class %q", err, volume.ClassOf(err), want)
	}
}
