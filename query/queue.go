package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// MaxQueue is how many waiting commands an [Explanation] shows.
const MaxQueue = 20

// Queued is a command that waits for those before it.
type Queued struct {
	CommandID volume.CommandID `json:"command_id"`
	Verb      volume.Verb      `json:"verb"`
	Sequence  uint64           `json:"sequence"` // of the command stream
	StoredAt  time.Time        `json:"stored_at"`
	Age       float64          `json:"age_seconds"`
	Actor     string           `json:"actor,omitempty"`
}

// queue returns the first of the volume's commands behind the given sequence, and how
// many there are. Up to it all are decided, and are only not acknowledged yet.
func (l *Local) queue(ctx context.Context, key volume.Key, decided uint64) ([]Queued, uint64, error) {
	waiting := []Queued{}
	total, err := l.count(ctx, commands.StreamName, commandFilter(key))
	if err != nil || total == 0 {
		return waiting, 0, err
	}
	stream, err := l.js.Stream(ctx, commands.StreamName)
	if err != nil {
		return nil, 0, readError(commands.StreamName, err)
	}
	for next := uint64(1); len(waiting) < MaxQueue; {
		stored, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(commandFilter(key)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return waiting, uint64(len(waiting)), nil
		}
		if errors.Is(err, nats.ErrBadHeaderMsg) {
			return waiting, total, nil // the client library does not give it out: what follows is counted only
		}
		if err != nil {
			return nil, 0, readError(commands.StreamName, err)
		}
		if next = stored.Sequence + 1; stored.Sequence > decided {
			waiting = append(waiting, l.queued(stored))
		} else if total > 0 {
			total--
		}
	}
	return waiting, max(total, uint64(len(waiting))), nil
}

func (l *Local) queued(m *jetstream.RawStreamMsg) Queued {
	// What cannot be decoded waits too, and the envelope has what could be read.
	envelope, _ := commands.Decode(commands.Incoming{
		Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, StoredAt: m.Time,
	})
	return Queued{
		CommandID: envelope.ID, Verb: envelope.Verb, Sequence: m.Sequence,
		StoredAt: m.Time, Age: max(l.now().Sub(m.Time), 0).Seconds(), Actor: envelope.Actor,
	}
}

// deadLetters counts the dead letters of a volume, in messages.
func (l *Local) deadLetters(ctx context.Context, key volume.Key) (uint64, error) {
	return l.count(ctx, commands.DeadLetterStreamName, deadFilter(key))
}

// count returns how many messages of a stream have a subject that matches.
func (l *Local) count(ctx context.Context, name, filter string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.js.Options().DefaultTimeout)
	defer cancel()
	stream, err := l.js.Stream(ctx, name)
	if err != nil {
		return 0, readError(name, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, readError(name, err)
	}
	total := uint64(0)
	for _, messages := range info.State.Subjects {
		total += messages
	}
	return total, nil
}

func readError(stream string, err error) error {
	return fmt.Errorf("read stream %s: %w: %w", stream, volume.Unavailable, err)
}
