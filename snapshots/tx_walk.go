package snapshots

import (
	"context"
	"fmt"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/snapshots/filters"
)

// filterFields are the fields that a filter may name.
var filterFields = filters.Fields{Plain: []string{"name", "parent", "kind"}, Keyed: []string{"labels"}}

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
		linked, _, err := tx.linked(ctx, parent)
		if err != nil {
			return nil, err
		}
		for _, key := range linked {
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
