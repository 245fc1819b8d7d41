package snapshots

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Check reads all that is stored of a project and returns what does not fit together, in
// the order of the keys; nothing in a sound store:
//
//   - an entry or a link that cannot be read;
//   - a parent that is missing, is not committed, or is among its own ancestors;
//   - an entry without its link, and a link of another id than its entry;
//   - an id of two entries.
//
// A link whose entry is gone, or has another parent, is none: it counts for nothing.
func (s *Store) Check(ctx context.Context, project volume.Project) ([]error, error) {
	if err := (volume.Key{Project: project, Name: "any"}).Validate(); err != nil {
		return nil, err
	}
	records, _, err := kv.Open[json.RawMessage](s.js, kv.SnapshotsBucket).ListCurrent(ctx, string(project)+".>")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b kv.Entry[json.RawMessage]) int { return strings.Compare(a.Key, b.Key) })
	c := check{project: project, entries: map[Key]entry{}, links: map[string]link{}, keyOfID: map[string]Key{}}
	for _, record := range records {
		c.add(record)
	}
	c.compare(records)
	return c.faults, nil
}

// check is the work of [Store.Check].
type check struct {
	project volume.Project
	entries map[Key]entry
	links   map[string]link
	keyOfID map[string]Key
	faults  []error
}

func (c *check) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

func (c *check) add(record kv.Entry[json.RawMessage]) {
	switch {
	case strings.HasPrefix(record.Key, string(c.project)+"."+entryToken+"."):
		c.addEntry(record)
	case strings.HasPrefix(record.Key, string(c.project)+"."+linkToken+"."):
		var l link
		if err := json.Unmarshal(record.Value, &l); err != nil {
			c.fault("link %s: %w", record.Key, err)
			return
		}
		c.links[record.Key] = l
	case strings.HasPrefix(record.Key, string(c.project)+"."+fenceToken+"."):
	default:
		c.fault("record %s: neither an entry nor a link", record.Key)
	}
}

func (c *check) addEntry(record kv.Entry[json.RawMessage]) {
	var e entry
	if err := json.Unmarshal(record.Value, &e); err != nil {
		c.fault("entry %s: %w", record.Key, err)
		return
	}
	if record.Key != entryKey(c.project, e.Name) {
		c.fault("entry %s: it says that it is %q", record.Key, e.Name)
		return
	}
	if err := e.validate(e.Name); err != nil {
		c.faults = append(c.faults, err)
	}
	if other, known := c.keyOfID[e.ID]; known {
		c.fault("entry %s: it has the id %s of %s", e.Name, e.ID, other)
	}
	c.entries[e.Name], c.keyOfID[e.ID] = e, e.Name
}

func (c *check) compare(records []kv.Entry[json.RawMessage]) {
	for _, key := range sortedKeys(c.entries) {
		c.compareEntry(c.entries[key])
	}
	for _, record := range records {
		if l, isLink := c.links[record.Key]; isLink {
			c.compareLink(record.Key, l)
		}
	}
}

func (c *check) compareEntry(e entry) {
	if e.Parent.IsZero() {
		return
	}
	switch parent, found := c.entries[e.Parent]; {
	case !found:
		c.fault("entry %s: its parent %s is missing", e.Name, e.Parent)
	case parent.Kind != Committed:
		c.fault("entry %s: its parent %s is %s", e.Name, e.Parent, parent.Kind)
	case c.circular(e):
		c.fault("entry %s: it is its own ancestor", e.Name)
	}
	if _, found := c.links[linkKey(c.project, e.Parent, e.Name)]; !found {
		c.fault("entry %s: no link below its parent %s", e.Name, e.Parent)
	}
}

func (c *check) circular(e entry) bool {
	above := e
	for range len(c.entries) {
		if above.Parent.IsZero() {
			return false
		}
		if above.Parent == e.Name {
			return true
		}
		above = c.entries[above.Parent]
	}
	return false
}

func (c *check) compareLink(key string, l link) {
	parent, child, err := parseLinkKey(c.project, key)
	if err != nil {
		c.faults = append(c.faults, err)
		return
	}
	// One whose marker has expired may come back when the server is killed: see [Tx.addChange].
	if e, found := c.entries[child]; found && e.Parent == parent && e.ID != l.ID {
		c.fault("link %s: it is of id %s, the entry of %s", key, l.ID, e.ID)
	}
}
