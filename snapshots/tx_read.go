package snapshots

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxDepth bounds the chains that are followed. A longer one is taken for a circle.
const maxDepth = 4096

// readsAtOnce is how many entries are read at a time where many are.
const readsAtOnce = 16

// Stat returns the entry. It returns an error of code snapshot_not_found if there is none,
// and invalid_name for a malformed key.
func (tx *Tx) Stat(ctx context.Context, key Key) (Info, error) {
	e, err := tx.stat(ctx, "stat", key)
	return e.Info, err
}

// Usage returns what the entry itself takes, as its commit said; nothing for one that
// is not committed. Errors are those of Stat.
func (tx *Tx) Usage(ctx context.Context, key Key) (Usage, error) {
	e, err := tx.stat(ctx, "usage of", key)
	return e.Usage, err
}

func (tx *Tx) stat(ctx context.Context, operation string, key Key) (entry, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return entry{}, err
	}
	defer unlock()
	return tx.mustLookUp(ctx, operation, key)
}

// Get returns what is needed to use an active entry or a view. It returns the errors of
// Stat, and one of class failed_precondition for a committed entry, which cannot be used
// itself: make a view of it.
func (tx *Tx) Get(ctx context.Context, key Key) (Snapshot, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return Snapshot{}, err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "get", key)
	if err != nil {
		return Snapshot{}, err
	}
	if e.Kind == Committed {
		return Snapshot{}, precondition("get %s: it is committed: make a view of it", key)
	}
	chain, err := tx.ancestors(ctx, e)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Kind: e.Kind, ID: e.ID, ParentIDs: make([]string, len(chain))}
	for i, ancestor := range chain {
		s.ParentIDs[i] = ancestor.ID
	}
	return s, nil
}

// Chain returns the entries that key stands on, nearest first, without key itself. Its
// errors are those of Stat.
func (tx *Tx) Chain(ctx context.Context, key Key) ([]Info, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := tx.mustLookUp(ctx, "chain of", key)
	if err != nil {
		return nil, err
	}
	return tx.ancestors(ctx, e)
}

func (tx *Tx) ancestors(ctx context.Context, e entry) ([]Info, error) {
	var chain []Info
	for of := e.Name; !e.Parent.IsZero(); {
		parent, found, err := tx.lookUp(ctx, e.Parent)
		switch {
		case err != nil:
			return nil, err
		case !found:
			return nil, fmt.Errorf("%w: %s stands on %s, which is not there", kv.ErrCorrupt, e.Name, e.Parent)
		case len(chain) == maxDepth:
			return nil, fmt.Errorf("%w: more than %d entries below %s", kv.ErrCorrupt, maxDepth, of)
		}
		chain = append(chain, parent.Info)
		e = parent
	}
	return chain, nil
}

// Children returns the keys of the entries whose parent is key, in their order; none
// also if there is no such entry. It costs one list, and one read for each link in it: a link
// counts only with the entry that it leads to.
func (tx *Tx) Children(ctx context.Context, key Key) ([]Key, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	children, _, err := tx.children(ctx, key)
	return children, err
}

// children also returns the last revision under the links.
func (tx *Tx) children(ctx context.Context, parent Key) (children []Key, last uint64, err error) {
	linked, last, err := tx.linked(ctx, parent)
	if err != nil {
		return nil, 0, err
	}
	if err := tx.loadAll(ctx, linked); err != nil {
		return nil, 0, err
	}
	for _, child := range linked {
		if stands, err := tx.standsOn(ctx, child, parent); err != nil {
			return nil, 0, err
		} else if stands {
			children = append(children, child)
		}
	}
	return children, last, nil
}

func (tx *Tx) hasChildren(ctx context.Context, key Key) (bool, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return false, err
	}
	defer unlock()
	linked, _, err := tx.linked(ctx, key)
	if err != nil {
		return false, err
	}
	for _, child := range linked {
		if stands, err := tx.standsOn(ctx, child, key); err != nil || stands {
			return stands, err
		}
	}
	return false, nil
}

