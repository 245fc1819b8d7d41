package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Most creates are of a name that never was. To read its record and its last event first would
// only tell that there are none, and the writes that follow tell it too. So a create of a name
// that the worker does not remember is decided on an empty head, and its record says so
// ([volume.Record.Assumed]):
//
//   - The record is stored only where nothing lies, not even a marker of one that was deleted or
//     has expired. That proves that there was no record.
//   - Its event is published as the volume's first. That proves that there were no events.
//
// Until both are stored nothing else is done: the backend is not called and nobody is told. A
// record that was stored where there are events, because the name's tombstone ran out long ago,
// is taken away again by whoever reads it, and so the name is as it was before (loadRefuted).
// Nothing but the beginning of an operation is decided so: whatever would be refused is decided
// again by what is known.

// errKnown says that the name of a create that was taken for new is known, or that the create
// has to be decided by more than that. Nothing was done.
var errKnown = errors.New("name is known")

// assumes reports whether the command is to be begun without looking at what is stored. In a
// project with a quota it is not: what it reserves depends on what the volume uses already.
func (e *execution) assumes() bool {
	creates := e.command.Verb == volume.VerbCreate && e.command.Args.Source.IsZero() && !e.command.ValidateOnly
	return creates && !e.looks && e.meter.cold && !e.worker.quotas.Limited(e.command.Key.Project)
}

// executeAssumed carries the command out on an empty head. It returns errKnown if that must not
// be; the command is then to be executed as if nothing had happened.
func (e *execution) executeAssumed(ctx context.Context) (err error) {
	e.head = e.worker.loadUnrecorded(e.command.Key, events.Stored{}, false)
	e.head.record.Assumed = true
	ctx = e.trace(ctx)
	defer func() { e.traced(err) }()
	if err := e.beginAssumed(ctx); err != nil {
		return err
	}
	outcome, err := e.operate(ctx)
	return e.finish(ctx, outcome, false, err)
}

// beginAssumed begins the operation. When it returns nil, record and event are stored.
func (e *execution) beginAssumed(ctx context.Context) error {
	decision, err := e.decide(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errKnown, err)
	}
	err = e.commit(ctx, decision)
	if errors.Is(err, kv.ErrExists) || rejection(err) {
		return fmt.Errorf("%w: %w", errKnown, err)
	}
	return err
}

// prove waits until the event that was published as the volume's first is stored, which proves
// that it is. It returns errKnown if there is an earlier one.
func (h *head) prove(ctx context.Context) error {
	_, err := h.settled(ctx)
	if errors.Is(err, events.ErrConflict) {
		return fmt.Errorf("%w: %w", errKnown, err)
	}
	if err == nil {
		h.record.Assumed = false
	}
	return err
}

// refuted reports whether the record was stored on the assumption that the volume has no events,
// and it has some before that of the record, which was published as the first or not at all. It
// returns [events.ErrConflict] if it is to be asked again.
func (h *head) refuted(ctx context.Context, w *Worker, last events.Stored, hasEvents bool) (bool, error) {
	if !hasEvents || !h.record.Assumed || len(h.record.Outbox) == 0 {
		return false, nil
	}
	own := h.record.Outbox[0]
	if last.Data.Same(own) {
		return false, nil
	}
	first, found, err := w.publisher.Next(ctx, h.record.Key, 1)
	if err == nil && !found { // the last one has aged out since, and tells nothing any more
		return false, events.ErrConflict
	}
	return !first.Data.Same(own), err
}

// loadRefuted takes the record away and makes the head that the volume had without it. It
// returns [kv.ErrConflict] or [kv.ErrNotFound] if another owner was here.
func (w *Worker) loadRefuted(ctx context.Context, entry kv.Entry[volume.Record], last events.Stored) (*head, error) {
	key := entry.Value.Key
	// gofail: var beforeForget string
	// killAt(beforeForget, "forget", entry.Value.Outbox[0].CommandID)

	// The marker does not expire: the record would come back if the server is killed after that.
	if err := w.records.Delete(ctx, key.String(), entry.Revision); err != nil {
		return nil, fmt.Errorf("load volume %s: %w", key, err)
	}
	// gofail: var afterForget string
	// killAt(afterForget, "forget", entry.Value.Outbox[0].CommandID)

	w.log.Info().Str("volume", key.String()).Uint64("generation", last.Data.Generation).
		Msg("name was used before, taken from its last event")
	return w.loadUnrecorded(key, last, true), nil
}
