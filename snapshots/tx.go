package snapshots

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxApplyAttempts bounds how often a batch without an answer is committed again. To do
// so is safe: see [kv.Batch.Commit].
const maxApplyAttempts = 3

// Tx is a transaction: a view of the entries of one project that includes its own
// changes. An entry is read once and stays as it was read. What [Tx.Apply] makes sure of
// is that every entry that the transaction changed, looked up by its key or took as a
// parent is still as it was read; entries that were only seen by [Tx.Walk] or
// [Tx.IDMap], and a parent's list of children, may have changed, save where a removal
// depends on that list.
//
// Every method returns [ErrNoTransaction] if the Tx is nil or has ended, and every
// method that changes something [ErrReadOnly] if it is not writable. A method that
// returns an error has changed nothing, and the transaction goes on. A Tx may be used by
// several goroutines; each call waits for the one before.
type Tx struct {
	store    *Store
	project  volume.Project
	writable bool

	mu       sync.Mutex     // guards all below
	ended    bool           // by Apply or Rollback
	read     map[Key]stored // as found at the leader
	written  map[Key]*entry // as it shall be; nil for a removed one
	expected map[Key]bool   // decided on, so to be unchanged
	guards   map[Key]uint64 // the last revision under the links of an entry without children
}

// stored is an entry as it was found; revision 0 says that there was none.
type stored struct {
	entry    entry
	revision uint64
}

// lock begins a call and returns what ends it.
func (tx *Tx) lock(write bool) (unlock func(), err error) {
	if tx == nil {
		return nil, ErrNoTransaction
	}
	tx.mu.Lock()
	switch {
	case tx.ended:
		err = ErrNoTransaction
	case write && !tx.writable:
		err = ErrReadOnly
	default:
		return tx.mu.Unlock, nil
	}
	tx.mu.Unlock()
	return nil, err
}

// Rollback ends the transaction and forgets its changes. It returns [ErrNoTransaction]
// if there is nothing to end.
func (tx *Tx) Rollback() error {
	unlock, err := tx.lock(false)
	if err != nil {
		return err
	}
	defer unlock()
	tx.ended = true
	return nil
}

// Apply ends the transaction and stores its changes, all or none. It returns
// [ErrConflict] if an entry that it depends on was changed meanwhile: nothing was stored;
// [kv.ErrUnavailable] if the server does not say whether they were stored; and
// [ErrReadOnly], without ending it, for a transaction that is not writable.
func (tx *Tx) Apply(ctx context.Context) error {
	unlock, err := tx.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	tx.ended = true
	batch := tx.batch()
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.expectOwner(ctx, batch); err != nil {
		return err
	}
	unsure := false
	for range maxApplyAttempts {
		if _, err = batch.Commit(ctx); !errors.Is(err, kv.ErrUnavailable) || ctx.Err() != nil {
			break
		}
		unsure = true
		if pause(ctx) != nil {
			break
		}
	}
	switch {
	case errors.Is(err, kv.ErrConflict) && unsure:
		// Never stored, or stored and changed since.
		return fmt.Errorf("apply transaction: %w: then %v", kv.ErrUnavailable, err) //nolint:errorlint // it is no conflict to repeat
	case errors.Is(err, kv.ErrConflict):
		return fmt.Errorf("apply transaction: %w: %v", ErrConflict, err) //nolint:errorlint // class aborted, not that of kv
	case err != nil:
		return fmt.Errorf("apply transaction: %w", err)
	}
	return nil
}

// batch returns the changes with their conditions. Entries come before the links that
// go with them, in the order of their keys, so that equal transactions are equal batches.
func (tx *Tx) batch() *kv.Batch {
	b := kv.NewBatch(tx.store.js, kv.SnapshotsBucket)
	changed := map[Key]bool{}
	for _, key := range sortedKeys(tx.written) {
		changed[key] = tx.addChange(b, key)
	}
	if b.Len() == 0 {
		return b
	}
	for _, key := range sortedKeys(tx.expected) {
		if !changed[key] {
			b.Expect(entryKey(tx.project, key), tx.read[key].revision)
		}
	}
	for _, key := range sortedKeys(tx.guards) {
		b.ExpectLast(childrenFilter(tx.project, key), tx.guards[key])
	}
	return b
}

// addChange adds what the transaction makes of one entry, and reports whether that is
// a change.
func (tx *Tx) addChange(b *kv.Batch, key Key) bool {
	was, is := tx.read[key], tx.written[key]
	var from, to Key
	if was.revision != 0 {
		from = was.entry.Parent
	}
	switch {
	case is == nil && was.revision == 0:
		return false
	case is == nil:
		// The marker stays for good. When it expired, and the server was killed then, the
		// server built its index anew from files in which the entry still stands.
		b.Delete(entryKey(tx.project, key), was.revision)
	default:
		to = is.Parent
		b.CompareAndSet(entryKey(tx.project, key), *is, was.revision)
	}
	if !from.IsZero() && from != to {
		// That of a link expires, or what the children of an entry cost would grow with all
		// that it ever had. A link that comes back has no entry, and counts for nothing.
		b.Clear(linkKey(tx.project, from, key), kv.TTL(kv.MarkerTTL))
	}
	if !to.IsZero() && (from != to || is.ID != was.entry.ID) {
		b.Put(linkKey(tx.project, to, key), link{SchemaVersion: volume.SchemaVersion, ID: is.ID})
	}
	return true
}

func sortedKeys[V any](m map[Key]V) []Key {
	keys := make([]Key, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}
