package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket holds records of type T, which must encode as a JSON object. If T has a field
// schema_version, records with a greater one than this code's are refused.
//
// Every method may return [ErrUnavailable], [ErrUnauthorized] and [ErrRateLimited], and
// [ErrInvalid] for a malformed key. Reads may be repeated freely. A write that ended in
// ErrUnavailable may have happened: read again. A context without a deadline gets the
// default timeout of the JetStream handle. A Bucket is safe for concurrent use.
type Bucket[T any] struct {
	store

	mu     sync.Mutex
	handle jetstream.KeyValue // guarded by mu; nil until first used
}

// Entry is a record as it is stored.
type Entry[T any] struct {
	Key      string
	Value    T
	Revision uint64    // of the last write
	Created  time.Time // when that write was stored, by the server's clock
}

// Option changes how one record is written.
type Option func(*draft)

// TTL lets the record expire after d, rounded up to whole seconds; none if d is not
// positive. The bucket must allow it, as the volumes bucket does. It holds for this
// write only: a later write without it makes the record permanent again.
func TTL(d time.Duration) Option {
	return func(w *draft) {
		w.ttl = max(0, (d + time.Second - 1).Truncate(time.Second))
	}
}

// Open returns the bucket with the given name. It calls no server: a bucket that does
// not exist shows as [ErrUnavailable] on first use. So do writes beyond as many as js allows to
// be without an answer, 4,000 if it is not told otherwise; one that is never answered counts until
// js's [jetstream.WithPublishAsyncTimeout], or until it connects again.
func Open[T any](js jetstream.JetStream, bucket string) *Bucket[T] {
	return &Bucket[T]{store: newStore(js, bucket)}
}

// Get returns the record as the stream's leader has it: the read to decide on. It
// returns [ErrNotFound] if there is none, or only the marker of a deleted or expired
// one; [ErrSchema] or [ErrCorrupt] if it cannot be read.
func (b *Bucket[T]) Get(ctx context.Context, key string) (Entry[T], error) {
	entry, err := b.get(ctx, key)
	return entry, b.failed("get", key, err)
}

func (b *Bucket[T]) get(ctx context.Context, key string) (Entry[T], error) {
	last, err := b.live(ctx, key)
	if err != nil {
		return Entry[T]{}, err
	}
	return newEntry[T](key, last.data, last.revision, last.created)
}

// live returns the last message of key, or ErrNotFound if that is no record.
func (b *Bucket[T]) live(ctx context.Context, key string) (stored, error) {
	if err := validateKey(key); err != nil {
		return stored{}, err
	}
	last, err := b.last(ctx, key)
	if err == nil && !last.live {
		err = ErrNotFound
	}
	return last, err
}

func newEntry[T any](key string, data []byte, revision uint64, created time.Time) (Entry[T], error) {
	value, err := decode[T](data)
	if err != nil {
		return Entry[T]{}, err
	}
	return Entry[T]{Key: key, Value: value, Revision: revision, Created: created}, nil
}

// GetDirect returns the record as any replica has it, for display only: it may be
// stale, and even be missing shortly after it was created. Errors are those of Get.
func (b *Bucket[T]) GetDirect(ctx context.Context, key string) (Entry[T], error) {
	entry, err := b.getDirect(ctx, key)
	return entry, b.failed("get", key, err)
}

func (b *Bucket[T]) getDirect(ctx context.Context, key string) (Entry[T], error) {
	if err := validateKey(key); err != nil {
		return Entry[T]{}, err
	}
	var got jetstream.KeyValueEntry
	err := b.call(ctx, b.api+">", func(ctx context.Context) error {
		handle, err := b.keyValue(ctx)
		if err != nil {
			return err
		}
		got, err = handle.Get(ctx, key)
		return err
	})
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Entry[T]{}, ErrNotFound
	}
	if err != nil {
		return Entry[T]{}, err
	}
	return newEntry[T](key, got.Value(), got.Revision(), got.Created())
}

// keyValue returns the bucket's handle of nats.go, asking for it on first use.
func (b *Bucket[T]) keyValue(ctx context.Context) (jetstream.KeyValue, error) {
	b.mu.Lock()
	handle := b.handle
	b.mu.Unlock()
	if handle != nil {
		return handle, nil
	}
	handle, err := b.js.KeyValue(ctx, b.bucket)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle = handle
	return handle, nil
}

// Head returns the record's revision and the time of its last write, as the leader has
// them, without decoding it. It returns [ErrNotFound] as Get does.
func (b *Bucket[T]) Head(ctx context.Context, key string) (revision uint64, created time.Time, err error) {
	last, err := b.live(ctx, key)
	if err != nil {
		return 0, time.Time{}, b.failed("head", key, err)
	}
	return last.revision, last.created, nil
}

// Create stores a record under a key that holds none and returns its revision. A key
// whose record was deleted or has expired holds none. It returns [ErrExists], and
// leaves the record there untouched, if the key holds one.
func (b *Bucket[T]) Create(ctx context.Context, key string, value T, options ...Option) (uint64, error) {
	revision, err := b.put(ctx, key, value, 0, options)
	if errors.Is(err, ErrConflict) {
		return 0, b.failed("create", key, ErrExists)
	}
	return revision, b.failed("create", key, err)
}

// CreateFirst stores a record under a key that nothing is known of: not even the marker of a
// record that was deleted or has expired lies there. It returns the revision, or [ErrExists]
// if something does, and leaves that untouched. Where nothing lay it does what Create does, in
// the same one request.
func (b *Bucket[T]) CreateFirst(ctx context.Context, key string, value T, options ...Option) (uint64, error) {
	first := func(d *draft) { d.first = true }
	return b.Create(ctx, key, value, append(slices.Clone(options), first)...)
}

// CompareAndSet stores value if the record is still at the given revision, and returns
// the new revision. Revision 0 means that the key must hold no record. If another
// writer got there first it returns the current revision and a [*ConflictError]: read
// again and decide again, never resend. If there is no record but revision is not 0 it
// returns [ErrNotFound].
func (b *Bucket[T]) CompareAndSet(
	ctx context.Context, key string, value T, revision uint64, options ...Option,
) (uint64, error) {
	current, err := b.put(ctx, key, value, revision, options)
	return current, b.failed("compare-and-set", key, err)
}

func (b *Bucket[T]) put(ctx context.Context, key string, value T, revision uint64, options []Option) (uint64, error) {
	if err := validateKey(key); err != nil {
		return 0, err
	}
	data, err := encode(value)
	if err != nil {
		return 0, err
	}
	d := draft{key: key, data: data}
	for _, option := range options {
		option(&d)
	}
	return b.write(ctx, d, revision)
}

// Delete replaces the record by a delete marker if it is still at the given revision.
// Without [TTL] the marker stays until the key is created again. It returns a
// [*ConflictError] if the record has moved on, [ErrNotFound] if there is none, and
// [ErrInvalid] for revision 0.
func (b *Bucket[T]) Delete(ctx context.Context, key string, revision uint64, options ...Option) error {
	return b.failed("delete", key, b.remove(ctx, key, revision, options))
}

func (b *Bucket[T]) remove(ctx context.Context, key string, revision uint64, options []Option) error {
	if err := validateKey(key); err != nil {
		return err
	}
	if revision == 0 {
		return fmt.Errorf("%w: revision 0: want the one that was read", ErrInvalid)
	}
	d := draft{key: key, header: nats.Header{headerOperation: {operationDelete}}}
	for _, option := range options {
		option(&d)
	}
	_, err := b.write(ctx, d, revision)
	return err
}
