package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// head is what a lane knows of its volume: the record as it is stored, and how far the
// volume's events have come. Only the lane's goroutine uses it.
type head struct {
	record   volume.Record
	revision uint64 // of the record; 0 while the bucket has none
	// outdated says that the bucket has an older record than the one that was stored last.
	outdated bool
	// last is the volume's last event, perhaps still on its way.
	last      *events.Pending
	lastEvent string             // its ID; empty if the volume has no events
	due       prometheus.Counter // of the last event, until that is known to be stored; else nil
	tracer    *telemetry.Tracer
}

// head returns what is known of the lane's volume, reading it if nothing is. An answer
// that changes nothing has no compare-and-set to prove it: it is always read.
func (l *lane) head(ctx context.Context, readOnly bool) (*head, error) {
	if known, ok := l.tenure.heads.Get(l.key); ok && !readOnly {
		return known, nil
	}
	return l.worker().load(ctx, l.key)
}

// load reads a volume's record and last event from their leaders, and publishes what a
// former owner stored in the outbox and did not get onto the stream.
func (w *Worker) load(ctx context.Context, key volume.Key) (*head, error) {
	ctx, cancel := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer cancel()
	var entry kv.Entry[volume.Record]
	var last events.Stored
	var hasRecord, hasEvents bool
	var reads errgroup.Group
	reads.Go(func() (err error) {
		entry, err = w.records.ByKey(ctx, key)
		hasRecord = err == nil
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		return err
	})
	reads.Go(func() (err error) {
		last, hasEvents, err = w.publisher.Last(ctx, key)
		return err
	})
	if err := reads.Wait(); err != nil {
		return nil, fmt.Errorf("load volume %s: %w", key, err)
	}
	if !hasRecord && hasEvents {
		// The two reads are not one: the record may have come between them.
		var err error
		if entry, err = w.records.ByKey(ctx, key); err == nil {
			hasRecord = true
		} else if !errors.Is(err, kv.ErrNotFound) {
			return nil, fmt.Errorf("load volume %s: %w", key, err)
		}
	}
	if !hasRecord {
		return w.loadUnrecorded(key, last, hasEvents), nil
	}
	h := &head{record: entry.Value, revision: entry.Revision}
	if refuted, err := h.refuted(ctx, w, last, hasEvents); err != nil {
		return nil, fmt.Errorf("load volume %s: %w", key, err)
	} else if refuted {
		return w.loadRefuted(ctx, entry, last)
	}
	if hasEvents && last.Data.Generation > entry.Value.Generation {
		return w.loadOutdated(ctx, key, last)
	}
	return h, h.resume(ctx, w, last, hasEvents)
}

// loadOutdated makes the head of a volume whose record is older than its events. A record is
// stored before its event is published, so there was a newer one: the server has lost it. It
// does so when it is killed after the newer one has expired, a tombstone, and finds the older
// one in its files (NATS 2.15.2).
func (w *Worker) loadOutdated(ctx context.Context, key volume.Key, last events.Stored) (*head, error) {
	entry, err := w.records.ByKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("load volume %s: %w", key, err)
	}
	if last.Data.Generation <= entry.Value.Generation {
		// It came between the two reads: another owner is here.
		return nil, fmt.Errorf("load volume %s: %w", key, kv.ErrConflict)
	}
	h := w.loadUnrecorded(key, last, true)
	h.revision, h.outdated = entry.Revision, true
	return h, nil
}

// loadUnrecorded makes the head of a volume that has no record: it never had one, its
// tombstone has run out, or somebody deleted the record by hand. Generations go on from
// the last event; a volume that still lives by its events is taken from there.
func (w *Worker) loadUnrecorded(key volume.Key, last events.Stored, hasEvents bool) *head {
	h := &head{
		record: volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, State: volume.StatePending},
		last:   w.publisher.Published(0),
	}
	if !hasEvents {
		return h
	}
	t := last.Data
	h.last, h.lastEvent = w.publisher.Published(last.Sequence), t.ID
	h.record.EventSequence, h.record.EventHash = last.Sequence, last.Hash
	h.record.Generation = t.Generation
	h.record.State = t.To
	h.record.Owner = volume.Owner{Worker: t.Worker, Epoch: t.Epoch, Since: t.Time} // of an unknown run
	if t.VolumeID == "" || t.To == volume.StateDeleted {
		return h
	}
	h.record.ID, h.record.Spec = t.VolumeID, t.Spec
	if t.To.InProgress() {
		h.record.State = volume.StateError // what was under way is not known any more
	}
	w.log.Error().Str("volume", key.String()).Uint64("generation", t.Generation).
		Msg("record is missing, taken from the last event")
	return h
}

