package kv

import (
	"context"
	"errors"
	"iter"

	"github.com/nats-io/nats.go/jetstream"
)

// ChangeKind says what a [Change] tells.
type ChangeKind string

// The kinds of a change.
const (
	Put      ChangeKind = "put"       // the record is as in Value
	Deleted  ChangeKind = "deleted"   // the record was deleted or has expired
	CaughtUp ChangeKind = "caught_up" // all that was there at the start has been told
)

// Change is one step of a watched bucket. Only a Put has a Value, and a CaughtUp has
// nothing but its kind.
type Change[T any] struct {
	Kind ChangeKind
	Entry[T]
}

// errWatchEnded is what closes the updates of a watcher that nobody stopped.
var errWatchEnded = errors.New("watch ended by the connection")

// Watch tells the present records that match filter (as in [ListOptions]), then one
// CaughtUp, then every change as it happens, until ctx ends or the loop is left. A
// record changed twice in quick succession may be told only in its last form.
//
// A record that cannot be read comes with its key, its revision and an [ErrSchema] or
// [ErrCorrupt], and the watch goes on. Any other error is the last thing told: watch
// again. The end of ctx is no error.
func (b *Bucket[T]) Watch(ctx context.Context, filter string) iter.Seq2[Change[T], error] {
	return func(yield func(Change[T], error) bool) {
		life, end := context.WithCancel(ctx)
		defer end()
		watcher, err := b.startWatch(life, end, filter)
		if err != nil {
			if ctx.Err() == nil {
				yield(Change[T]{}, b.failed("watch", filter, err))
			}
			return
		}
		defer stop(watcher)
		b.follow(ctx, filter, watcher.Updates(), yield)
	}
}

// startWatch returns a watcher that lives until the context life ends. The context of
// the call is bounded in time and so cannot be the watcher's; it may only end it while
// the watcher is being set up.
func (b *Bucket[T]) startWatch(
	life context.Context, end context.CancelFunc, filter string,
) (watcher jetstream.KeyWatcher, err error) {
	if filter == "" {
		filter = ">"
	}
	if err := validateFilter(filter); err != nil {
		return nil, err
	}
	err = b.call(life, b.api+">", func(call context.Context) error {
		handle, err := b.keyValue(call)
		if err != nil {
			return err
		}
		release := context.AfterFunc(call, end)
		defer release()
		watcher, err = handle.Watch(life, filter)
		return err
	})
	return watcher, err
}

func (b *Bucket[T]) follow(
	ctx context.Context, filter string, updates <-chan jetstream.KeyValueEntry, yield func(Change[T], error) bool,
) {
	for {
		select {
		case <-ctx.Done():
			return
		case update, open := <-updates:
			if !open && ctx.Err() != nil {
				return // both ended at once, and the loop took this end
			}
			if !open {
				yield(Change[T]{}, b.failed("watch", filter, errors.Join(ErrUnavailable, errWatchEnded)))
				return
			}
			change, err := newChange[T](update)
			if !yield(change, b.failed("watch", change.Key, err)) {
				return
			}
		}
	}
}

func newChange[T any](update jetstream.KeyValueEntry) (Change[T], error) {
	if update == nil {
		return Change[T]{Kind: CaughtUp}, nil
	}
	change := Change[T]{Kind: Deleted, Entry: Entry[T]{
		Key: update.Key(), Revision: update.Revision(), Created: update.Created(),
	}}
	if update.Operation() != jetstream.KeyValuePut {
		return change, nil
	}
	change.Kind = Put
	var err error
	change.Value, err = decode[T](update.Value())
	return change, err
}

// stop ends the watcher and takes what it still wants to tell, on which its delivery
// would otherwise block for ever. An error only says that it has ended already.
func stop(watcher jetstream.KeyWatcher) {
	_ = watcher.Stop()
	for range watcher.Updates() {
	}
}
