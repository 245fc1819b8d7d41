package backends

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/jetvol/jetvol/volume"
)

// Defaults of [Options].
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConcurrency = 32
)

// Options say how a [Backend] treats its driver. The zero value is ready for use.
type Options struct {
	// Timeout bounds the wait for a turn and then, anew, the driver's call, so that a
	// call that waited long still gets its full time. For List it bounds the time
	// without an object. Zero or less means DefaultTimeout.
	Timeout time.Duration
	// Concurrency is the greatest number of driver calls at once. Those that may copy a
	// volume take at most half of it. Zero or less means DefaultConcurrency.
	Concurrency int
	// Observe, if set, is told of each call.
	Observe Observer
}

// Observer is told of the calls of a [Backend], by the method's name in lower case. It is
// called concurrently.
type Observer interface {
	// Begin is told of a call that begins. The call has the context that it returns, which
	// must be ctx or derived from it.
	Begin(ctx context.Context, call string) context.Context
	// End is told of the same call's end, with the context of Begin, the error, nil for
	// none, and how long the caller waited.
	End(ctx context.Context, call string, err error, took time.Duration)
}

// Backend is one configured instance of a driver. It is safe for concurrent use, and
// it keeps these promises to both sides:
//
//   - The driver sees valid arguments only, never two calls for one volume at once, and
//     never more calls in all than the concurrency limit. Only an Evict does not wait for
//     the call before it; what comes while it runs does wait.
//   - The caller gets every error with a class: what the driver said, Unavailable for a
//     deadline, Aborted for the caller's own cancel, and Internal for the rest, a panic
//     of the driver included.
//   - A driver that ignores its context is abandoned only by the caller: the outcome is
//     unknown, and the call keeps its slot and its volume until it returns. Calls for
//     that volume wait for it, up to the timeout.
//
// Nothing is tried twice: repeating is the worker's decision.
type Backend struct {
	name   string
	driver Driver
	opts   Options

	slots *semaphore.Weighted
	longs *semaphore.Weighted // of the slots, for calls that may take long
	turns turns               // of the calls that are no evictions
	// evictions are the turns of Evict, which may run beside one other call.
	evictions turns

	closed  atomic.Bool // no more driver calls
	closing sync.Mutex  // held by Close; guards freed
	freed   bool        // the driver is closed
}

// New returns the backend with the given name over driver, which it owns from now on.
func New(name string, driver Driver, opts Options) *Backend {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTimeout
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = DefaultConcurrency
	}
	return &Backend{
		name: name, driver: driver, opts: opts,
		slots: semaphore.NewWeighted(int64(opts.Concurrency)),
		longs: semaphore.NewWeighted(int64(opts.longs())),
	}
}

// Name returns the name that the operator gave to the backend.
func (b *Backend) Name() string { return b.name }

// Capabilities says which optional abilities the driver has.
func (b *Backend) Capabilities() Capabilities { return CapabilitiesOf(b.driver) }

// Create makes an empty object of the given size; see [Driver] for what it returns.
// Invalid arguments are InvalidArgument.
func (b *Backend) Create(ctx context.Context, ref Ref, size volume.Bytes) error {
	c := call{method: "create", key: ref.Key, invalid: cmp.Or(ref.Validate(), size.ValidateSize())}
	return b.change(ctx, c, func(ctx context.Context) error {
		return b.driver.Create(ctx, ref, size)
	})
}

// Delete removes the object with the key and the ID of ref; see [Driver] for what it
// returns. An invalid ref is InvalidArgument.
func (b *Backend) Delete(ctx context.Context, ref Ref) error {
	c := call{method: "delete", key: ref.Key, invalid: ref.Validate()}
	return b.change(ctx, c, func(ctx context.Context) error {
		return b.driver.Delete(ctx, ref)
	})
}

// Get returns what the backend has under the key, whatever its ID, or NotFound. An
// invalid key is InvalidArgument.
func (b *Backend) Get(ctx context.Context, key volume.Key) (Object, error) {
	c := call{method: "get", key: key, invalid: key.Validate()}
	return perform(ctx, b, c, func(ctx context.Context) (Object, error) {
		return b.driver.Get(ctx, key)
	})
}

// Attach reserves the object for a node; see [Driver] for what it returns. Invalid
// arguments are InvalidArgument.
func (b *Backend) Attach(ctx context.Context, ref Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	c := call{
		method: "attach", key: ref.Key, detail: " to node ", node: node,
		invalid: cmp.Or(ref.Validate(), node.Validate(), mode.Validate()),
	}
	return perform(ctx, b, c, func(ctx context.Context) (volume.Attachment, error) {
		return b.driver.Attach(ctx, ref, node, mode)
	})
}

// Detach ends the reservation of the node; see [Driver] for what it returns. Invalid
// arguments are InvalidArgument.
func (b *Backend) Detach(ctx context.Context, ref Ref, node volume.Node) error {
	c := call{
		method: "detach", key: ref.Key, detail: " from node ", node: node,
		invalid: cmp.Or(ref.Validate(), node.Validate()),
	}
	return b.change(ctx, c, func(ctx context.Context) error {
		return b.driver.Detach(ctx, ref, node)
	})
}

// Resize grows the object; see [Resizer] for what it returns. It returns Unsupported if
// the driver is no Resizer, and InvalidArgument for invalid arguments.
func (b *Backend) Resize(ctx context.Context, ref Ref, size volume.Bytes) error {
	resizer, able := b.driver.(Resizer)
	c := call{method: "resize", key: ref.Key, invalid: cmp.Or(ref.Validate(), size.ValidateSize())}
	if !able && c.invalid == nil {
		c.invalid = Errorf(volume.Unsupported, "driver cannot resize")
	}
	return b.change(ctx, c, func(ctx context.Context) error {
		return resizer.Resize(ctx, ref, size)
	})
}

// Health returns facts about the backend, or the error that users would meet.
func (b *Backend) Health(ctx context.Context) (Health, error) {
	return perform(ctx, b, call{method: "health"}, b.driver.Health)
}

// Close refuses new calls with FailedPrecondition, waits for the running ones and
// closes the driver. If calls still run after the timeout it leaves the driver open,
// which they use, and returns Unavailable; it may then be called again. Closing a
// closed backend does nothing.
func (b *Backend) Close() error {
	b.closing.Lock()
	defer b.closing.Unlock()
	b.closed.Store(true)
	if b.freed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.opts.Timeout)
	defer cancel()
	all := int64(b.opts.Concurrency)
	if err := b.slots.Acquire(ctx, all); err != nil {
		return b.explain(call{method: "close"}, Errorf(volume.Unavailable, "calls still running: %w", err))
	}
	b.freed = true
	// Who still waits for a slot gets it now, sees closed, and gives up.
	defer b.slots.Release(all)
	if err := b.driver.Close(); err != nil {
		return b.explain(call{method: "close"}, classify(context.Background(), err))
	}
	return nil
}
