package quotas

import (
	"context"
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// view is what the records of a project say, kept up to date by asking for changes.
type view struct {
	records kv.Volumes
	project volume.Project
	known   map[volume.Name]known
	last    uint64 // revision up to which it is known
}

// known is what matters of a record.
type known struct {
	state
	before Usage            // its operation
	op     volume.CommandID // under way, or empty
	seq    uint64           // of that command
}

func newView(records kv.Volumes, project volume.Project) *view {
	return &view{records: records, project: project, known: map[volume.Name]known{}}
}

// refresh reads what has changed. A record that cannot be read is an error: what its volume
// uses is not known.
func (v *view) refresh(ctx context.Context) error {
	changed, gone, last, err := v.records.ListSince(ctx, string(v.project)+".*", v.last)
	if err != nil {
		return fmt.Errorf("read what the volumes of project %s use: %w", v.project, err)
	}
	v.last = last
	for _, key := range gone {
		delete(v.known, volume.Name(strings.TrimPrefix(key, string(v.project)+".")))
	}
	for _, entry := range changed {
		v.known[entry.Value.Name] = knownOf(entry.Value)
	}
	return nil
}

func knownOf(record volume.Record) known {
	k := known{state: stateOf(record), before: Before(record)}
	if record.Op != nil {
		k.op, k.seq = record.Op.CommandID, record.Op.Sequence
	}
	return k
}

// sum returns what the ledger should say is used.
func (v *view) sum(l Ledger) Usage {
	var used Usage
	entered := map[volume.Name]bool{}
	for _, e := range l.Pending {
		used = used.Plus(e.holds(v.known[e.Volume].state))
		entered[e.Volume] = true
	}
	for name, k := range v.known {
		if !entered[name] {
			used = used.Plus(k.Usage)
		}
	}
	return used
}

// missing returns entries for the operations under way that have none: all of them if
// nobody knew of the ledger when they were begun, else those that change what is used.
func (v *view) missing(l Ledger) []Entry {
	var found []Entry
	for name, k := range v.known {
		if k.op == "" || l.entry(name) >= 0 || !l.Deriving && k.before == k.Usage {
			continue
		}
		found = append(found, Entry{
			Volume: name, CommandID: k.op, Sequence: k.seq, At: k.Reserved, Before: k.before, Peak: k.Usage,
		})
	}
	return found
}
