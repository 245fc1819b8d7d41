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

	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// tenure is one ownership of a partition, from takeover to loss. Its lanes may outlast
// it: what they are in the middle of when the partition is given up, they end.
type tenure struct {
	partition *partition
	claim     *ownership.Claim

	// taking ends when the partition is to be given up: no lane begins another command.
	taking     context.Context
	stopTaking context.CancelFunc
	// lanes is the context of the lanes' work. It ends with the cause if the partition
	// was lost to another: what is still under way is the other's now.
	lanes     context.Context
	stopLanes context.CancelCauseFunc
	lost      chan error

	// heads remembers the records of volumes that had work lately, bounded in number.
	heads *lru.Cache[volume.Key, *head]
	last  atomic.Uint64          // stream sequence of what came last
	pin   atomic.Pointer[string] // under which the server delivers to this tenure

	taken  atomic.Uint64 // deliveries taken, which the server numbers 1, 2, 3 …
	broken bool          // nothing more is taken; the delivery goroutine's

	mu     sync.Mutex           // guards all below
	active map[volume.Key]*lane // those with work
	held   map[uint64]*delivery // taken and not yet acknowledged, by stream sequence
	ended  bool                 // lanes that end now are owed to the member
}

func newTenure(work context.Context, p *partition, claim *ownership.Claim) (*tenure, error) {
	heads, err := lru.New[volume.Key, *head](headsPerPartition)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", p.number, err)
	}
	t := &tenure{
		partition: p,
		claim:     claim,
		lost:      make(chan error, 1),
		heads:     heads,
		active:    map[volume.Key]*lane{},
		held:      map[uint64]*delivery{},
	}
	t.taking, t.stopTaking = context.WithCancel(work)
	t.lanes, t.stopLanes = context.WithCancelCause(work)
	return t, nil
}

// serve takes the partition over and keeps it until the claim or the partition is lost.
func (t *tenure) serve() error {
	go func() {
		select {
		case <-t.claim.Lost():
			t.stopTaking()
		case <-t.taking.Done():
		}
	}()
	consumer, err := t.partition.takeOver(t.taking)
	if err == nil {
		err = t.consume(consumer)
	}
	if closed(t.claim.Lost()) {
		return nil // whatever else happened, it is somebody else's turn
	}
	return err
}

// PullOptions are how a worker asks for the commands of a partition. What is compared with a
// worker has to ask in the same way.
func PullOptions() []jetstream.PullConsumeOpt {
	return []jetstream.PullConsumeOpt{
		jetstream.PullPriorityGroup(PriorityGroup),
		jetstream.PullMaxMessages(pullMessages),
		jetstream.PullExpiry(pullExpiry),
		jetstream.PullHeartbeat(pullHeartbeat),
	}
}

func (t *tenure) consume(consumer jetstream.Consumer) error {
	consuming, err := consumer.Consume(t.take, append(PullOptions(),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { t.fault(err) }))...)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// gofail: var afterConsume string
	// flushAndKillAt(t.partition.worker.nc, afterConsume, "takeover")

	t.claim.Serving()
	over := consuming.Closed() // asked once: a later one does not wait for the last delivery
	err = t.keep(over)
	consuming.Stop()
	<-over
	if err != nil {
		t.partition.buryNext(t.lanes, t.last.Load())
	}
	return err
}