// resume makes sure that every event in the outbox is on the stream. It looks at what
// stands there and does not rely on its being what this record expects: an event that
// does not belong there must not stop the volume for ever.
func (h *head) resume(ctx context.Context, w *Worker, last events.Stored, hasEvents bool) error {
	outbox := h.record.Outbox
	if hasEvents {
		h.lastEvent = last.Data.ID
	}
	h.last = w.publisher.Published(last.Sequence)
	if hasEvents {
		h.record.Assumed = false // else the record would have been refuted
	}
	if len(outbox) == 0 || hasEvents && outbox[len(outbox)-1].ID == h.lastEvent {
		h.record.EventHash = lastHash(h.record, last)
		return nil
	}
	if aged, err := h.agedOut(ctx, w, hasEvents); err != nil || aged {
		return err
	}
	published, last, err := h.published(ctx, w, last)
	if err != nil {
		return err
	}
	for _, t := range outbox {
		if published[t.ID] {
			continue
		}
		// gofail: var beforeResume string
		// killAt(beforeResume, "resume", t.CommandID)

		made := t // which is not to be changed any more
		if err := h.publish(ctx, w, &made, nil); err != nil {
			return err
		}
		// gofail: var afterResume string
		// flushAndKillAt(w.nc, afterResume, "resume", t.CommandID)

		hash, err := events.Chain(&t, t.Previous)
		if err != nil {
			return err
		}
		last = events.Stored{Envelope: events.Wrap(t), Hash: hash}
	}
	h.record.EventHash = lastHash(h.record, last)
	_, err = h.settled(ctx)
	return err
}

// published returns the IDs of the events that stand behind the record's EventSequence, and the
// volume's last event. It returns [events.ErrConflict] if the record assumes that there are none.
func (h *head) published(ctx context.Context, w *Worker, last events.Stored) (map[string]bool, events.Stored, error) {
	published := map[string]bool{}
	for at := h.record.EventSequence; ; {
		found, ok, err := w.publisher.Next(ctx, h.record.Key, at+1)
		if err != nil {
			return nil, last, err
		}
		if !ok {
			break
		}
		published[found.Data.ID] = true
		at, last = found.Sequence, found
		h.last, h.lastEvent = w.publisher.Published(at), found.Data.ID
	}
	if h.record.Assumed && len(published) > 0 { // since they were looked for: another owner is here
		return nil, last, fmt.Errorf("load volume %s: %w", h.record.Key, events.ErrConflict)
	}
	return published, last, nil
}

// prune empties the outbox once its events are known to be on the stream. The next
// write of the record then carries only the new event.
func (h *head) prune() {
	if sequence, done := h.last.Done(); done {
		h.record.Outbox = nil
		h.record.EventSequence = sequence
	}
}

// store writes the record by compare-and-set, under the timeout of w.js. After any error the
// head is stale.
func (h *head) store(ctx context.Context, w *Worker, record volume.Record) (err error) {
	ctx, span := w.config.Tracer.Begin(ctx, telemetry.SpanStore)
	defer func() { span.End(failure(record, err)) }()
	var options []kv.Option
	if record.State == volume.StateDeleted || record.ID == "" { // none lives under this name
		options = append(options, kv.TTL(w.config.TombstoneTTL)) // a write without it would take it away
	}
	var revision uint64
	switch {
	case record.Assumed:
		revision, err = w.records.CreateFirst(ctx, record.Key.String(), record, options...)
	case h.revision == 0:
		revision, err = w.records.Create(ctx, record.Key.String(), record, options...)
	default:
		revision, err = w.records.CompareAndSet(ctx, record.Key.String(), record, h.revision, options...)
	}
	if err != nil {
		return fmt.Errorf("store volume %s: %w", record.Key, err)
	}
	h.record, h.revision, h.outdated = record, revision, false
	return nil
}

// publish starts the publishing of t behind the volume's last event, for which it has
// to wait. T must not be changed after that. Encoded is its event as [chain] has encoded it, or nil.
// Where t is the first by assumption it waits for t, too.
func (h *head) publish(ctx context.Context, w *Worker, t *volume.Transition, encoded []byte) error {
	after, err := h.settled(ctx)
	if err != nil {
		return err
	}
	// gofail: var beforePublish string
	// killAt(beforePublish, stepFrom(h.record.Assumed, t), t.CommandID)

	span := w.config.Tracer.PublishEvent(ctx, *t)
	pending, err := w.publisher.StartEncoded(t, encoded, after)
	span.End(err)
	if err != nil {
		return err
	}
	// gofail: var afterPublish string
	// flushAndKillAt(w.nc, afterPublish, stepFrom(h.record.Assumed, t), t.CommandID)

	h.last, h.lastEvent = pending, t.ID
	h.due, h.tracer = w.metrics.events.WithLabelValues(string(t.Event)), w.config.Tracer
	if h.record.Assumed {
		return h.prove(ctx)
	}
	return nil
}

// settled waits until the volume's last event is stored and returns its sequence, 0 if
// there is none.
func (h *head) settled(ctx context.Context) (sequence uint64, err error) {
	sequence, stored := h.last.Done()
	if !stored {
		ctx, span := h.tracer.Begin(ctx, telemetry.SpanAwaitEvent)
		sequence, err = h.last.Wait(ctx)
		span.End(failure(h.record, err))
	}
	if err == nil && h.due != nil {
		h.due.Inc()
		h.due = nil
	}
	return sequence, err
}
