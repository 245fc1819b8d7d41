package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// DeadLetters reads the dead letters, publishes their commands again, and drops them.
// It is safe for concurrent use.
type DeadLetters struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	timeout time.Duration // of one request
}

// NewDeadLetters returns the dead letters behind the connection, which stays the
// caller's. The timeout bounds each request to the server; 0 means
// [DefaultPublishTimeout].
func NewDeadLetters(conn *nats.Conn, timeout time.Duration) (*DeadLetters, error) {
	if timeout == 0 {
		timeout = DefaultPublishTimeout
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(timeout))
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return &DeadLetters{conn: conn, js: js, timeout: timeout}, nil
}

// List returns the letters that match, without their payloads, and the cursor for
// [DeadFilter.After] if there are more, which is else 0. What cannot be read is listed
// as [DeadUnreadable]. List reads the headers of all letters each time.
//
// The error is of class [volume.Unavailable]: there is no stream, or it cannot be read
// now.
func (d *DeadLetters) List(ctx context.Context, filter DeadFilter) (letters []DeadLetter, next uint64, err error) {
	all, err := d.index(ctx)
	if err != nil {
		return nil, 0, err
	}
	if filter.Newest {
		slices.Reverse(all)
	}
	for _, l := range all {
		if !filter.behind(l) || !filter.matches(l) {
			continue
		}
		if filter.Limit > 0 && len(letters) == filter.Limit {
			return letters, letters[len(letters)-1].Sequence, nil
		}
		letters = append(letters, *l)
	}
	return letters, 0, nil
}

// Get returns the letter that has a message with the given sequence, with its payload.
// It returns [volume.NotFound] if there is none, and the errors of [DeadLetters.List].
func (d *DeadLetters) Get(ctx context.Context, sequence uint64) (DeadLetter, error) {
	found, _, err := d.List(ctx, DeadFilter{Sequences: []uint64{sequence}})
	if err != nil {
		return DeadLetter{}, err
	}
	if len(found) == 0 {
		return DeadLetter{}, fmt.Errorf("dead letter %d: %w", sequence, volume.NotFound)
	}
	return d.Load(ctx, found[0])
}

// Load returns a listed letter with its command's payload and all its headers. Of an
// unreadable one it is the payload and the headers of what there is. It returns
// [volume.NotFound] if the letter was dropped meanwhile.
func (d *DeadLetters) Load(ctx context.Context, l DeadLetter) (DeadLetter, error) {
	if l.loaded {
		return l, nil
	}
	stream, err := d.js.Stream(ctx, DeadLetterStreamName)
	if err != nil {
		return l, readDeadError(err)
	}
	var payload []byte
	for _, sequence := range l.parts {
		stored, err := stream.GetMsg(ctx, sequence)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return l, fmt.Errorf("dead letter %d: message %d: %w", l.Sequence, sequence, volume.NotFound)
		case errors.Is(err, nats.ErrBadHeaderMsg):
			l.Lost, l.loaded = true, true // the client library does not give it out
			return l, nil
		case err != nil:
			return l, readDeadError(err)
		}
		payload = append(payload, stored.Data...)
		if l.Kind == DeadUnreadable && l.Command.Header == nil {
			l.Command.Header = stored.Header
		}
	}
	return l.withPayload(payload), nil
}

// withPayload returns the letter with the joined payload of its messages.
func (l DeadLetter) withPayload(payload []byte) DeadLetter {
	l.loaded, l.Command.Data = true, payload
	if l.Kind == DeadUnreadable || l.moved == 0 {
		return l
	}
	header, err := parseWireHeader(payload[:min(l.moved, len(payload))])
	if err != nil {
		l.Kind, l.Code, l.Class, l.Reason = DeadUnreadable, "", "", err.Error()
		return l
	}
	l.Command.Header, l.Command.Data = header, payload[min(l.moved, len(payload)):]
	return l
}

// Drop removes a listed letter, and with one of [DeadMaxDeliveries] the command from
// the command stream: it will never be carried out. It may be repeated.
//
// The error is of class [volume.Unavailable]; the letter may then be there in part.
func (d *DeadLetters) Drop(ctx context.Context, l DeadLetter) error {
	if l.stillStored() {
		if err := d.delete(ctx, StreamName, l.Command.Sequence); err != nil {
			return fmt.Errorf("drop dead letter %d: command at sequence %d: %w", l.Sequence, l.Command.Sequence, err)
		}
	}
	// The first message goes last: as long as it is there the letter keeps its name.
	for _, sequence := range slices.Backward(l.messages) {
		if err := d.delete(ctx, DeadLetterStreamName, sequence); err != nil {
			return fmt.Errorf("drop dead letter %d: %w", l.Sequence, err)
		}
	}
	return nil
}

// stillStored reports whether the letter's command stands in the command stream.
func (l DeadLetter) stillStored() bool {
	return (l.Kind == DeadMaxDeliveries || l.Kind == DeadTerminated) && !l.Lost
}

// delete removes a message from a stream. One that is not there is no error.
func (d *DeadLetters) delete(ctx context.Context, name string, sequence uint64) error {
	stream, err := d.js.Stream(ctx, name)
	if err == nil {
		err = stream.DeleteMsg(ctx, sequence)
	}
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // which does not tell why
		if _, look := stream.GetMsg(ctx, sequence); errors.Is(look, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, volume.Unavailable)
	}
	return nil
}
