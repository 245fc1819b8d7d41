package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// sight is what an owner saw when it looked at its partition and cannot be right for
// long; zero values are nothing.
type sight struct {
	missed    uint64 // delivery that was made and has not come
	unacked   uint64 // delivery that the consumer waits for, and nobody works on
	forgotten uint64 // stream sequence of a command that is not going to be delivered
}

var (
	errForgotten = errors.New("a command is stored and will not be delivered")
	errAckLost   = errors.New("an acknowledgement is lost")
)

// look compares what the server says of the partition with what has come. What was wrong
// at the last look and still is ends the tenure, and the next one begins with a reset that
// puts it right:
//
//   - errGap: a delivery was made and did not come. Another worker has it, or the client
//     library keeps it to itself. A quiet partition shows this in no other way.
//   - errForgotten: the consumer takes a stored command for acknowledged. After kill -9 of
//     servers their stream may have it again (ADR 7).
//   - errAckLost: the consumer takes a command for one in hand that was acknowledged. A
//     connection took the acknowledgement with it, or a leader that fell before it had
//     told the others. The server alone would wait for AckWait.
func (t *tenure) look(before sight) (sight, error) {
	info, err := t.info(t.taking)
	if err != nil {
		return sight{}, nil //nolint:nilerr // the next look will tell
	}
	t.partition.worker.metrics.pending.WithLabelValues(t.partition.label()).Set(float64(info.NumPending))
	var now sight
	taken := t.taken.Load()
	if info.Delivered.Consumer > taken {
		now.missed = info.Delivered.Consumer
	}
	now.unacked = t.unacked(info)
	if now.forgotten, err = t.forgotten(info); err != nil {
		return sight{}, nil //nolint:nilerr // the next look will tell
	}
	switch {
	case before.missed > taken:
		return sight{}, fmt.Errorf("delivery %d did not come: %w", before.missed, errGap)
	case before.unacked > 0 && before.unacked == now.unacked:
		return sight{}, fmt.Errorf("delivery %d: %w", now.unacked, errAckLost)
	case before.forgotten > 0 && before.forgotten == now.forgotten:
		return sight{}, fmt.Errorf("command at sequence %d: %w", now.forgotten, errForgotten)
	}
	return now, nil
}

// unacked returns the consumer's first delivery without an acknowledgement, or 0 if there
// is none or a lane has it.
func (t *tenure) unacked(info *jetstream.ConsumerInfo) uint64 {
	first := info.AckFloor.Consumer + 1
	if info.NumAckPending == 0 || first > t.taken.Load() {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.held {
		if d.number == first {
			return 0
		}
	}
	return first
}

// forgotten returns the sequence of the partition's first stored command if the consumer
// has nothing to deliver and nothing delivered, or 0.
func (t *tenure) forgotten(info *jetstream.ConsumerInfo) (uint64, error) {
	if info.NumPending > 0 || info.NumAckPending > 0 {
		return 0, nil
	}
	w := t.partition.worker
	ctx, cancel := context.WithTimeout(t.taking, w.config.RequestTimeout)
	defer cancel()
	msg, err := w.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(commands.PartitionFilter(t.partition.number)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// info returns what the server knows of the partition's consumer.
func (t *tenure) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	w := t.partition.worker
	ctx, cancel := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer cancel()
	consumer, err := w.stream.Consumer(ctx, t.partition.consumerName())
	if err != nil {
		return nil, fmt.Errorf("look up owner of partition %d: %w: %w", t.partition.number, volume.Unavailable, err)
	}
	return consumer.CachedInfo(), nil
}