// keep tells the server that held commands are being worked on, and looks now and then
// whether its deliveries come here, until the claim or the partition is lost.
func (t *tenure) keep(over <-chan struct{}) error {
	extending := time.NewTicker(t.partition.worker.config.AckWait / 3)
	defer extending.Stop()
	looking := time.NewTicker(lookInterval)
	defer looking.Stop()
	for seen := (sight{}); ; {
		select {
		case <-t.taking.Done():
			return t.whyLost()
		case <-over:
			return errConsumeEnded
		case <-extending.C:
			t.extend()
		case <-looking.C:
			var err error
			if seen, err = t.look(seen); errors.Is(err, errForgotten) || errors.Is(err, errAckLost) {
				// Nobody else has the partition: what is under way may end in order.
				t.partition.log.Warn().Err(err).Msg("partition is taken over again")
				t.stopTaking()
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

func (t *tenure) extend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.held {
		if err := d.msg.InProgress(); err != nil {
			t.partition.log.Warn().Err(err).Uint64("sequence", d.Sequence).Msg("extend command")
		}
	}
}

// end gives the partition up. After an error the lanes are stopped, because their
// commands are another's now; else they end what they have begun. Those that are still
// there are told to the other workers as busy.
func (t *tenure) end(err error) {
	t.stopTaking()
	if err != nil {
		t.stopLanes(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	var busy []volume.Key
	for key, l := range t.active {
		if l.working {
			l.owed = true
			busy = append(busy, key)
		}
	}
	t.partition.worker.member.Occupy(busy...)
	t.claim.Release()
	if len(t.active) == 0 {
		t.stopLanes(nil)
	}
}

// begin lets the lane begin its current command, unless the tenure is over.
func (t *tenure) begin(l *lane) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.working = t.taking.Err() == nil && t.lanes.Err() == nil
	return l.working
}

// take receives one message. After a reset the server numbers deliveries 1, 2, 3 …; a
// gap means that someone else was given a command, so nothing later may run here.
func (t *tenure) take(msg jetstream.Msg) {
	if t.broken {
		return
	}
	meta, err := msg.Metadata()
	if due := t.taken.Load() + 1; err == nil && meta.Sequence.Consumer != due {
		err = fmt.Errorf("delivery %d came where %d was due: %w", meta.Sequence.Consumer, due, errGap)
	}
	if err == nil {
		err = t.pinned(msg)
	}
	if err != nil {
		t.broken = true
		t.lose(err)
		return
	}
	t.taken.Add(1)
	t.last.Store(meta.Sequence.Stream)
	p := t.partition
	p.worker.metrics.pending.WithLabelValues(p.label()).Set(float64(meta.NumPending))
	t.dispatch(newDelivery(msg, meta))
}

// pinned returns errPinned if the message was delivered under another pin than those
// before it: in between the partition was another's.
func (t *tenure) pinned(msg jetstream.Msg) error {
	values := msg.Headers()[headerPin]
	if len(values) == 0 {
		return nil
	}
	pin := values[len(values)-1] // the server's is the last, any before are the publisher's
	if first := t.pin.Load(); first != nil && *first != pin {
		return errPinned
	}
	t.pin.Store(&pin)
	return nil
}

// verify asks the server whether the partition's commands still come here. It returns
// errPinned if they go to another, and the tenure is over then.
func (t *tenure) verify(ctx context.Context) error {
	info, err := t.info(ctx)
	if err != nil {
		return err
	}
	pin := t.pin.Load()
	for _, group := range info.PriorityGroups {
		if pin != nil && group.Group == PriorityGroup && group.PinnedClientID != "" && group.PinnedClientID != *pin {
			t.lose(errPinned)
			return errPinned
		}
	}
	return nil
}

// fault gives the partition up for errors that mean that it may have another owner.
func (t *tenure) fault(err error) {
	switch {
	case errors.Is(err, jetstream.ErrPinIDMismatch),
		errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
		t.lose(err)
	default:
		t.partition.log.Debug().Err(err).Msg("consume")
	}
}

// lose ends the tenure with an error; only the first counts.
func (t *tenure) lose(err error) {
	select {
	case t.lost <- err:
	default:
	}
	t.stopTaking()
}

// whyLost returns the error with which the tenure was lost, or nil if only the claim was.
func (t *tenure) whyLost() error {
	select {
	case err := <-t.lost:
		return err
	default:
		return nil
	}
}

// dispatch puts a command behind its volume's others and starts the lane if it rests.
func (t *tenure) dispatch(d *delivery) {
	w := t.partition.worker
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.held[d.Sequence] = d
	key := d.laneKey()
	if d.err == nil && interrupts(d.command()) {
		w.lanes.Go(func() { t.readAhead(t.lanes, d) })
	}
	l := t.active[key]
	if l == nil {
		l = &lane{tenure: t, key: key}
		t.active[key] = l
		w.metrics.lanes.Inc()
		w.lanes.Go(func() { l.run(t.lanes) })
	}
	l.queue = append(l.queue, d)
	w.metrics.queued.Inc()
}

func (t *tenure) holds(d *delivery) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[d.Sequence] == d
}

// nextOf returns the lane's next command, or ends the lane if there is none or it has
// to stop. It is one critical section with dispatch, so no command is left behind.
func (t *tenure) nextOf(l *lane) *delivery {
	w := t.partition.worker
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(l.queue) > 0 && t.taking.Err() == nil && t.lanes.Err() == nil {
		d := l.queue[0]
		l.queue, l.current, l.working = l.queue[1:], d, false
		w.metrics.queued.Dec()
		return d
	}
	w.metrics.queued.Sub(float64(len(l.queue)))
	w.metrics.lanes.Dec()
	delete(t.active, l.key)
	if l.owed {
		w.member.Idle(l.key)
	}
	if t.ended && len(t.active) == 0 {
		t.stopLanes(nil)
	}
	return nil
}

func (t *tenure) release(d *delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, d.Sequence)
}