// standsOn reports whether the entry of a link is there and has the parent. A link without
// one is a leftover: see [Tx.addChange].
func (tx *Tx) standsOn(ctx context.Context, child, parent Key) (bool, error) {
	if e, changed := tx.written[child]; changed {
		return e != nil && e.Parent == parent, nil
	}
	found, err := tx.load(ctx, child)
	return found.revision != 0 && found.entry.Parent == parent, err
}

// linked returns what the links below parent lead to as the transaction sees them, leftovers
// too, and the last revision under the links.
func (tx *Tx) linked(ctx context.Context, parent Key) ([]Key, uint64, error) {
	if err := parent.Validate(); err != nil {
		return nil, 0, err
	}
	listed, last, err := tx.store.links.ListCurrent(ctx, childrenFilter(tx.project, parent))
	if err != nil {
		return nil, 0, err
	}
	all := map[Key]bool{}
	for _, l := range listed {
		_, child, err := parseLinkKey(tx.project, l.Key)
		if err != nil {
			return nil, 0, err
		}
		all[child] = true
	}
	for key, e := range tx.written {
		if delete(all, key); e != nil && e.Parent == parent {
			all[key] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), compareKeys), last, nil
}

// lookUp returns the entry of key as the transaction sees it, and whether there is one.
// From then on it is expected to stay as it is.
func (tx *Tx) lookUp(ctx context.Context, key Key) (entry, bool, error) {
	if e, changed := tx.written[key]; changed {
		if e == nil {
			return entry{}, false, nil
		}
		return e.clone(), true, nil
	}
	found, err := tx.load(ctx, key)
	if err != nil {
		return entry{}, false, err
	}
	return found.entry.clone(), found.revision != 0, nil
}

func (tx *Tx) load(ctx context.Context, key Key) (stored, error) {
	if found, known := tx.read[key]; known {
		return found, nil
	}
	found, err := tx.get(ctx, key)
	if err == nil {
		tx.read[key] = found
	}
	return found, err
}

// loadAll loads the entries of keys, some at a time.
func (tx *Tx) loadAll(ctx context.Context, keys []Key) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(key Key) bool {
		_, known := tx.read[key]
		return known
	})
	found := make([]stored, len(keys))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(readsAtOnce)
	for i, key := range keys {
		reads.Go(func() (err error) {
			found[i], err = tx.get(ctx, key)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	for i, key := range keys {
		tx.read[key] = found[i]
	}
	return nil
}

// get returns the entry as the leader has it, the zero one if there is none.
func (tx *Tx) get(ctx context.Context, key Key) (stored, error) {
	got, err := tx.store.entries.Get(ctx, entryKey(tx.project, key))
	if errors.Is(err, kv.ErrNotFound) {
		return stored{}, nil
	}
	if err == nil {
		err = got.Value.validate(key)
	}
	if err != nil {
		return stored{}, err
	}
	return stored{got.Value, got.Revision}, nil
}

// mustLookUp returns an entry that the caller named, which the transaction depends on
// from then on, also if it is not there.
func (tx *Tx) mustLookUp(ctx context.Context, operation string, key Key) (entry, error) {
	if err := key.Validate(); err != nil {
		return entry{}, err
	}
	e, found, err := tx.lookUp(ctx, key)
	if err != nil {
		return entry{}, fmt.Errorf("%s %s: %w", operation, key, err)
	}
	tx.expected[key] = true
	if !found {
		return entry{}, notFound(operation, key)
	}
	return e, nil
}

// clone returns a copy that shares nothing.
func (e entry) clone() entry {
	e.Labels = maps.Clone(e.Labels)
	return e
}

// validateLabels returns labels without empty values, which stand for none, or an error
// of code invalid_argument.
func validateLabels(labels volume.Labels) (volume.Labels, error) {
	if err := labels.Validate(); err != nil {
		return nil, err
	}
	kept := maps.Clone(labels)
	maps.DeleteFunc(kept, func(_, value string) bool { return value == "" })
	if len(kept) == 0 {
		return nil, nil
	}
	return kept, nil
}
