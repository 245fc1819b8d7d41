package nodes

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Holding is one volume on one node, as the volume's record has it.
type Holding struct {
	Node volume.Node `json:"node"`
	volume.Key
	VolumeID volume.ID    `json:"volume_id"`
	Mode     volume.Mode  `json:"mode"`
	State    volume.State `json:"state"`
	Backend  string       `json:"backend"`
	// Attaching says that the node does not hold the volume yet.
	Attaching bool `json:"attaching,omitempty"`
}

// Filter selects holdings; empty fields select all.
type Filter struct {
	Node    volume.Node
	Project volume.Project
}

// view is what one look at all records tells.
type view struct {
	holdings []Holding
	// doubtful are volumes in error that do not name the wanted node: an attach to it may
	// have got through before it failed.
	doubtful []volume.Key
}

// List returns the holdings that match, by node and then by volume. The records come from
// any replica, so that one which has just changed may be told as it was. Records that cannot
// be read are left out and named in the error, beside the holdings of all others.
func List(ctx context.Context, records kv.Volumes, filter Filter) ([]Holding, error) {
	seen, err := look(ctx, records, filter)
	return seen.holdings, err
}

func look(ctx context.Context, records kv.Volumes, filter Filter) (view, error) {
	options := kv.ListOptions{Limit: kv.MaxPageSize}
	if filter.Project != "" {
		options.Filter = string(filter.Project) + ".*"
	}
	found := map[volume.Key]volume.Record{} // one that changes meanwhile is told twice
	var unreadable []error
	for {
		page, next, err := records.List(ctx, options)
		if kv.Unreadable(err) {
			unreadable, err = append(unreadable, err), nil
		}
		if err != nil {
			return view{}, err
		}
		for _, entry := range page {
			found[entry.Value.Key] = entry.Value
		}
		if next == 0 {
			return newView(found, filter.Node), errors.Join(unreadable...)
		}
		options.After = next
	}
}

func newView(records map[volume.Key]volume.Record, node volume.Node) view {
	var v view
	for key, record := range records {
		held := false
		for _, one := range holdingsOf(record) {
			if node == "" || one.Node == node {
				v.holdings = append(v.holdings, one)
				held = true
			}
		}
		if record.State == volume.StateError && !held {
			v.doubtful = append(v.doubtful, key)
		}
	}
	slices.SortFunc(v.holdings, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Key.String(), b.Key.String()))
	})
	slices.SortFunc(v.doubtful, func(a, b volume.Key) int { return cmp.Compare(a.String(), b.String()) })
	return v
}

// holdingsOf returns who holds the volume, and to whom it is being attached.
func holdingsOf(record volume.Record) []Holding {
	if !record.Exists() {
		return nil
	}
	var holdings []Holding
	add := func(node volume.Node, mode volume.Mode, attaching bool) {
		holdings = append(holdings, Holding{
			Node: node, Key: record.Key, VolumeID: record.ID, Mode: mode,
			State: record.State, Backend: record.Backend, Attaching: attaching,
		})
	}
	for _, one := range record.Attachments {
		add(one.Node, one.Mode, false)
	}
	if op := record.Op; op != nil && op.Verb == volume.VerbAttach {
		if _, held := record.Attachments.Of(op.Args.Node); !held {
			add(op.Args.Node, op.Args.Mode, true)
		}
	}
	return holdings
}
