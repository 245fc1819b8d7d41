package quotas

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nuid"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxDerivations is how often a derivation is begun again that others got ahead of.
const maxDerivations = 10

// derive works out what a project uses from its records, and stores it. Entries whose
// commands are in stale are dropped. It returns the ledger as it is then.
//
// Most records are read beforehand. For the rest the ledger is held, so that it comes to
// rest. Then the compare-and-set proves that nothing was reserved or settled since the
// ledger was read; every record that has changed since has an entry, and what an entry
// holds is the same before and after its volume's record is stored.
func (c *Client) derive(ctx context.Context, project volume.Project, stale map[volume.CommandID]bool) (Ledger, error) {
	v := newView(c.records, project)
	for range maxDerivations {
		if err := v.refresh(ctx); err != nil {
			return Ledger{}, err
		}
		held, err := c.hold(ctx, project)
		if err != nil {
			return Ledger{}, err
		}
		if err := v.refresh(ctx); err != nil {
			return Ledger{}, err // the workers go on after MaxHold
		}
		now, begun := v.derived(held.Value, stale)
		_, err = c.ledgers.CompareAndSet(ctx, string(project), now, held.Revision)
		if err == nil {
			return now, c.closeEnded(ctx, project, begun)
		}
		if !errors.Is(err, kv.ErrConflict) {
			return now, err
		}
	}
	return Ledger{}, fmt.Errorf("derive what project %s uses: %w", project, errRestless)
}

// derived returns the ledger with what the records say, and which entries were made for
// operations under way.
func (v *view) derived(l Ledger, stale map[volume.CommandID]bool) (now Ledger, begun []Entry) {
	now = l.clone()
	now.Pending = slices.DeleteFunc(now.Pending, func(e Entry) bool {
		return stale[e.CommandID] && v.known[e.Volume].op != e.CommandID
	})
	begun = v.missing(now)
	now.Pending = append(now.Pending, begun...)
	now.Used = v.sum(now)
	now.Deriving, now.Seen, now.Held = false, nil, ""
	return now, begun
}

// hold asks the workers to leave the ledger alone, and returns it.
func (c *Client) hold(ctx context.Context, project volume.Project) (kv.Entry[Ledger], error) {
	for range maxConflicts {
		entry, err := c.get(ctx, project)
		if err != nil {
			return entry, err
		}
		entry.Value.Held = nuid.Next()
		entry.Revision, err = c.ledgers.CompareAndSet(ctx, string(project), entry.Value, entry.Revision)
		if !errors.Is(err, kv.ErrConflict) {
			return entry, err
		}
	}
	return kv.Entry[Ledger]{}, fmt.Errorf("hold quota of project %s: %w", project, errRestless)
}

// closeEnded settles the entries that were made for operations under way and have ended
// meanwhile: their workers knew of none.
func (c *Client) closeEnded(ctx context.Context, project volume.Project, entries []Entry) error {
	for _, e := range entries {
		key := volume.Key{Project: project, Name: e.Volume}
		record, err := c.records.ByKey(ctx, key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if op := record.Value.Op; op != nil && op.CommandID == e.CommandID {
			continue // its worker will find the entry
		}
		if err := c.settle(ctx, project, e, stateOf(record.Value)); err != nil {
			return err
		}
	}
	return nil
}

// settle ends just this entry, if it is still there.
func (c *Client) settle(ctx context.Context, project volume.Project, e Entry, now state) error {
	for range maxConflicts {
		entry, err := c.get(ctx, project)
		if errors.Is(err, ErrNoQuota) {
			return nil
		}
		if err != nil {
			return err
		}
		l := entry.Value
		i := l.entry(e.Volume)
		if i < 0 || l.Pending[i].CommandID != e.CommandID || l.Pending[i].At != e.At {
			return nil
		}
		l.close(i, now)
		_, err = c.ledgers.CompareAndSet(ctx, string(project), l, entry.Revision)
		if !errors.Is(err, kv.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("settle command %s of project %s: %w", e.CommandID, project, errRestless)
}
