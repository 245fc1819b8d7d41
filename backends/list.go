package backends

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// List calls yield for each object of the backend, on the caller's goroutine, until
// yield returns false; see [Lister]. It returns Unsupported if the driver is no Lister.
// After an error the objects told are right, but not all. Yield should not call the
// backend, of which List holds one call slot.
func (b *Backend) List(ctx context.Context, yield func(Object) bool) error {
	c := call{method: "list"}
	lister, able := b.driver.(Lister)
	if !able {
		c.invalid = Errorf(volume.Unsupported, "driver cannot list")
	}
	ctx, began := b.begin(ctx, c)
	return b.finish(ctx, c, began, b.list(ctx, c, lister, yield))
}

func (b *Backend) list(ctx context.Context, c call, lister Lister, yield func(Object) bool) error {
	release, err := b.admit(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(b.opts.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer idle.Stop()

	// The driver's goroutine hands the objects over and never calls yield itself: were
	// it abandoned, it could call yield after List has returned.
	objects, stopped := make(chan Object), make(chan struct{})
	defer close(stopped)
	done := start(ctx, release, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, lister.List(ctx, func(o Object) bool {
			select {
			case objects <- o:
				return true
			case <-stopped:
				return false
			}
		})
	})
	for {
		select {
		case o := <-objects:
			idle.Stop()
			if !yield(o) {
				return nil
			}
			idle.Reset(b.opts.Timeout)
		case out := <-done:
			return classify(ctx, out.err)
		case <-ctx.Done():
			return abandoned(ctx)
		}
	}
}
