package events

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// ErrConflict says that the stream holds another event where this one belongs: another
// owner of the volume was here. Drop what is known of the volume and read it anew.
var ErrConflict = fmt.Errorf("another event stands in its place: %w", volume.Aborted)

// Timings of the publisher.
const (
	// republishWait is the pause before an unanswered publish is looked up and sent again.
	republishWait = 100 * time.Millisecond
	// agedOutWait is how long after its start an event may be put on a stream from which all of
	// the volume have aged out. Who was stopped for longer, and goes on, may be looking at a
	// stream on which another owner has published the event, and from which it has aged out.
	agedOutWait = time.Minute
)

// API error codes of a refused guard: JSStreamWrongLastSequenceErrF, and
// JSStreamWrongLastSequenceConstantErr, which a cluster also gives, at times without
// cause, for checks in flight.
const (
	codeWrongLastSequence         jetstream.ErrorCode = 10071
	codeWrongLastSequenceConstant jetstream.ErrorCode = 10164
)

// Publisher puts transitions onto the event stream, each exactly once.
type Publisher struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// NewPublisher returns a publisher on js, which must allow as many publishes without an answer
// as there may be events on their way ([jetstream.WithPublishAsyncMaxPending]): what is above
// that is given up after 200 ms, under mere load. It returns the error of nats.go if the
// stream VOLUME_EVENTS cannot be reached.
func NewPublisher(ctx context.Context, js jetstream.JetStream) (*Publisher, error) {
	stream, err := js.Stream(ctx, StreamName)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", StreamName, err)
	}
	return &Publisher{js: js, stream: stream}, nil
}

// Pending is an event on its way to the stream. It is for one goroutine.
type Pending struct {
	publisher  *Publisher
	transition *volume.Transition // nil once it is known to be stored
	encoded    []byte             // the event; nil if it was not encoded yet
	after      uint64
	guard      uint64 // after, or 0 once all of the volume's events have aged out
	started    time.Time
	future     jetstream.PubAckFuture
	sequence   uint64
	known      bool // that the event is stored, at sequence
}

// Start publishes t without waiting. The event belongs directly behind the volume's
// event with stream sequence after; 0 if the volume has none yet.
func (p *Publisher) Start(t volume.Transition, after uint64) (*Pending, error) {
	return p.StartEncoded(&t, nil, after)
}

// StartEncoded is [Publisher.Start] with the event as [ChainEncoded] has encoded it, or nil. The
// transition must not be changed any more.
func (p *Publisher) StartEncoded(t *volume.Transition, encoded []byte, after uint64) (*Pending, error) {
	pending := &Pending{publisher: p, transition: t, encoded: encoded, after: after, guard: after, started: time.Now()}
	return pending, pending.send()
}

// Published returns the pending of an event that is on the stream already; sequence 0
// stands for no event at all.
func (p *Publisher) Published(sequence uint64) *Pending {
	return &Pending{sequence: sequence, known: true}
}

func (d *Pending) send() error {
	if d.encoded == nil {
		var err error
		if d.encoded, _, err = encode(d.transition); err != nil {
			return err
		}
	}
	msg := &nats.Msg{Subject: PublishSubject(d.transition.Key, d.transition.Event), Data: d.encoded, Header: nats.Header{
		"Content-Type":                          {ContentType},
		jetstream.ExpectedStreamHeader:          {StreamName},
		jetstream.ExpectedLastSubjSeqHeader:     {strconv.FormatUint(d.guard, 10)},
		jetstream.ExpectedLastSubjSeqSubjHeader: {volumeFilter(d.transition.Key)},
	}}
	if d.transition.TraceParent != "" {
		msg.Header.Set("traceparent", d.transition.TraceParent)
	}
	var err error
	if d.future, err = d.publisher.js.PublishMsgAsync(msg); err != nil {
		return fmt.Errorf("publish event %s: %w: %w", d.transition.ID, volume.Unavailable, err)
	}
	return nil
}

// Done reports the event's stream sequence if it is known without waiting.
func (d *Pending) Done() (sequence uint64, ok bool) {
	if d.known || d.future == nil {
		return d.sequence, d.known
	}
	select {
	case ack := <-d.future.Ok():
		d.sequence, d.known = ack.Sequence, true
		// gofail: var eventFoundStored string
		// killAt(eventFoundStored, stepOf(d.transition), d.transition.CommandID)

		d.forget()
		return d.sequence, true
	default:
		return 0, false
	}
}

