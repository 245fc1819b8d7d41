package drift

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxCandidates bounds how many objects without a record are remembered at once: a few
// megabytes of names.
const maxCandidates = 16 << 10

// passObjects looks for orphans in every backend that can list what it has.
func (w *sweep) passObjects(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(w.options.Backends)) {
		backend := w.options.Backends[name]
		if !backend.Capabilities().List {
			continue
		}
		if err := w.orphans(ctx, backend); err != nil {
			return err
		}
	}
	return nil
}

// orphans lists the backend and confirms every object that no record is known of. If those
// are too many to be remembered it takes a share of the names at a time.
func (w *sweep) orphans(ctx context.Context, backend *backends.Backend) error {
	for share, shares := uint32(0), uint32(1); share < shares; {
		w.refresh()
		candidates, whole, err := w.candidates(ctx, backend, share, shares)
		if err != nil {
			return err
		}
		if !whole {
			share, shares = 2*share, 2*shares // the shares before are the first 2*share by now
			continue
		}
		slices.SortFunc(candidates, func(a, b backends.Ref) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
		for _, ref := range candidates {
			if _, err := w.confirm(ctx, backend, ref); err != nil {
				return err
			}
		}
		share++
	}
	return nil
}

// shareOf says in which of the shares a key is. To halve each share makes 2i and 2i+1 of
// share i.
func shareOf(key volume.Key, shares uint32) uint32 {
	sum := sha256.Sum256([]byte(key.String())) // names are alike: FNV would leave most in one share
	const bits = 32
	return uint32(uint64(binary.BigEndian.Uint32(sum[:])) * uint64(shares) >> bits)
}

// candidates returns the objects of one share of the names that no live record seems to be
// of. It is not whole if there are too many. A backend that stops in the middle is skipped:
// what it has told so far is right.
func (w *sweep) candidates(ctx context.Context, backend *backends.Backend, share, shares uint32) (found []backends.Ref, whole bool, err error) {
	whole = true
	listing := backend.List(ctx, func(o backends.Object) bool {
		if !w.takes(o.Key) || shareOf(o.Key, shares) != share {
			return true
		}
		w.report.Objects++
		var known bool
		known, err = w.recorded(ctx, o.Ref, backend.Name())
		if err == nil && !known {
			whole = len(found) < w.candidatesAtOnce
			found = append(found, o.Ref)
		}
		return err == nil && whole
	})
	if err != nil {
		return nil, false, err
	}
	if !whole {
		w.report.Objects -= len(found) // at least: they are listed again
		return nil, false, nil
	}
	if listing != nil {
		err = w.skip(ctx, "backend "+backend.Name(), listing)
	}
	return found, true, err
}

// recorded reports whether a record of a live volume is known to be of the object, on that
// backend, as any replica has it.
func (w *sweep) recorded(ctx context.Context, ref backends.Ref, backend string) (bool, error) {
	entry, err := w.records.GetDirect(ctx, ref.Key.String())
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return false, nil
	case kv.Unreadable(err):
		return true, nil // told by the pass over the records
	}
	return owns(entry.Value, ref, backend), err
}

// owns reports whether a record speaks for an object: it is of the same life, or the volume
// is on that backend and the object in its place, which is told as a drift of the volume.
func owns(record volume.Record, ref backends.Ref, backend string) bool {
	return record.Exists() && (record.ID == ref.ID || record.Backend == backend)
}

// confirm looks whether an object is an orphan, as the leader has the records, and tells it.
// It is unknown while a command for the volume waits or the backend does not answer.
func (w *sweep) confirm(ctx context.Context, backend *backends.Backend, ref backends.Ref) (answer, error) {
	before, without, err := w.ownerless(ctx, backend, ref)
	if err != nil || without != differs {
		return without, err
	}
	if waits, err := w.awaited(ctx, ref.Key); err != nil || waits {
		return unknown, err
	}
	seen, err := w.look(ctx, backend, ref.Key)
	if err != nil {
		return unknown, w.skip(ctx, ref.Key.String(), err)
	}
	if !seen.present || seen.object.ID != ref.ID {
		return agrees, nil
	}
	after, without, err := w.ownerless(ctx, backend, ref)
	if err != nil || without != differs || after.Revision != before.Revision {
		return unknown, err
	}
	lost, err := w.lost(ctx, after.Value, ref.Key)
	if err != nil {
		return unknown, err
	}
	if lost.Lost {
		return agrees, w.tell(ctx, lost)
	}
	return differs, w.tell(ctx, w.orphan(backend.Name(), seen, after.Value))
}

// lost looks whether the object only seems to be an orphan, because the volume's record is
// lost while its events say that it lives. Any command to the volume brings the record back,
// and only a reconcile changes nothing else.
func (w *sweep) lost(ctx context.Context, record volume.Record, key volume.Key) (Found, error) {
	last, told, err := w.events.Last(ctx, key)
	t := last.Data
	if err != nil || !told || t.VolumeID == "" || t.To == volume.StateDeleted || t.Generation <= record.Generation {
		return Found{}, err
	}
	f := Found{Finding: newFinding(key, t.Spec.Backend, nil, now()), State: t.To, Lost: true}
	f.VolumeID, f.Generation = t.VolumeID, t.Generation
	record = volume.Record{Key: key, Generation: t.Generation, CommandSequence: t.CommandSequence}
	f.Command = commands.Request{Verb: volume.VerbReconcile, ID: commandID(volume.VerbReconcile, record, sight{}, nil)}
	return f, nil
}

// ownerless returns the record of the name, which may be none or that of a deleted volume.
// It differs if the record does not speak for the object.
func (w *sweep) ownerless(ctx context.Context, backend *backends.Backend, ref backends.Ref) (kv.Entry[volume.Record], answer, error) {
	entry, err := w.records.ByKey(ctx, ref.Key)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return kv.Entry[volume.Record]{}, differs, nil
	case kv.Unreadable(err):
		return kv.Entry[volume.Record]{}, unknown, w.skip(ctx, ref.Key.String(), err)
	case err != nil:
		return kv.Entry[volume.Record]{}, unknown, err
	case owns(entry.Value, ref, backend.Name()):
		return entry, agrees, nil
	}
	return entry, differs, nil
}

// orphan is what is told of an object without a record.
func (w *sweep) orphan(backend string, seen sight, record volume.Record) Found {
	object := seen.object
	differences := []volume.Difference{{Kind: volume.DriftOrphan, Actual: object.Size.String()}}
	f := Found{Finding: newFinding(object.Key, backend, differences, now())}
	f.saw(object)
	f.VolumeID, f.Generation = record.ID, record.Generation
	if w.options.Import[backend] && !record.Exists() {
		f.Command = Adopt(object.Key, backend, object.ID)
		record.Key = object.Key
		f.Command.ID = commandID(f.Command.Verb, record, seen, differences)
	}
	return f
}

// Adopt returns the command that takes an object into a record. Without an id it is
// whatever the backend has under the name.
func Adopt(key volume.Key, backend string, id volume.ID) commands.Request {
	return commands.Request{Key: key, Verb: volume.VerbAdopt, Args: volume.Args{Backend: backend, ID: id}}
}

// Orphans tells all objects of one backend that no live volume has the ID of, as a sweep
// does, and nothing else.
func (s *Sweeper) Orphans(ctx context.Context, backend *backends.Backend) error {
	return s.newSweep(All()).orphans(ctx, backend)
}
