package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/worker/ownership"
)

// partition is one sixteenth of the volumes. All commands of a volume lie in the same
// partition, in publish order, and one worker at a time takes them from there.
type partition struct {
	worker *Worker
	number int
	log    zerolog.Logger
	tenure atomic.Pointer[tenure] // the present one; nil if another worker serves the partition
}

func newPartition(w *Worker, number int) *partition {
	return &partition{worker: w, number: number, log: w.log.With().Int("partition", number).Logger()}
}

// label is the partition as a label of metrics.
func (p *partition) label() string { return strconv.Itoa(p.number) }

func (p *partition) consumerName() string { return fmt.Sprintf("partition-%d", p.number) }

func (p *partition) consumerConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        p.consumerName(),
		Description:    "jetvol: one owner at a time",
		FilterSubject:  commands.PartitionFilter(p.number),
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        p.worker.config.AckWait,
		MaxAckPending:  p.worker.config.MaxAckPending,
		MaxDeliver:     -1, // exhaustion would leave an orphan in the work queue
		PriorityPolicy: jetstream.PriorityPolicyPinned,
		PriorityGroups: []string{PriorityGroup},
		PinnedTTL:      pinnedTTL,
	}
}

// run serves the partition whenever it is this worker's to serve, until ctx ends.
func (p *partition) run(ctx, work context.Context) {
	for {
		claim, err := p.worker.member.Acquire(ctx, p.number)
		if err != nil {
			return // ctx ended
		}
		if err := p.worker.quotas.Open(ctx, work); err != nil {
			claim.Release()
			return // ctx ended
		}
		if err := p.serve(work, claim); err != nil {
			p.log.Warn().Err(err).Msg("partition lost")
			p.worker.metrics.losses.Inc()
			wait(ctx, takeoverPause)
		}
	}
}

// serve takes the partition over and works on it until the claim is lost (nil) or the
// partition itself is, to whoever takes its commands now.
func (p *partition) serve(work context.Context, claim *ownership.Claim) error {
	t, err := newTenure(work, p, claim)
	if err != nil {
		claim.Release()
		return err
	}
	p.tenure.Store(t)
	p.worker.metrics.partitions.Inc()
	err = t.serve()
	t.end(err)
	p.worker.metrics.partitions.Dec()
	p.worker.metrics.pending.DeleteLabelValues(p.label())
	p.tenure.Store(nil)
	return err
}

// takeOver makes the server deliver all commands of the partition anew, and to nobody
// but the next who asks.
//
// The order is essential. Unpinning sends the former owner away; resetting makes the
// server deliver again everything that the former owner held; only then may pulling
// begin, because what is delivered between a pull and a reset is lost to both.
//
// The reset goes to sequence 1, not to the acknowledgement floor: after kill -9 of the
// server its stream can still hold commands that its consumer knows as acknowledged.
// Nothing else would ever take them out. They get the answer that they got before.
func (p *partition) takeOver(ctx context.Context) (jetstream.Consumer, error) {
	consumer, err := p.worker.js.CreateOrUpdateConsumer(ctx, commands.StreamName, p.consumerConfig())
	if err != nil {
		return nil, fmt.Errorf("open consumer: %w", err)
	}
	// gofail: var beforeUnpin string
	// killAt(beforeUnpin, "takeover")

	if err := p.worker.stream.UnpinConsumer(ctx, p.consumerName(), PriorityGroup); err != nil {
		return nil, fmt.Errorf("unpin consumer: %w", err)
	}
	// gofail: var afterUnpin string
	// killAt(afterUnpin, "takeover")

	if _, err := p.worker.stream.ResetConsumerToSequence(ctx, p.consumerName(), 1); err != nil {
		return nil, fmt.Errorf("reset consumer: %w", err)
	}
	// gofail: var afterReset string
	// killAt(afterReset, "takeover")

	return consumer, nil
}

// buryNext buries the commands behind the given stream sequence that the client library
// takes for words of the server and does not deliver. Left where they are they would
// stop the partition for ever.
func (p *partition) buryNext(ctx context.Context, last uint64) {
	w := p.worker
	for ctx.Err() == nil {
		msg, err := w.stream.GetMsg(ctx, last+1, jetstream.WithGetMsgSubject(commands.PartitionFilter(p.number)))
		if err != nil || !swallowed(msg) {
			return
		}
		d := newSwallowed(msg)
		if err := w.bury(ctx, d, d.err); err != nil {
			p.log.Warn().Err(err).Msg("bury")
			return
		}
		last = msg.Sequence
	}
}

var (
	errGap          = errors.New("gap in deliveries")
	errConsumeEnded = errors.New("the server ended the delivery")
	errPinned       = errors.New("the partition's commands go to another worker")
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wait returns after the duration, or early when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
