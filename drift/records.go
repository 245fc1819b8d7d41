package drift

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// passRecords compares every record of the sweep with its backend, a page at a time.
func (w *sweep) passRecords(ctx context.Context) error {
	options := kv.ListOptions{Filter: w.filter(), Limit: kv.MaxPageSize}
	for {
		w.refresh()
		page, next, err := w.records.List(ctx, options)
		if err != nil && !kv.Unreadable(err) {
			return err
		}
		if err != nil {
			if err := w.skip(ctx, "records", err); err != nil {
				return err
			}
		}
		for _, entry := range page {
			if err := w.record(ctx, entry); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		options.After = next
	}
}

// record looks at one record as any replica has it. Only if there seems to be something
// is it looked at again, as the leader has it.
func (w *sweep) record(ctx context.Context, entry kv.Entry[volume.Record]) error {
	record := entry.Value
	if entry.Key != record.Key.String() || !w.takes(record.Key) || !record.Exists() {
		return nil
	}
	w.report.Volumes++
	if len(w.options.Backends) == 0 && record.Op == nil {
		return w.tellRecorded(ctx, record)
	}
	if record.Op == nil && record.Drift == nil {
		v, known, err := w.judge(ctx, record)
		if err != nil || !known || !v.changes && len(v.differences) == 0 {
			return err
		}
	}
	_, err := w.examine(ctx, record.Key)
	return err
}

// tellRecorded tells what the record itself says, for who has no backends to look at.
func (w *sweep) tellRecorded(ctx context.Context, record volume.Record) error {
	if record.Drift == nil {
		return nil
	}
	return w.tell(ctx, w.found(record, sight{}, verdict{differences: record.Drift.Differences}))
}

// judge compares a record at rest with its backend. It is not known if the backend does not
// tell.
func (w *sweep) judge(ctx context.Context, record volume.Record) (v verdict, known bool, err error) {
	seen, known, err := w.lookFor(ctx, record)
	if err != nil || !known {
		return verdict{}, false, err
	}
	return w.compare(record, seen), true, nil
}

func (w *sweep) compare(record volume.Record, seen sight) verdict {
	return compare(record, seen, w.options.RecordOnly[record.Backend], now())
}

// lookFor asks the record's backend. It is not known if that does not tell.
func (w *sweep) lookFor(ctx context.Context, record volume.Record) (seen sight, known bool, err error) {
	if record.Op != nil { // with an operation under way the backend proves nothing
		return sight{}, false, nil
	}
	backend := w.options.Backends[record.Backend]
	if backend == nil {
		return sight{}, false, w.skip(ctx, record.Key.String(), volume.Errorf(volume.ErrUnknownBackend, "backend %q is not configured here", record.Backend))
	}
	seen, err = w.look(ctx, backend, record.Key)
	if err != nil {
		return sight{}, false, w.skip(ctx, record.Key.String(), err)
	}
	return seen, true, nil
}

// answer is what an examination of one volume came to.
type answer int

const (
	unknown answer = iota // it is being worked on, or the backend does not tell
	agrees
	differs
)

// examine looks at a volume as the leader has it, and tells what it finds. Nothing is told
// unless the record stayed as it was over two looks that saw the same, and no command waits
// for its turn: what changes at this moment is its owner's matter.
func (w *sweep) examine(ctx context.Context, key volume.Key) (answer, error) {
	entry, err := w.records.ByKey(ctx, key)
	switch {
	case errors.Is(err, kv.ErrNotFound), err == nil && !entry.Value.Exists():
		return agrees, nil // of records at least
	case kv.Unreadable(err):
		return unknown, w.skip(ctx, key.String(), err)
	case err != nil:
		return unknown, err
	case entry.Value.Op != nil:
		return unknown, w.leftBehind(ctx, entry)
	}
	first, known, err := w.lookFor(ctx, entry.Value)
	if err != nil || !known {
		return unknown, err
	}
	v := w.compare(entry.Value, first)
	if !v.changes && len(v.differences) == 0 {
		return agrees, nil
	}
	if sure, err := w.sure(ctx, entry, first); err != nil || !sure {
		return unknown, err
	}
	if err := w.tell(ctx, w.found(entry.Value, first, v)); err != nil || len(v.differences) > 0 {
		return differs, err
	}
	return agrees, w.forget(ctx, key) // the record will say so soon
}

// sure reports whether a second look sees the same as the first, of a record that rests.
func (w *sweep) sure(ctx context.Context, entry kv.Entry[volume.Record], first sight) (bool, error) {
	second, known, err := w.lookFor(ctx, entry.Value)
	if err != nil || !known || !second.same(first) {
		return false, err
	}
	return w.rests(ctx, entry)
}

// found is what is told of a record at rest.
func (w *sweep) found(record volume.Record, seen sight, v verdict) Found {
	f := Found{Finding: newFinding(record.Key, record.Backend, v.differences, now()), State: record.State}
	f.VolumeID, f.Generation = record.ID, record.Generation
	if seen.present {
		f.saw(seen.object)
	}
	if drift := record.Drift; drift != nil && drift.Same(f.Drift()) && !drift.FoundAt.IsZero() {
		f.FoundAt = drift.FoundAt
	}
	if v.changes {
		f.Command = commands.Request{
			Verb: volume.VerbReconcile, ID: commandID(volume.VerbReconcile, record, seen, v.differences),
		}
	}
	return f
}

// rests reports whether the record is still as it was read, and no command waits.
func (w *sweep) rests(ctx context.Context, entry kv.Entry[volume.Record]) (bool, error) {
	waits, err := w.awaited(ctx, entry.Value.Key)
	if err != nil || waits {
		return false, err
	}
	revision, _, err := w.records.Head(ctx, entry.Key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return revision == entry.Revision, err
}

// leftBehind looks after an operation under way. Its command is in the stream until it has
// ended; if it is not, and no other of the volume is, then somebody took it out by hand, and
// nobody will go on with the operation until the next command of the volume comes.
func (w *sweep) leftBehind(ctx context.Context, entry kv.Entry[volume.Record]) error {
	record := entry.Value
	if time.Since(entry.Created) < w.options.LeftAfter {
		return nil
	}
	rests, err := w.rests(ctx, entry)
	if err != nil || !rests {
		return err
	}
	f := Found{
		Finding: newFinding(record.Key, record.Backend, nil, now()),
		State:   record.State, Left: record.Op.CommandID,
		Command: commands.Request{Verb: volume.VerbReconcile, ID: commandID(volume.VerbReconcile, record, sight{}, nil)},
	}
	f.VolumeID, f.Generation = record.ID, record.Generation
	return w.tell(ctx, f)
}
