package backends

import (
	"context"
	"sync"

	"github.com/jetvol/jetvol/volume"
)

// turns lets one call at a time through for each volume. The zero value is ready.
type turns struct {
	mu sync.Mutex
	// held are closed when the turn ends; nil while nobody waits for that. Guarded by mu.
	held map[volume.Key]chan struct{}
}

// take waits until nobody holds the key's turn, and takes it. It returns ctx's error if
// that ends first.
func (t *turns) take(ctx context.Context, key volume.Key) error {
	for !t.claim(key) {
		if err := t.await(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// claim takes the key's turn if nobody holds it.
func (t *turns) claim(key volume.Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.held[key]; taken {
		return false
	}
	if t.held == nil {
		t.held = make(map[volume.Key]chan struct{})
	}
	t.held[key] = nil
	return true
}

// await waits until nobody holds the key's turn. It returns ctx's error if that ends first.
func (t *turns) await(ctx context.Context, key volume.Key) error {
	for ended := t.ended(key); ended != nil; ended = t.ended(key) {
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// ended returns a channel that is closed when the present turn of the key ends, or nil if
// nobody holds it.
func (t *turns) ended(key volume.Key) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended, taken := t.held[key]
	if taken && ended == nil {
		ended = make(chan struct{})
		t.held[key] = ended
	}
	return ended
}

func (t *turns) end(key volume.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ended := t.held[key]; ended != nil {
		close(ended)
	}
	delete(t.held, key)
}

// turn waits until c may run beside what runs for its volume, and returns what ends that.
// An eviction waits for other evictions only, because the call before it may wait for the
// very node. The calls after it wait for it: one that went on behind its back might shut out
// the node that gets the volume next.
func (b *Backend) turn(ctx context.Context, c call) (end func(), err error) {
	if c.key == (volume.Key{}) {
		return func() {}, nil
	}
	if c.evicts {
		return func() { b.evictions.end(c.key) }, b.evictions.take(ctx, c.key)
	}
	if err := b.turns.take(ctx, c.key); err != nil {
		return nil, err
	}
	if err := b.evictions.await(ctx, c.key); err != nil { // another may begin from now on
		b.turns.end(c.key)
		return nil, err
	}
	return func() { b.turns.end(c.key) }, nil
}

// admit waits, no longer than the timeout, until c may go to the driver. The returned
// function ends that. The volume's turn comes before the slot, so that calls waiting
// for one volume take no slots from the others.
func (b *Backend) admit(ctx context.Context, c call) (release func(), err error) {
	if c.invalid != nil {
		return nil, c.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, Errorf(endClass(err), "not begun: %w", err)
	}
	if release := b.admitNow(c); release != nil {
		return release, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	endTurn, err := b.turn(ctx, c)
	if err != nil {
		return nil, Errorf(endClass(err), "not begun: an earlier call for this volume still runs: %w", err)
	}
	endLong, err := b.admitLong(ctx, c)
	if err != nil {
		endTurn()
		return nil, err
	}
	if err := b.slots.Acquire(ctx, 1); err != nil {
		endLong()
		endTurn()
		return nil, Errorf(endClass(err), "not begun: all %d call slots are taken: %w", b.opts.Concurrency, err)
	}
	release = func() {
		b.slots.Release(1)
		endLong()
		endTurn()
	}
	if b.closed.Load() {
		release()
		return nil, Errorf(volume.FailedPrecondition, "backend is closed")
	}
	return release, nil
}

// admitNow admits a common call that has to wait for nothing, or returns nil: no timeout is
// needed for it.
func (b *Backend) admitNow(c call) (release func()) {
	if c.key == (volume.Key{}) || c.evicts || c.long || !b.turns.claim(c.key) {
		return nil
	}
	// The turn is taken first: an eviction that begins from now on did not come before.
	if b.evictions.ended(c.key) != nil || !b.slots.TryAcquire(1) {
		b.turns.end(c.key)
		return nil
	}
	release = func() {
		b.slots.Release(1)
		b.turns.end(c.key)
	}
	if b.closed.Load() {
		release()
		return nil
	}
	return release
}

// admitLong waits until a long call may begin: they never take all slots, or hours of
// copying would keep every other volume from being attached. It returns what ends that, and
// Busy if the wait took too long: nothing was begun.
func (b *Backend) admitLong(ctx context.Context, c call) (end func(), err error) {
	if !c.long {
		return func() {}, nil
	}
	if err := b.longs.Acquire(ctx, 1); err != nil {
		class := volume.Busy
		if endClass(err) == volume.Aborted {
			class = volume.Aborted
		}
		return nil, Errorf(class, "not begun: all %d slots for long calls are taken: %w", b.opts.longs(), err)
	}
	return func() { b.longs.Release(1) }, nil
}

// longs is how many long calls there may be at once: half of all, but one of one.
func (o Options) longs() int { return max(1, o.Concurrency/2) }
