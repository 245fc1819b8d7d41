package kv

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The sizes of a page of List, in records.
const (
	DefaultPageSize = 100
	MaxPageSize     = 1000
)

// listerLifetime is how long the server keeps the consumer of a page whose reader died.
const listerLifetime = 10 * time.Second

// ListOptions says what List returns.
type ListOptions struct {
	// Filter is a key in which * stands for one token and a last > for all that
	// follow: "default.*" is one project. Empty means every record.
	Filter string
	// After is the cursor: only records with a greater revision are returned.
	After uint64
	// Limit is the greatest number of records in the page; [DefaultPageSize] if it is
	// not positive, and at most [MaxPageSize].
	Limit int
}

// List returns one page of records in the order of their revisions, and the cursor of
// the next page, which is 0 after the last one. A page may be shorter than Limit, even
// empty, before the last: markers of deleted records are left out. What a page costs does
// not depend on how many records are stored, but for those that lie between the ones that
// the filter means.
//
// A record that is changed while its bucket is paged through moves to the end and may
// be told twice; one that is there the whole time is never missed. The page comes from
// any replica and may be stale.
//
// Records that cannot be read are left out and named in the error, an [ErrSchema] or
// [ErrCorrupt]; page and cursor are valid nevertheless.
func (b *Bucket[T]) List(ctx context.Context, options ListOptions) (page []Entry[T], next uint64, err error) {
	messages, next, err := b.messages(ctx, options.Filter, options.After, pageSize(options.Limit))
	if err != nil {
		return nil, 0, err
	}
	page, err = b.decodePage(messages)
	return page, next, err
}

// messages returns a page before it is decoded, markers included.
func (b *Bucket[T]) messages(ctx context.Context, filter string, after uint64, limit int) (messages []keyed, next uint64, err error) {
	if filter == "" {
		filter = ">"
	}
	if err := validateFilter(filter); err != nil {
		return nil, 0, b.failed("list", filter, err)
	}
	if after == math.MaxUint64 {
		return nil, 0, nil
	}
	messages, next, err = b.list(ctx, filter, after, limit)
	return messages, next, b.failed("list", filter, err)
}

// All yields the records that match filter (as in [ListOptions]) in the order of their
// revisions, page by page, with what is said there of changes meanwhile. A record that cannot
// be read comes without its value and with an [ErrSchema] or [ErrCorrupt], and the others
// follow. Any other error is the last thing told.
func (b *Bucket[T]) All(ctx context.Context, filter string) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		for after, more := uint64(0), true; more; more = after > 0 {
			messages, next, err := b.messages(ctx, filter, after, MaxPageSize)
			if err != nil {
				yield(Entry[T]{}, err)
				return
			}
			for _, m := range messages {
				if !m.live {
					continue
				}
				entry, err := newEntry[T](m.key, m.data, m.revision, m.created)
				if !yield(entry, b.failed("list", m.key, err)) {
					return
				}
			}
			after = next
		}
	}
}

// countedRecords is how many records a stream may hold for the server to count them
// anew for each page, which takes it some milliseconds at most and is then the cheaper way.
const countedRecords = 100_000

// list returns up to limit messages behind the given revision whose keys match, and the
// cursor of the next page.
func (s store) list(ctx context.Context, filter string, after uint64, limit int) ([]keyed, uint64, error) {
	many, err := s.holdsMore(ctx, s.counted)
	if err != nil {
		return nil, 0, err
	}
	if many {
		page, err := s.pick(ctx, filter, after, limit)
		if !errors.Is(err, errSparse) {
			return page.messages, page.next, err
		}
	}
	messages, more, err := s.page(ctx, filter, after, limit)
	if err != nil || !more || len(messages) == 0 {
		return messages, 0, err
	}
	return messages, messages[len(messages)-1].revision, nil
}

// holdsMore reports whether the stream has more messages than that.
func (s store) holdsMore(ctx context.Context, most uint64) (many bool, err error) {
	err = s.call(ctx, s.api+"STREAM.INFO."+s.stream, func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, s.stream)
		if err == nil {
			many = stream.CachedInfo().State.Msgs > most
		}
		return err
	})
	return many, err
}

func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPageSize
	}
	return min(limit, MaxPageSize)
}

// fetch reads up to limit messages with a consumer that lives for this page only.
func (s store) fetch(ctx context.Context, filter string, start uint64, limit int) ([]jetstream.Msg, error) {
	consumer, err := s.js.CreateConsumer(ctx, s.stream, jetstream.ConsumerConfig{
		Name:              nuid.Next(),
		FilterSubject:     recordSubject(s.bucket, filter),
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       start,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: listerLifetime,
	})
	if err != nil {
		return nil, err
	}
	defer s.discard(consumer)
	pending := consumer.CachedInfo().NumPending
	if pending == 0 {
		return nil, nil
	}
	messages, err := fetchOnce(consumer, limit)
	// In a cluster a new consumer may be announced before it listens.
	for attempt := 1; errors.Is(err, nats.ErrNoResponders) && attempt < maxCurrentAttempts; attempt++ {
		if err := rest(ctx, currentPause); err != nil {
			return nil, err
		}
		messages, err = fetchOnce(consumer, limit)
	}
	if len(messages) == 0 && err == nil {
		return nil, fmt.Errorf("%w: no message of %d announced ones", ErrUnavailable, pending)
	}
	return messages, err
}

func fetchOnce(consumer jetstream.Consumer, limit int) (messages []jetstream.Msg, err error) {
	batch, err := consumer.FetchNoWait(limit)
	if err != nil {
		return nil, err
	}
	for m := range batch.Messages() {
		messages = append(messages, m)
	}
	return messages, batch.Error()
}

// keyOf is the reverse of recordSubject.
func (s store) keyOf(subject string) string {
	return strings.TrimPrefix(subject, recordSubject(s.bucket, ""))
}

// discard asks for the removal of a consumer and does not wait for it: the answer
// changes nothing, and the server removes an idle consumer by itself.
func (s store) discard(consumer jetstream.Consumer) {
	_ = s.js.Conn().Publish(s.api+"CONSUMER.DELETE."+s.stream+"."+consumer.CachedInfo().Name, nil)
}

// decodePage decodes messages; markers are no records.
func (b *Bucket[T]) decodePage(messages []keyed) (page []Entry[T], err error) {
	var unreadable []error
	for _, m := range messages {
		if !m.live {
			continue
		}
		entry, err := newEntry[T](m.key, m.data, m.revision, m.created)
		if err != nil {
			unreadable = append(unreadable, b.failed("list", m.key, err))
			continue
		}
		page = append(page, entry)
	}
	return page, errors.Join(unreadable...)
}
