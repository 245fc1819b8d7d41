package snapshots

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

// filterFields are the fields that a filter may name.
var filterFields = filters.Fields{Plain: []string{"name", "parent", "kind"}, Keyed: []string{"labels"}}

// maxDepth bounds the chains that are followed. A longer one is taken for a circle.
const maxDepth = 4096

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

// Walk calls fn with every entry that one of the filters matches, all if there is none,
// in the order of their keys. Filters are described in package filters; their fields
// are name, parent, kind and labels. It stops at the first error of fn and returns it,
// and returns an error of code invalid_argument for a bad filter. fn may use the
// transaction.
//
// Filters that name the parents, or the keys, that they are about cost as much as their
// answer; others read the whole project.
func (tx *Tx) Walk(ctx context.Context, fn func(context.Context, Info) error, texts ...string) error {
	found, err := tx.find(ctx, texts)
	if err != nil {
		return err
	}
	for _, info := range found {
		if err := fn(ctx, info); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) find(ctx context.Context, texts []string) ([]Info, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	filter, err := filterFields.Parse(texts...)
	if err != nil {
		return nil, err
	}
	candidates, err := tx.candidates(ctx, filter)
	if err != nil {
		return nil, err
	}
	var found []Info
	for _, key := range sortedKeys(candidates) {
		if info := candidates[key].Info; filter.Match(fieldsOf(info)) {
			found = append(found, info)
		}
	}
	return found, nil
}

// candidates returns the entries that filter may match, with the changes of the
// transaction.
func (tx *Tx) candidates(ctx context.Context, filter filters.Filter) (map[Key]entry, error) {
	if names, limited := filter.Only("name"); limited {
		return tx.named(ctx, names)
	}
	if parents, limited := filter.Only("parent"); limited {
		return tx.below(ctx, parents)
	}
	listed, _, err := tx.store.entries.ListCurrent(ctx, entriesFilter(tx.project))
	if err != nil {
		return nil, err
	}
	return tx.overlay(listed)
}

// overlay returns listed entries as the transaction sees them, and those that it made.
func (tx *Tx) overlay(listed []kv.Entry[entry]) (map[Key]entry, error) {
	all := make(map[Key]entry, len(listed))
	for _, l := range listed {
		key := l.Value.Name
		if l.Key != entryKey(tx.project, key) {
			return nil, fmt.Errorf("%w: record %s says that it is %q", kv.ErrCorrupt, l.Key, key)
		}
		if err := l.Value.validate(key); err != nil {
			return nil, err
		}
		all[key] = l.Value
	}
	for key, found := range tx.read {
		if delete(all, key); found.revision != 0 {
			all[key] = found.entry
		}
	}
	for key, e := range tx.written {
		if delete(all, key); e != nil {
			all[key] = *e
		}
	}
	return all, nil
}

func (tx *Tx) named(ctx context.Context, names []string) (map[Key]entry, error) {
	all := map[Key]entry{}
	for _, name := range names {
		key, err := ParseKey(name)
		if err != nil {
			continue // no entry has such a name
		}
		if e, found, err := tx.lookUp(ctx, key); err != nil {
			return nil, err
		} else if found {
			all[key] = e
		}
	}
	return all, nil
}

func (tx *Tx) below(ctx context.Context, parents []string) (map[Key]entry, error) {
	all := map[Key]entry{}
	for _, name := range parents {
		parent, err := ParseKey(name)
		if err != nil {
			continue
		}
		children, _, err := tx.children(ctx, parent)
		if err != nil {
			return nil, err
		}
		for _, key := range children {
			if e, found, err := tx.lookUp(ctx, key); err != nil {
				return nil, err
			} else if found {
				all[key] = e
			}
		}
	}
	return all, nil
}

// fieldsOf lets a filter read an entry.
func fieldsOf(info Info) filters.Adaptor {
	return filters.AdaptorFunc(func(path []string) (string, bool) {
		switch path[0] {
		case "name":
			return info.Name.String(), true
		case "parent":
			return info.Parent.String(), !info.Parent.IsZero()
		case "kind":
			return string(info.Kind), true
		case "labels":
			value, present := info.Labels[path[len(path)-1]]
			return value, present
		}
		return "", false
	})
}

// IDMap returns the key of every id.
func (tx *Tx) IDMap(ctx context.Context) (map[string]Key, error) {
	ids := map[string]Key{}
	err := tx.Walk(ctx, func(_ context.Context, info Info) error {
		ids[info.ID] = info.Name
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// Children returns the keys of the entries whose parent is key, in their order; none
// also if there is no such entry.
func (tx *Tx) Children(ctx context.Context, key Key) ([]Key, error) {
	unlock, err := tx.lock(false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := key.Validate(); err != nil {
		return nil, err
	}
	children, _, err := tx.children(ctx, key)
	return children, err
}

// children returns the children of parent as the transaction sees them, and the last
// revision under the links to them.
func (tx *Tx) children(ctx context.Context, parent Key) ([]Key, uint64, error) {
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
	got, err := tx.store.entries.Get(ctx, entryKey(tx.project, key))
	if errors.Is(err, kv.ErrNotFound) {
		tx.read[key] = stored{}
		return stored{}, nil
	}
	if err == nil {
		err = got.Value.validate(key)
	}
	if err != nil {
		return stored{}, err
	}
	tx.read[key] = stored{got.Value, got.Revision}
	return tx.read[key], nil
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
