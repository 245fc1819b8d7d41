package commands

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// progressBuffer is how many events may wait for a slow Progress function before the
// connection drops some.
const progressBuffer = 256

// ProgressEvent is one committed event of a command under way.
type ProgressEvent struct {
	Event      volume.Event
	Transition volume.Transition
}

// listen subscribes to the volume's events, if anybody wants to see them, before the
// command is published: the server must know of the interest when the first one comes.
func (c *call) listen(ctx context.Context) error {
	if c.progress == nil {
		return nil
	}
	c.events = make(chan *nats.Msg, progressBuffer)
	feed, err := c.client.conn.ChanSubscribe(eventFilter(c.key), c.events)
	if err != nil {
		return fmt.Errorf("volume %s: subscribe to events: %w: %w", c.key, err, volume.Unavailable)
	}
	c.feed = feed
	flush, cancel := context.WithTimeout(ctx, c.client.options.publishTimeout)
	defer cancel()
	_ = c.client.conn.FlushWithContext(flush) // without an answer events may be missed, no more
	return nil
}

func (c *call) stopListening() {
	if c.feed != nil {
		_ = c.feed.Unsubscribe() // fails only if the connection is gone, and the feed with it
	}
}

// pass calls Progress with the event and reports whether it is one of this command.
func (c *call) pass(msg *nats.Msg) bool {
	event, err := decodeProgress(msg.Data)
	if err != nil || event.Transition.CommandID != c.id {
		return false
	}
	c.progress(event)
	return true
}

// drainEvents passes on the events that came before the answer.
func (c *call) drainEvents() {
	for {
		select {
		case msg := <-c.events:
			c.pass(msg)
		default:
			return
		}
	}
}

// decodeProgress reads the transition within a CloudEvents 1.0 event. It returns
// [volume.ErrInvalidPayload] for anything else.
func decodeProgress(data []byte) (ProgressEvent, error) {
	var envelope struct {
		SpecVersion string             `json:"specversion"`
		Data        *volume.Transition `json:"data"`
	}
	if err := json.Unmarshal(data, &envelope); err != nil {
		return ProgressEvent{}, volume.Errorf(volume.ErrInvalidPayload, "event: %w", err)
	}
	if envelope.SpecVersion != "1.0" || envelope.Data == nil {
		return ProgressEvent{}, volume.Errorf(volume.ErrInvalidPayload, "event: no CloudEvents 1.0 event with data")
	}
	return ProgressEvent{Event: envelope.Data.Event, Transition: *envelope.Data}, nil
}
