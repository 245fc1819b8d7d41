package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// lane carries out the commands of one volume, one after another. It lives while there
// is work and is the only goroutine of this process that touches the volume.
type lane struct {
	partition *partition
	key       volume.Key
	draining  <-chan struct{}

	queue   []*delivery // waiting; guarded by partition.mu
	current *delivery   // being carried out; guarded by partition.mu

	cancelMu  sync.Mutex                            // guards the three below; taken after partition.mu
	running   volume.CommandID                      // the command being carried out, or empty
	stop      context.CancelCauseFunc               // ends its backend call or its wait
	cancelled map[volume.CommandID]volume.CommandID // target → the cancel that wants it ended
}

// errHandBack ends the work on a command that the worker will not finish: it stays
// unacknowledged for the next owner.
var errHandBack = errors.New("handed back")

// Backoff between attempts to reach JetStream, or to get past a conflict.
const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

func (l *lane) run(ctx context.Context) {
	for {
		d := l.partition.nextOf(ctx, l)
		if d == nil {
			return
		}
		l.carryOut(ctx, d)
	}
}

// carryOut brings one command to its end, however often a conflict or an unreachable
// server makes it begin again from the stored record.
func (l *lane) carryOut(ctx context.Context, d *delivery) {
	w := l.partition.worker
	backoff := firstBackoff
	for ctx.Err() == nil {
		if err := w.slots.Acquire(ctx, 1); err != nil {
			return
		}
		err := l.attempt(ctx, d)
		w.slots.Release(1)
		switch {
		case err == nil:
			l.partition.release(d)
			return
		case errors.Is(err, errHandBack), ctx.Err() != nil:
			return
		}
		// Whatever was believed about the volume may be wrong now.
		l.partition.heads.Remove(l.key)
		w.metrics.reloads.Inc()
		l.partition.log.Warn().Err(err).Str("volume", l.key.String()).
			Str("command", string(d.command().ID)).Dur("backoff", backoff).Msg("command begins again")
		l.pause(ctx, backoff)
		if closed(l.draining) {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (l *lane) attempt(ctx context.Context, d *delivery) error {
	if d.err != nil {
		return l.partition.worker.bury(ctx, d, d.err)
	}
	run := &execution{lane: l, worker: l.partition.worker, delivery: d, command: d.command()}
	return run.execute(ctx)
}

// pause waits, but not beyond the beginning of a drain.
func (l *lane) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.draining:
	case <-timer.C:
	}
}

// begin marks a command as running. It returns the context that a cancel ends and the
// function that marks the command as no longer running.
func (l *lane) begin(ctx context.Context, id volume.CommandID) (context.Context, func()) {
	cancellable, stop := context.WithCancelCause(ctx)
	l.cancelMu.Lock()
	defer l.cancelMu.Unlock()
	l.running, l.stop = id, stop
	if by, wanted := l.cancelled[id]; wanted {
		stop(cancelledBy(by))
	}
	return cancellable, func() {
		stop(nil)
		l.cancelMu.Lock()
		defer l.cancelMu.Unlock()
		l.running, l.stop = "", nil
	}
}

// interrupt ends the command that a cancel is meant for: the one it names, running or
// still in the queue before it, or else the one being carried out. The caller holds
// partition.mu.
func (l *lane) interrupt(cancel volume.Command) {
	target := l.targetOf(cancel)
	if target == "" {
		return
	}
	l.cancelMu.Lock()
	defer l.cancelMu.Unlock()
	if l.cancelled == nil {
		l.cancelled = map[volume.CommandID]volume.CommandID{}
	}
	l.cancelled[target] = cancel.ID
	if target == l.running {
		l.stop(cancelledBy(cancel.ID))
	}
}

// targetOf returns the command before the cancel that it is meant for, if there is one.
func (l *lane) targetOf(cancel volume.Command) volume.CommandID {
	for _, d := range append([]*delivery{l.current}, l.queue...) {
		switch {
		case d == nil:
		case d.Sequence >= cancel.Sequence:
			return ""
		case cancel.Args.Target == "", cancel.Args.Target == d.command().ID:
			return d.command().ID
		}
	}
	return ""
}

func cancelledBy(id volume.CommandID) error {
	return volume.Errorf(volume.ErrCancelled, "cancelled by command %s", id)
}

// cancelCause returns the cancel that ended ctx, or nil if none did.
func cancelCause(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, volume.ErrCancelled) {
		return cause
	}
	return nil
}
