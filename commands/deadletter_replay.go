package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Replay says how the command of a dead letter is published again. The zero value
// publishes it as it was, under its own ID, and drops the letter.
type Replay struct {
	// NewID gives the command an ID made from the letter and the payload, so that the
	// same replay twice is one command. Without it the command keeps its ID; one that
	// came without any gets one made from its place in the command stream.
	NewID bool
	// Payload, if not nil, takes the place of the command's own.
	Payload []byte
	// Keep leaves the letter where it is.
	Keep bool
}

// expectPrefix begins headers with conditions on the place of a message in the stream.
// They held when the command was stored and do not concern a replay.
const expectPrefix = serverHeaderPrefix + "Expected-"

// Replay publishes the command of a listed letter again and then drops the letter. If it
// is interrupted between the two the letter stays; to replay it again publishes the
// same command, under the same ID, which is carried out once.
//
// A letter whose command a worker would bury again is refused with the [*volume.Error]
// that it would get, before anything is published; so is, with
// [volume.ErrPreconditionFailed], one without a command to publish. Other errors are
// those of [DeadLetters.Load], and of class [volume.Unavailable] if it may or may not
// have been published: replay it again. An error with a receipt says that it was
// published and the letter is still there.
func (d *DeadLetters) Replay(ctx context.Context, l DeadLetter, how Replay) (Receipt, error) {
	l, msg, err := d.again(ctx, l, how)
	if err != nil {
		return Receipt{}, err
	}
	ack, err := d.publish(ctx, msg)
	if err != nil {
		return Receipt{}, fmt.Errorf("replay dead letter %d: %w: %w", l.Sequence, err, volume.Unavailable)
	}
	receipt := Receipt{CommandID: volume.CommandID(msg.Header.Get(HeaderID)), Sequence: ack.Sequence}
	if how.Keep {
		return receipt, nil
	}
	if err := d.Drop(ctx, l); err != nil {
		return receipt, fmt.Errorf("command %s is published: %w", receipt.CommandID, err)
	}
	return receipt, nil
}

// CheckReplay returns the ID under which [DeadLetters.Replay] would publish the command of a
// listed letter, and publishes nothing. It returns the errors with which Replay refuses.
func (d *DeadLetters) CheckReplay(ctx context.Context, l DeadLetter, how Replay) (volume.CommandID, error) {
	_, msg, err := d.again(ctx, l, how)
	if err != nil {
		return "", err
	}
	return volume.CommandID(msg.Header.Get(HeaderID)), nil
}

// again returns the letter as it is stored, and the message that publishes its command again.
func (d *DeadLetters) again(ctx context.Context, l DeadLetter, how Replay) (DeadLetter, *nats.Msg, error) {
	l, err := d.Load(ctx, l)
	if err != nil {
		return l, nil, err
	}
	msg, err := l.replay(how)
	if err != nil {
		return l, nil, fmt.Errorf("replay dead letter %d: %w", l.Sequence, err)
	}
	return l, msg, nil
}

// publish returns when the stream has stored the message. One that the stream drops, as
// it has just seen the ID, is published again: what it saw may be the very message that
// was buried.
func (d *DeadLetters) publish(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	for {
		ack, err := d.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(StreamName))
		if err != nil || !ack.Duplicate {
			return ack, err
		}
		select {
		case <-time.After(afterDedupe):
		case <-ctx.Done():
			return nil, fmt.Errorf("the stream drops id %s as a repeat: %w", msg.Header.Get(HeaderID), ctx.Err())
		}
	}
}

// replay returns the message that publishes the letter's command again.
func (l DeadLetter) replay(how Replay) (*nats.Msg, error) {
	switch {
	case l.Kind == DeadUnreadable:
		return nil, volume.Errorf(volume.ErrPreconditionFailed, "it is no command: %s", l.Reason)
	case l.Lost:
		return nil, volume.Errorf(volume.ErrPreconditionFailed, "its command is no longer stored")
	case l.Code == volume.ErrCommandIDReused && !how.NewID:
		return nil, volume.Errorf(volume.ErrCommandIDReused, "its id belongs to another command of the volume: replay it under a new id")
	}
	address, err := ParseSubject(l.Command.Subject)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(Subject(address.Key, address.Verb))
	msg.Data = l.Command.Data
	if how.Payload != nil {
		msg.Data = how.Payload
	}
	if msg.Header, err = replayHeader(l.Command.Header); err != nil {
		return nil, err
	}
	switch {
	case how.NewID:
		msg.Header.Set(HeaderID, l.newID(msg))
	case msg.Header.Get(HeaderID) == "":
		msg.Header.Set(HeaderID, "replay-"+string(l.CommandID()))
	}
	again := Incoming{Subject: address.Subject(), Header: msg.Header, Data: msg.Data, Sequence: l.Command.Sequence, StoredAt: l.Command.StoredAt}
	if _, err := Decode(again); err != nil {
		return nil, err
	}
	return msg, nil
}

// replayHeader returns a command's headers as they can be published again.
func replayHeader(own nats.Header) (nats.Header, error) {
	header := nats.Header{}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		switch {
		case strings.HasPrefix(name, expectPrefix):
		case serverHeader(name) && name != HeaderID:
			return nil, volume.Errorf(volume.ErrInvalidArgument, "header %s: reserved for the server", name)
		default:
			header[name] = slices.Clone(own[name])
		}
	}
	return header, nil
}

// newID returns the ID of the replay of this letter with this payload.
func (l DeadLetter) newID(msg *nats.Msg) string {
	digest := sha256.Sum256(msg.Data)
	return fmt.Sprintf("replay-%d-%s-%s", l.Sequence, strconv.FormatInt(l.BuriedAt.UnixNano(), 36), hex.EncodeToString(digest[:6]))
}
