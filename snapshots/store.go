package snapshots

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// A transaction that lost to another one is repeated after a pause drawn at random.
const (
	maxUpdateAttempts = 12
	maxUpdatePause    = 25 * time.Millisecond
)

// Store is the bucket of snapshots and clones. It is safe for concurrent use by any
// number of goroutines and processes.
//
// Besides the errors that each method names, all return those of package kv: unavailable
// ([kv.ErrUnavailable]: after a change it may have been stored), not authorized, rate
// limited, and [kv.ErrCorrupt] and [kv.ErrSchema] for an entry that cannot be read.
type Store struct {
	js      jetstream.JetStream
	entries *kv.Bucket[entry]
	links   *kv.Bucket[link]
	fences  *kv.Bucket[fence]
	now     func() time.Time
	closed  atomic.Bool
}

// New returns the store on the bucket [kv.SnapshotsBucket]. It calls no server.
func New(js jetstream.JetStream) *Store {
	return &Store{
		js:      js,
		entries: kv.Open[entry](js, kv.SnapshotsBucket),
		links:   kv.Open[link](js, kv.SnapshotsBucket),
		fences:  kv.Open[fence](js, kv.SnapshotsBucket),
		now:     func() time.Time { return time.Now().UTC() },
	}
}

// Close lets no transaction begin any more; those under way may end. It may be repeated.
// The connection is its owner's to close.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// Begin begins a transaction on the entries of one project. A writable one ends with
// [Tx.Apply] or [Tx.Rollback], another one with Rollback. It returns [ErrClosed], and an
// error of code invalid_name for a malformed project.
func (s *Store) Begin(_ context.Context, project volume.Project, writable bool) (*Tx, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	if err := (volume.Key{Project: project, Name: "any"}).Validate(); err != nil {
		return nil, err
	}
	return &Tx{
		store: s, project: project, writable: writable,
		read: map[Key]stored{}, written: map[Key]*entry{}, expected: map[Key]bool{}, guards: map[Key]uint64{},
	}, nil
}

// View calls fn with a transaction that cannot write, and returns what fn returns.
func (s *Store) View(ctx context.Context, project volume.Project, fn func(*Tx) error) error {
	tx, err := s.Begin(ctx, project, false)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // fn may have ended it
	return fn(tx)
}

// Update calls fn with a writable transaction and applies it if fn returns nil. If it
// lost to another one it is repeated from the start, fn included, so fn must do nothing
// besides that cannot be repeated. It returns the error of fn, or that of [Tx.Apply],
// [ErrConflict] only after a number of attempts.
func (s *Store) Update(ctx context.Context, project volume.Project, fn func(*Tx) error) error {
	var err error
	for attempt := range maxUpdateAttempts {
		if attempt > 0 && pause(ctx) != nil {
			return err
		}
		if err = s.attempt(ctx, project, fn); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

func (s *Store) attempt(ctx context.Context, project volume.Project, fn func(*Tx) error) error {
	tx, err := s.Begin(ctx, project, true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has ended unless fn failed
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Apply(ctx)
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(rand.N(maxUpdatePause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
