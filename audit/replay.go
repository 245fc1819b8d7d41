package audit

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

const (
	// chunkSize is how many messages are decoded together; it bounds what is in flight.
	chunkSize = 256
	// fetchSize is how many messages the server may send ahead.
	fetchSize = 4096
	// readerLifetime is how long the server keeps the consumer of a reader that is gone.
	readerLifetime = 30 * time.Second
	// discardTimeout bounds the removal of a reader's consumer.
	discardTimeout = 2 * time.Second
)

// chunk is messages on their way through a decoder.
type chunk struct {
	messages []jetstream.Msg
	entries  []entry
	err      error
	decoded  chan struct{}
}

func (c *chunk) decode() {
	defer close(c.decoded)
	c.entries = make([]entry, 0, len(c.messages))
	for _, m := range c.messages {
		meta, err := m.Metadata()
		if err != nil {
			c.err = err
			return
		}
		c.entries = append(c.entries, readEntry(m.Subject(), meta.Sequence.Stream, m.Data()))
	}
	c.messages = nil
}

// replay tells the events whose subject matches, in stream order, from one sequence to the
// other, both included. They are decoded side by side and told one after another.
func replay(ctx context.Context, js jetstream.JetStream, subject string, from, to uint64, tell func(*entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	decoders := runtime.GOMAXPROCS(0)
	work, order := make(chan *chunk, decoders), make(chan *chunk, 2*decoders)
	for range decoders {
		go func() {
			for c := range work {
				c.decode()
			}
		}()
	}
	read := make(chan error, 1)
	go func() {
		defer close(order)
		defer close(work)
		read <- feed(ctx, js, subject, from, to, func(messages []jetstream.Msg) error {
			c := &chunk{messages: messages, decoded: make(chan struct{})}
			for _, next := range []chan *chunk{work, order} {
				select {
				case next <- c:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})
	}()
	told := tellAll(order, tell)
	cancel() // if it was broken off
	for range order {
	}
	if err := <-read; told == nil && err != nil {
		return fmt.Errorf("read events: %w: %w", volume.Unavailable, err)
	}
	return told
}

func tellAll(order <-chan *chunk, tell func(*entry) error) error {
	for c := range order {
		<-c.decoded
		for i := range c.entries {
			if err := tell(&c.entries[i]); err != nil {
				return err
			}
		}
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// feed reads messages and passes them on in chunks.
func feed(ctx context.Context, js jetstream.JetStream, subject string, from, to uint64, pass func([]jetstream.Msg) error) error {
	if from > to {
		return nil
	}
	consumer, err := js.OrderedConsumer(ctx, events.StreamName, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		InactiveThreshold: readerLifetime,
	})
	if err != nil {
		return err
	}
	defer discard(ctx, js, consumer)
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchSize))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for last := false; !last; {
		var held []jetstream.Msg
		if held, last, err = fill(ctx, messages, to); err != nil {
			return err
		}
		if err := pass(held); err != nil {
			return err
		}
	}
	return nil
}

// fill reads one chunk, up to the last message that is wanted or there.
func fill(ctx context.Context, messages jetstream.MessagesContext, to uint64) (held []jetstream.Msg, last bool, err error) {
	for len(held) < chunkSize && !last {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, false, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, false, err
		}
		if meta.Sequence.Stream <= to {
			held = append(held, msg)
		}
		last = meta.Sequence.Stream >= to || meta.NumPending == 0
	}
	return held, last, nil
}

func discard(ctx context.Context, js jetstream.JetStream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = js.DeleteConsumer(ctx, events.StreamName, info.Name)
	}
}
