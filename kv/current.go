package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A list that comes from a replica which lags is asked for again, after a pause.
const (
	maxCurrentAttempts = 20
	currentPause       = 5 * time.Millisecond
)

// Last returns the revision of the last message under the keys that match filter, as
// the leader has it, and whether that is a record; a marker has a revision too. 0 means
// that there is nothing. Its cost does not depend on how many keys match.
func (b *Bucket[T]) Last(ctx context.Context, filter string) (revision uint64, live bool, err error) {
	if err := validateFilter(filter); err != nil {
		return 0, false, b.failed("last", filter, err)
	}
	now, err := b.last(ctx, filter)
	return now.revision, now.live, b.failed("last", filter, err)
}

// ListCurrent returns all records whose keys match filter, by revision, and the revision
// of the last message among them, markers included: the list to decide on, with
// [Batch.ExpectLast] to guard the decision. It holds at least what the leader held when
// it was called. It costs one question to the leader if there is nothing, and the pages
// of [Bucket.List] otherwise. It returns the errors of List, and [ErrUnavailable] if
// the replica that is read lags for too long.
func (b *Bucket[T]) ListCurrent(ctx context.Context, filter string) (entries []Entry[T], last uint64, err error) {
	var lagging error
	for range maxCurrentAttempts {
		last, _, err := b.Last(ctx, filter)
		if err != nil || last == 0 {
			return nil, 0, err
		}
		entries, seen, err := b.listAll(ctx, filter)
		if lagging = err; err == nil && seen >= last || err != nil && !errors.Is(err, ErrUnavailable) {
			return entries, seen, b.failed("list", filter, err)
		}
		// The replica lags, or the last message was a marker that has expired meanwhile, or
		// the consumer of a page is on a server that does not hear ours yet.
		if err := rest(ctx, currentPause); err != nil {
			return nil, 0, b.failed("list", filter, classify(err))
		}
	}
	if lagging == nil {
		lagging = fmt.Errorf("%w: behind the leader %d times", ErrUnavailable, maxCurrentAttempts)
	}
	return nil, 0, b.failed("list", filter, lagging)
}

// listAll returns the records that match filter, each in its last form, and the greatest
// revision among all messages. Pages are read in the order of revisions, so what is
// changed meanwhile comes again, in its new form or as a marker.
func (b *Bucket[T]) listAll(ctx context.Context, filter string) (entries []Entry[T], seen uint64, err error) {
	latest := map[string]uint64{}
	var unreadable []error
	for more := true; more; {
		messages, next, err := b.messages(ctx, filter, seen)
		if err != nil {
			return nil, 0, err
		}
		for _, m := range messages {
			latest[m.key], seen = m.revision, m.revision
			if !m.live {
				continue
			}
			entry, err := newEntry[T](m.key, m.data, m.revision, m.created)
			if err != nil {
				unreadable = append(unreadable, fmt.Errorf("record %s: %w", m.key, err))
				continue
			}
			entries = append(entries, entry)
		}
		more = next
	}
	entries = slices.DeleteFunc(entries, func(e Entry[T]) bool { return latest[e.Key] != e.Revision })
	return entries, seen, errors.Join(unreadable...)
}

// keyed is a message with its key.
type keyed struct {
	stored
	key string
}

// messages returns a page of what matches filter after the given revision, markers
// included, and whether more follows.
func (s store) messages(ctx context.Context, filter string, after uint64) (page []keyed, more bool, err error) {
	err = s.call(ctx, s.api+"CONSUMER.>", func(ctx context.Context) error {
		found, err := s.fetch(ctx, filter, after+1, MaxPageSize)
		if err != nil {
			return err
		}
		for _, m := range found {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			more = meta.NumPending > 0
			page = append(page, keyed{key: s.keyOf(m.Subject()), stored: stored{
				revision: meta.Sequence.Stream, created: meta.Timestamp, data: m.Data(), live: !isMarker(m.Headers()),
			}})
		}
		return nil
	})
	return page, more, err
}
