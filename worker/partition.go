package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// partition is one sixteenth of the volumes. All commands of a volume lie in the same
// partition, in publish order, and one worker at a time takes them from there.
type partition struct {
	worker *Worker
	number int
	log    zerolog.Logger

	// heads remembers the records of volumes that had work lately, bounded in number.
	heads *lru.Cache[volume.Key, *head]

	readAheads sync.WaitGroup // cancels being looked at

	mu    sync.Mutex           // guards all below
	lanes map[volume.Key]*lane // those with work
	held  map[uint64]*delivery // taken and not yet acknowledged, by stream sequence
	idle  chan struct{}        // closed when lanes becomes empty while someone waits
}

func newPartition(w *Worker, number int) (*partition, error) {
	heads, err := lru.New[volume.Key, *head](headsPerPartition)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", number, err)
	}
	return &partition{
		worker: w,
		number: number,
		log:    w.log.With().Int("partition", number).Logger(),
		heads:  heads,
		lanes:  map[volume.Key]*lane{},
		held:   map[uint64]*delivery{},
	}, nil
}

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
		PriorityGroups: []string{priorityGroup},
		PinnedTTL:      pinnedTTL,
	}
}

// run owns the partition until ctx ends, taking it up anew whenever it was lost.
// started is called once commands flow.
func (p *partition) run(ctx, work context.Context, started func()) {
	defer started()
	for ctx.Err() == nil {
		err := p.own(ctx, work, started)
		if err == nil || ctx.Err() != nil {
			return
		}
		p.log.Warn().Err(err).Msg("partition lost")
		p.worker.metrics.takeovers.Inc()
		wait(ctx, takeoverPause)
	}
}

// own takes the partition over and works on it until ctx ends (nil) or it is lost.
//
// The order is essential. Unpinning sends the former owner away; resetting makes the
// server deliver again everything that the former owner held; only then may pulling
// begin, because what is delivered between a pull and a reset is lost to both.
//
// The reset goes to sequence 1, not to the acknowledgement floor: after kill -9 of the
// server its stream can still hold commands that its consumer knows as acknowledged.
// Nothing else would ever take them out. They get the answer that they got before.
func (p *partition) own(ctx, work context.Context, started func()) error {
	consumer, err := p.worker.js.CreateOrUpdateConsumer(ctx, commands.StreamName, p.consumerConfig())
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	// gofail: var beforeUnpin string
	// killAt(beforeUnpin, "takeover")

	if err := p.worker.stream.UnpinConsumer(ctx, p.consumerName(), priorityGroup); err != nil {
		return fmt.Errorf("unpin consumer: %w", err)
	}
	// gofail: var afterUnpin string
	// killAt(afterUnpin, "takeover")

	if _, err := p.worker.stream.ResetConsumerToSequence(ctx, p.consumerName(), 1); err != nil {
		return fmt.Errorf("reset consumer: %w", err)
	}
	// gofail: var afterReset string
	// killAt(afterReset, "takeover")

	lanes, stopLanes := context.WithCancelCause(work)
	defer stopLanes(nil)
	lost := make(chan error, 1)
	intake := &intake{partition: p, lanes: lanes, draining: ctx.Done(), lost: lost, next: 1}
	consuming, err := consumer.Consume(intake.take,
		jetstream.PullPriorityGroup(priorityGroup),
		jetstream.PullMaxMessages(pullMessages),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { intake.fault(err) }))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// gofail: var afterConsume string
	// flushAndKillAt(p.worker.nc, afterConsume, "takeover")

	started()
	err = p.keep(ctx, intake, lost, consuming.Closed())
	consuming.Stop()
	<-consuming.Closed()
	if err != nil {
		stopLanes(err)
		p.buryNext(work, intake.last.Load())
	}
	began := time.Now()
	p.drop()
	if err == nil && time.Since(began) < pinnedTTL { // after that the pin may be another's
		// Hand over at once instead of letting the pin run out.
		handover, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.worker.config.RequestTimeout)
		defer cancel()
		if unpinned := p.worker.stream.UnpinConsumer(handover, p.consumerName(), priorityGroup); unpinned != nil {
			p.log.Debug().Err(unpinned).Msg("unpin at drain")
		}
	}
	return err
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

// keep tells the server that held commands are being worked on, until ctx ends or the
// partition is lost.
func (p *partition) keep(ctx context.Context, in *intake, lost <-chan error, closed <-chan struct{}) error {
	ticker := time.NewTicker(p.worker.config.AckWait / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return err
		case <-closed:
			return errConsumeEnded
		case <-ticker.C:
			p.extend()
			p.buryNext(ctx, in.last.Load()) // one that nothing followed was not missed yet
		}
	}
}

