package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

const (
	// scanWindow is how many messages the server sends before it waits to hear that
	// they were read; scanAck of them are acknowledged at once. With the greatest headers,
	// 64 KiB each, the window is still less than a subscription buffers.
	scanWindow = 768
	scanAck    = 128

	// scanSilence is how long a scan waits for the next message.
	scanSilence = 5 * time.Second

	// scanLeft is how long the server keeps the consumer of a scan that was cut off.
	scanLeft = 30 * time.Second
)

// headerSize is what the server calls the size of a payload that it left out.
const headerSize = "Nats-Msg-Size"

// scan reads the headers of all messages that the stream holds when it begins, in
// order. It subscribes by itself: the consumers of the client library take a message
// with a Status header for a word of the server and would never get past it.
func (d *DeadLetters) scan(ctx context.Context, stream jetstream.Stream, tell func(deadMessage)) error {
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	messages, err := d.conn.SubscribeSync(d.conn.NewInbox())
	if err != nil {
		return err
	}
	defer func() { _ = messages.Unsubscribe() }()
	consumer, err := d.js.CreatePushConsumer(ctx, DeadLetterStreamName, jetstream.ConsumerConfig{
		DeliverSubject: messages.Subject, AckPolicy: jetstream.AckAllPolicy, MaxAckPending: scanWindow,
		HeadersOnly: true, MemoryStorage: true, Replicas: 1, InactiveThreshold: scanLeft,
	})
	if err != nil {
		return err
	}
	defer d.discard(ctx, consumer)
	if info := consumer.CachedInfo(); info.NumPending == 0 && info.Delivered.Consumer == 0 {
		return nil // all were dropped meanwhile
	}
	for next := uint64(1); ; next++ {
		msg, meta, err := nextMessage(ctx, messages)
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != next {
			return fmt.Errorf("message %d came where %d was due", meta.Sequence.Consumer, next)
		}
		tell(readMessage(msg, meta))
		if meta.NumPending == 0 || meta.Sequence.Stream >= state.LastSeq {
			return nil
		}
		if next%scanAck == 0 {
			if err := msg.Ack(); err != nil {
				return err
			}
		}
	}
}

func nextMessage(ctx context.Context, messages *nats.Subscription) (*nats.Msg, *nats.MsgMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, scanSilence)
	defer cancel()
	msg, err := messages.NextMsgWithContext(ctx)
	if err != nil {
		return nil, nil, err
	}
	meta, err := msg.Metadata()
	return msg, meta, err
}

func readMessage(msg *nats.Msg, meta *nats.MsgMetadata) deadMessage {
	size, _ := strconv.Atoi(msg.Header.Get(headerSize))
	return deadMessage{
		subject: msg.Subject, header: msg.Header, size: size, sequence: meta.Sequence.Stream, storedAt: meta.Timestamp,
	}
}

// discard removes the scan's consumer at once. What goes wrong here ends by itself.
func (d *DeadLetters) discard(ctx context.Context, consumer jetstream.PushConsumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.timeout)
	defer cancel()
	_ = d.js.DeleteConsumer(ctx, DeadLetterStreamName, consumer.CachedInfo().Name)
}

func readDeadError(err error) error {
	return fmt.Errorf("read dead letters: %w: %w", err, volume.Unavailable)
}