// Wait returns the event's stream sequence once it is stored. A refusal or a missing
// answer is looked up on the stream: if this event stands behind `after`, it was
// stored before; if nothing stands there, it is published again. If the stream has no event
// of the volume any more, all have aged out, and it is published as the first. It returns
// [ErrConflict] if another event stands there, the stream has lost the event at `after` but
// not those before, or all are gone and the event was started more than a minute ago; and
// ctx's error when ctx ends.
func (d *Pending) Wait(ctx context.Context) (uint64, error) {
	for !d.known {
		if err := d.answer(ctx); err != nil {
			return 0, err
		}
	}
	return d.sequence, nil
}

// answer waits for the server's answer, and looks the event up after any but a good one.
func (d *Pending) answer(ctx context.Context) error {
	if d.future != nil {
		future := d.future
		d.future = nil // an answer is told once only
		select {
		case ack := <-future.Ok():
			d.sequence, d.known = ack.Sequence, true
			// gofail: var eventStored string
			// killAt(eventStored, stepOf(d.transition), d.transition.CommandID)

			d.forget()
			return nil
		case err := <-future.Err():
			if !refused(err) && pause(ctx) != nil {
				return fmt.Errorf("publish event %s: %w", d.transition.ID, context.Cause(ctx))
			}
		case <-ctx.Done():
			d.future = future
			return fmt.Errorf("publish event %s: %w", d.transition.ID, context.Cause(ctx))
		}
	}
	return d.lookUp(ctx)
}

// forget lets go of all but the sequence: who remembers many volumes remembers the pending of
// each, and nats.go's future holds the message too.
func (d *Pending) forget() {
	d.publisher, d.transition, d.future, d.encoded = nil, nil, nil, nil
}

// lookUp finds out what stands behind `after`, and publishes again if nothing does.
func (d *Pending) lookUp(ctx context.Context) error {
	found, ok, err := d.publisher.Next(ctx, d.transition.Key, d.after+1)
	switch {
	case err != nil:
		return fmt.Errorf("look up event %s: %w", d.transition.ID, err)
	case !ok:
		return d.again(ctx)
	case !found.Data.Same(*d.transition):
		return fmt.Errorf("publish event %s after sequence %d: found %s: %w", d.transition.ID, d.after, found.Data.ID, ErrConflict)
	}
	d.sequence, d.known = found.Sequence, true
	d.forget()
	return nil
}

// again publishes the event once more, after a pause: a cluster may refuse a guard that
// does hold. One that can never hold, because `after` is not on the stream, is told.
func (d *Pending) again(ctx context.Context) error {
	last, ok, err := d.publisher.Last(ctx, d.transition.Key)
	d.guard = d.after // that there was no event may have been a former leader's word
	switch {
	case err != nil:
		return err
	case !ok && d.after > 0 && time.Since(d.started) < agedOutWait:
		d.guard = 0
		return d.send()
	case last.Sequence < d.after:
		return fmt.Errorf("publish event %s after sequence %d: the volume's last event is at %d: %w",
			d.transition.ID, d.after, last.Sequence, ErrConflict)
	case pause(ctx) != nil:
		return fmt.Errorf("publish event %s: %w", d.transition.ID, context.Cause(ctx))
	}
	return d.send()
}

// AgedOut reports whether an event of the given time is too old for the stream by its
// MaxAge, as the leader has it. It returns a [volume.Unavailable] if the stream does not answer.
func (p *Publisher) AgedOut(ctx context.Context, stored time.Time) (bool, error) {
	info, err := p.stream.Info(ctx)
	if err != nil {
		return false, fmt.Errorf("look up stream %s: %w: %w", StreamName, volume.Unavailable, err)
	}
	age := info.Config.MaxAge
	return age > 0 && time.Since(stored) > age, nil
}

// Last returns the volume's last event, read from the stream's leader. It returns
// ok false if the volume has none. Of an event that cannot be decoded it returns the
// sequence and the hash alone: whatever it is, it stands on the stream.
func (p *Publisher) Last(ctx context.Context, key volume.Key) (last Stored, ok bool, err error) {
	return found(p.stream.GetLastMsgForSubject(ctx, volumeFilter(key)))
}

// Next returns the volume's first event at or after a stream sequence, as Last does.
func (p *Publisher) Next(ctx context.Context, key volume.Key, from uint64) (next Stored, ok bool, err error) {
	return found(p.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(volumeFilter(key))))
}

func found(msg *jetstream.RawStreamMsg, err error) (Stored, bool, error) {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, fmt.Errorf("read event: %w: %w", volume.Unavailable, err)
	}
	stored := Stored{Sequence: msg.Sequence, StoredAt: msg.Time, Hash: Hash(msg.Data)}
	if envelope, err := Decode(msg.Data); err == nil {
		stored.Envelope = envelope
	}
	return stored, true, nil
}

func refused(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == codeWrongLastSequence || api.ErrorCode == codeWrongLastSequenceConstant)
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(republishWait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