func (p *partition) extend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.held {
		if err := d.msg.InProgress(); err != nil {
			p.log.Warn().Err(err).Uint64("sequence", d.Sequence).Msg("extend command")
		}
	}
}

// drop waits until every lane has ended and forgets what was known of the volumes:
// from now on another worker may write their records.
func (p *partition) drop() {
	p.mu.Lock()
	var idle chan struct{}
	if len(p.lanes) > 0 {
		idle = make(chan struct{})
		p.idle = idle
	}
	p.mu.Unlock()
	if idle != nil {
		<-idle
	}
	p.readAheads.Wait()
	p.mu.Lock()
	clear(p.held)
	p.mu.Unlock()
	p.heads.Purge()
}

// intake is one ownership of a partition, from takeover to loss.
type intake struct {
	partition *partition
	lanes     context.Context // of the lanes' work
	draining  <-chan struct{}
	lost      chan<- error
	last      atomic.Uint64 // stream sequence of what came last

	next   uint64 // consumer sequence that must come next
	broken bool   // nothing more is taken; both are the delivery goroutine's
}

// take receives one message. After a reset the server numbers deliveries 1, 2, 3 …; a
// gap means that someone else was given a command, so nothing later may run here.
func (in *intake) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if in.broken {
		return
	}
	if err != nil {
		in.fault(fmt.Errorf("command without metadata: %w", err))
		return
	}
	if meta.Sequence.Consumer != in.next {
		in.broken = true
		in.fault(fmt.Errorf("delivery %d came where %d was due: %w", meta.Sequence.Consumer, in.next, errGap))
		return
	}
	in.next++
	in.last.Store(meta.Sequence.Stream)
	p := in.partition
	p.worker.metrics.pending.WithLabelValues(fmt.Sprint(p.number)).Set(float64(meta.NumPending))
	p.dispatch(in.lanes, in.draining, newDelivery(msg, meta))
}

var (
	errGap          = errors.New("gap in deliveries")
	errConsumeEnded = errors.New("the server ended the delivery")
)

// fault gives the partition up for errors that mean that it may have another owner.
func (in *intake) fault(err error) {
	switch {
	case errors.Is(err, jetstream.ErrPinIDMismatch), errors.Is(err, errGap),
		errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
		select {
		case in.lost <- err:
		default:
		}
	default:
		in.partition.log.Debug().Err(err).Msg("consume")
	}
}

// dispatch puts a command behind its volume's others and starts the lane if it rests.
func (p *partition) dispatch(ctx context.Context, draining <-chan struct{}, d *delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[d.Sequence] = d
	key := d.laneKey()
	if d.err == nil && d.command().Verb == volume.VerbCancel && !d.command().ValidateOnly {
		p.readAheads.Go(func() { p.readAhead(ctx, d.command()) })
	}
	l := p.lanes[key]
	if l == nil {
		l = &lane{partition: p, key: key, draining: draining}
		p.lanes[key] = l
		p.worker.metrics.lanes.Inc()
		l.queue = append(l.queue, d)
		go l.run(ctx)
	} else {
		l.queue = append(l.queue, d)
	}
	p.worker.metrics.queued.Inc()
}

// readAhead lets a cancel reach its target before the lane comes to the cancel itself.
// Only one that would be accepted now may do that: neither a repeat, whose target has
// ended, nor one whose preconditions do not hold.
func (p *partition) readAhead(ctx context.Context, cancel volume.Command) {
	w := p.worker
	ctx, stop := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer stop()
	entry, err := w.records.ByKey(ctx, cancel.Key)
	record := entry.Value
	if errors.Is(err, kv.ErrNotFound) {
		record, err = volume.Record{Key: cancel.Key, State: volume.StatePending}, nil
	}
	if err != nil || fsm.Admit(record, cancel, now()) != nil {
		return
	}
	if _, answered := record.Outcome(cancel.ID); answered {
		return
	}
	if _, err := w.outcomes.Get(ctx, cancel.Key, cancel.ID); !errors.Is(err, kv.ErrNotFound) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.lanes[cancel.Key]; l != nil {
		l.interrupt(cancel)
	}
}

// nextOf returns the lane's next command, or ends the lane if there is none or it has
// to stop. It is one critical section with dispatch, so no command is left behind.
func (p *partition) nextOf(ctx context.Context, l *lane) *delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.queue) > 0 && ctx.Err() == nil && !closed(l.draining) {
		d := l.queue[0]
		l.queue, l.current = l.queue[1:], d
		p.worker.metrics.queued.Dec()
		return d
	}
	p.worker.metrics.queued.Sub(float64(len(l.queue)))
	p.worker.metrics.lanes.Dec()
	delete(p.lanes, l.key)
	if len(p.lanes) == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
	return nil
}

func (p *partition) release(d *delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, d.Sequence)
}

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
