package kv

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// MaxBatchSize is the greatest number of messages in a [Batch], carriers included: the
// server's own limit if it is not configured.
const MaxBatchSize = 1000

// carrierPrefix begins the keys of messages that exist only to carry an expectation. A
// carrier is a delete marker that expires after carrierTTL, so that readers of the
// bucket never see one.
const (
	carrierPrefix = "_batch."
	carrierTTL    = time.Second
)

// Batch is a set of changes to records of one bucket that are stored all or none. Each
// change names the revision that it was decided on, as in [Bucket.CompareAndSet], and
// other records that were decided on can be expected to be unchanged:
//
//	batch := kv.NewBatch(js, "snapshots")
//	batch.Expect(parent.Key, parent.Revision)
//	batch.Create(child, Entry{…})
//	batch.Put(index, Link{})                  // goes with child, needs no revision of its own
//	revisions, err := batch.Commit(ctx)
//
// The bucket's stream must allow atomic publishing and, for expectations that no change
// can carry, message TTLs. A Batch is filled and committed by one goroutine.
//
// A batch costs the server much more than a single write: it is staged on disk first.
// It is for rare changes that must not be seen in part.
type Batch struct {
	store
	writes  []draft
	conds   []condition
	written map[string]bool
	faults  []error

	// unsure holds the ids of attempts whose answer was lost: they may be stored.
	unsure map[string]bool
}

// condition says what the last message under subject (a key, or a filter) must be.
type condition struct {
	subject  string
	revision uint64
	write    int  // the write that carries it as its own condition, or noWrite
	record   bool // about a record: a marker counts as nothing
}

const noWrite = -1

// NewBatch returns an empty batch for the bucket with the given name. It calls no
// server.
func NewBatch(js jetstream.JetStream, bucket string) *Batch {
	return &Batch{store: newStore(js, bucket), written: map[string]bool{}, unsure: map[string]bool{}}
}

// Len returns the number of changes.
func (b *Batch) Len() int { return len(b.writes) }

// Create adds a record under a key that holds none.
func (b *Batch) Create(key string, value any, options ...Option) {
	b.CompareAndSet(key, value, 0, options...)
}

// CompareAndSet adds a new value for the record that is at the given revision; revision
// 0 means that the key must hold no record. The value must encode as a JSON object.
func (b *Batch) CompareAndSet(key string, value any, revision uint64, options ...Option) {
	if b.add(key, b.encoded(key, value), options) {
		b.conds = append(b.conds, condition{subject: key, revision: revision, write: len(b.writes) - 1, record: true})
	}
}

// Delete adds the replacement of the record at the given revision by a delete marker,
// which stays until the key is created again or its [TTL] has passed.
func (b *Batch) Delete(key string, revision uint64, options ...Option) {
	if revision == 0 {
		b.fault("delete", key, fmt.Errorf("%w: revision 0: want the one that was read", ErrInvalid))
	}
	if b.add(key, marker(), options) {
		b.conds = append(b.conds, condition{subject: key, revision: revision, write: len(b.writes) - 1, record: true})
	}
}

// Put adds a new value for the key whatever it holds. It is for keys whose state
// follows from that of another key in the batch.
func (b *Batch) Put(key string, value any, options ...Option) {
	b.add(key, b.encoded(key, value), options)
}

// Clear adds a delete marker for the key whatever it holds. It is for what Put is for.
func (b *Batch) Clear(key string, options ...Option) { b.add(key, marker(), options) }

// Expect lets the batch be stored only if the record, which the batch does not change,
// is at the given revision; 0 means that the key must hold no record.
func (b *Batch) Expect(key string, revision uint64) {
	if err := validateKey(key); err != nil {
		b.fault("expect", key, err)
		return
	}
	b.conds = append(b.conds, condition{subject: key, revision: revision, write: noWrite, record: true})
}

// ExpectLast lets the batch be stored only if the last message of all keys that match
// filter, markers included, has the given revision, as [Bucket.Last] returned it; 0
// means that there is none.
//
// A replicated stream does not see writes under the filter that are in flight. The
// caller must make sure that each writer that matters also writes or expects a key that
// this batch writes.
func (b *Batch) ExpectLast(filter string, revision uint64) {
	if err := validateFilter(filter); err != nil {
		b.fault("expect last", filter, err)
		return
	}
	b.conds = append(b.conds, condition{subject: filter, revision: revision, write: noWrite})
}

// add appends a change and reports whether it is a valid one.
func (b *Batch) add(key string, d draft, options []Option) bool {
	err := validateKey(key)
	if err == nil && b.written[key] {
		err = fmt.Errorf("%w: key changed twice in one batch", ErrInvalid)
	}
	if err != nil {
		b.fault("change", key, err)
		return false
	}
	b.written[key] = true
	d.key = key
	for _, option := range options {
		option(&d)
	}
	b.writes = append(b.writes, d)
	return true
}

func (b *Batch) encoded(key string, value any) draft {
	data, err := encode(value)
	if err == nil && (len(data) == 0 || data[0] != '{') {
		err = fmt.Errorf("%w: value of type %T: want a JSON object", ErrInvalid, value)
	}
	if err != nil {
		b.fault("change", key, err)
	}
	return draft{data: data}
}

func (b *Batch) fault(operation, key string, err error) {
	b.faults = append(b.faults, b.failed(operation, key, err))
}

func marker() draft {
	return draft{header: nats.Header{headerOperation: {operationDelete}}}
}

// plan lays the conditions on messages. A message can carry one, be it about its own
// key or another one, and the server refuses a condition on a key that an earlier
// message of the batch has written. So a write carries its own condition, a write
// without one carries a foreign one, and for the rest there are carriers.
func (b *Batch) plan() (drafts []draft, carried []int, err error) {
	err = errors.Join(b.faults...)
	own := map[int]int{} // write to condition
	var foreign []int
	for i, c := range b.conds {
		if c.write != noWrite {
			own[c.write] = i
			continue
		}
		foreign = append(foreign, i)
		if b.written[c.subject] {
			err = errors.Join(err, fmt.Errorf("%w: key %s is expected and changed", ErrInvalid, c.subject))
		}
	}
	var changes []draft
	var conditions []int
	for i, d := range b.writes {
		c, has := own[i]
		switch {
		case has:
		case len(foreign) > 0:
			c, foreign = foreign[0], foreign[1:]
		default:
			c = noWrite
		}
		changes, conditions = append(changes, d), append(conditions, c)
	}
	for _, c := range foreign {
		d := marker()
		d.key, d.ttl = carrierPrefix+nuid.Next(), carrierTTL
		drafts, carried = append(drafts, d), append(carried, c)
	}
	drafts, carried = append(drafts, changes...), append(carried, conditions...)
	switch {
	case err != nil:
		return nil, nil, err
	case len(b.writes) == 0:
		return nil, nil, fmt.Errorf("%w: empty batch", ErrInvalid)
	case len(drafts) > MaxBatchSize:
		return nil, nil, fmt.Errorf("%w: batch of %d messages, at most %d", ErrInvalid, len(drafts), MaxBatchSize)
	}
	return drafts, carried, nil
}
