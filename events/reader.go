package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Stored is an event with its place on the stream.
type Stored struct {
	Envelope
	Sequence uint64    // of the stream: grows with every event of every volume
	StoredAt time.Time // by the clock of the server
	// Hash is that of the event's data: the volume's next event carries it as its Previous.
	Hash string
}

// Filter selects events. Empty fields match everything.
type Filter struct {
	Project volume.Project
	Volume  volume.Name
	Event   volume.Event

	// From is the first stream sequence to tell. To resume, give the sequence of the
	// last event that was handled, plus one.
	From uint64
	// Since leaves out what was stored before it. It is ignored if From is given.
	Since time.Time
	// Last begins with the latest event that matches, which for one volume tells its
	// present state. It is ignored if From or Since is given.
	Last bool
	// Follow goes on with new events until the context ends.
	Follow bool
}

func (f Filter) subject() string {
	token := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return storedPrefix + token(string(f.Project)) + "." + token(string(f.Volume)) + "." + token(string(f.Event))
}

func (f Filter) consumer() jetstream.OrderedConsumerConfig {
	config := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{f.subject()}, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: inactiveThreshold,
	}
	switch {
	case f.From > 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, f.From
	case !f.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &f.Since
	case f.Last:
		config.DeliverPolicy = jetstream.DeliverLastPolicy
	}
	return config
}

// Read tells the events that match, in stream order. Without Follow it ends after the
// last event that was stored when it began. With Follow it ends when ctx does; being
// cancelled is no error then. A broken connection is mended and reading goes on where
// it was. An event that cannot be decoded is told as an error and does not end the
// sequence; any other error does.
func Read(ctx context.Context, js jetstream.JetStream, filter Filter) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		if err := read(ctx, js, filter, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Stored{}, err)
		}
	}
}

// errStopped ends a reading that its caller broke off.
var errStopped = errors.New("stopped")

func read(ctx context.Context, js jetstream.JetStream, filter Filter, yield func(Stored, error) bool) error {
	consumer, info, err := open(ctx, js, filter)
	if err != nil {
		return readError(err)
	}
	defer discard(ctx, js, consumer)
	if info.NumPending == 0 && !filter.Follow {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return readError(err)
	}
	defer messages.Stop()
	// What was stored at the start, counted down: under steady traffic the number still
	// pending might never reach zero.
	for left := info.NumPending; ; left-- {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			if filter.Follow && ctx.Err() != nil {
				return nil
			}
			return readError(err)
		}
		pending, err := tell(msg, yield)
		if err != nil {
			return err
		}
		if !filter.Follow && (pending == 0 || left <= 1) {
			return nil
		}
	}
}

// open makes the consumer and tells what it is about to deliver. A request that its
// server takes down with it is never answered: each is bounded, however long ctx is.
func open(ctx context.Context, js jetstream.JetStream, filter Filter) (jetstream.Consumer, *jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, js.Options().DefaultTimeout)
	defer cancel()
	consumer, err := js.OrderedConsumer(ctx, StreamName, filter.consumer())
	if err != nil {
		return nil, nil, err
	}
	info, err := consumer.Info(ctx)
	return consumer, info, err
}

// inactiveThreshold is how long the server keeps the consumer of a reader that is gone.
const inactiveThreshold = 30 * time.Second

// discardTimeout bounds the removal of a reader's consumer.
const discardTimeout = 2 * time.Second

// discard removes the reader's consumer at once. What goes wrong here ends by itself
// after the inactive threshold.
func discard(ctx context.Context, js jetstream.JetStream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = js.DeleteConsumer(ctx, StreamName, info.Name)
	}
}

// tell yields one message and returns how many more are stored behind it.
func tell(msg jetstream.Msg, yield func(Stored, error) bool) (pending uint64, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, readError(err)
	}
	stored := Stored{Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp, Hash: Hash(msg.Data())}
	stored.Envelope, err = Decode(msg.Data())
	if err != nil {
		err = fmt.Errorf("event at sequence %d: %w", stored.Sequence, err)
	}
	if !yield(stored, err) {
		return 0, errStopped
	}
	return meta.NumPending, nil
}

func readError(err error) error {
	return fmt.Errorf("read events: %w: %w", volume.Unavailable, err)
}

// Outcomes tells the answers to the commands of a volume, oldest first, from its events.
// It reads the volume's whole history and is meant for names whose record has expired. Any
// error ends it.
func Outcomes(ctx context.Context, js jetstream.JetStream, key volume.Key) iter.Seq2[volume.Outcome, error] {
	return func(yield func(volume.Outcome, error) bool) {
		for stored, err := range Read(ctx, js, Filter{Project: key.Project, Volume: key.Name}) {
			if err != nil {
				yield(volume.Outcome{}, err)
				return
			}
			if outcome, final := stored.Data.Outcome(); final && !yield(outcome, nil) {
				return
			}
		}
	}
}
