package preload

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// unacknowledged is how many messages are sent to a stream before one is waited for. The
// server drops what it cannot keep up with, beyond 10,000.
const unacknowledged = 1000

// Writer stores messages in great number. It sends without waiting for most of them; the
// last of each stream is known to be stored when Flush returns. It is for one goroutine,
// and for streams to which nobody else writes meanwhile.
type Writer struct {
	js      jetstream.JetStream
	records outlet
	events  outlet
}

// outlet is the way to one stream.
type outlet struct {
	stream string
	last   uint64 // sequence of the last message sent
	sent   int    // since one was waited for
	unsure *nats.Msg
}

// NewWriter returns a writer to the streams of events and records as they are now. It
// returns the error of nats.go if they cannot be reached.
func NewWriter(ctx context.Context, js jetstream.JetStream) (*Writer, error) {
	w := &Writer{js: js, records: outlet{stream: "KV_" + kv.VolumesBucket}, events: outlet{stream: events.StreamName}}
	for _, o := range []*outlet{&w.records, &w.events} {
		stream, err := js.Stream(ctx, o.stream)
		if err != nil {
			return nil, fmt.Errorf("open stream %s: %w", o.stream, err)
		}
		o.last = stream.CachedInfo().State.LastSeq
	}
	return w, nil
}

// Volume stores a volume: its events, and its record, which is told where they are.
func (w *Writer) Volume(ctx context.Context, v Volume) error {
	for _, t := range v.Events {
		v.Record.EventSequence = w.events.last // of the event before: that of the last is in the outbox
		if err := w.Event(ctx, t); err != nil {
			return err
		}
	}
	return w.Record(ctx, v.Record)
}

// Event stores an event. It returns an error if the server refuses it or one before it, or
// if the stream has other messages than those of this writer.
func (w *Writer) Event(ctx context.Context, t volume.Transition) error {
	data, err := events.Encode(t)
	if err != nil {
		return err
	}
	msg := nats.NewMsg(events.PublishSubject(t.Key, t.Event))
	msg.Header.Set("Content-Type", events.ContentType)
	msg.Data = data
	return w.send(ctx, &w.events, msg)
}

// Record stores a record, whatever is there. Its errors are those of Event.
func (w *Writer) Record(ctx context.Context, r volume.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return w.send(ctx, &w.records, &nats.Msg{Subject: "$KV." + kv.VolumesBucket + "." + r.Key.String(), Data: data})
}

// send sends the message that was kept back before, and keeps this one, so that there is
// always one left to wait for.
func (w *Writer) send(ctx context.Context, o *outlet, msg *nats.Msg) error {
	before := o.unsure
	o.unsure = msg
	o.last++
	if before == nil {
		return nil
	}
	if o.sent++; o.sent < unacknowledged {
		return w.js.Conn().PublishMsg(before)
	}
	return w.await(ctx, o, before, o.last-1)
}

// await sends a message and waits until it is stored, with all before it.
func (w *Writer) await(ctx context.Context, o *outlet, msg *nats.Msg, sequence uint64) error {
	ack, err := w.js.PublishMsg(ctx, msg)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", msg.Subject, err)
	}
	if ack.Sequence != sequence {
		return fmt.Errorf("stream %s: stored at sequence %d, want %d: others write to it, or it has dropped some", o.stream, ack.Sequence, sequence)
	}
	o.sent = 0
	return nil
}

// Flush returns when everything is stored. Its errors are those of Event.
func (w *Writer) Flush(ctx context.Context) error {
	for _, o := range []*outlet{&w.events, &w.records} {
		if o.unsure == nil {
			continue
		}
		if err := w.await(ctx, o, o.unsure, o.last); err != nil {
			return err
		}
		o.unsure = nil
	}
	return nil
}
