package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// lane carries out the commands of one volume, one after another. It lives while there
// is work and is the only goroutine of this process that touches the volume.
type lane struct {
	tenure *tenure
	key    volume.Key

	queue   []*delivery // waiting; guarded by tenure.mu
	current *delivery   // being carried out; guarded by tenure.mu
	working bool        // current has been begun; guarded by tenure.mu
	owed    bool        // the member is to be told when the lane ends; guarded by tenure.mu

	cancelMu  sync.Mutex                 // guards the three below; taken after tenure.mu
	running   volume.CommandID           // the command being carried out, or empty
	stop      context.CancelCauseFunc    // ends its backend call or its wait
	cancelled map[volume.CommandID]error // commands that are to end, and by what
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
	// The former owner may still be in the middle of the volume's last command. An error
	// says that this owner has to go as well, which the loop finds out.
	_ = l.worker().member.AwaitIdle(l.tenure.taking, l.key)
	for {
		d := l.tenure.nextOf(l)
		if d == nil {
			return
		}
		l.carryOut(ctx, d)
	}
}

// carryOut brings one command to its end, however often a conflict or an unreachable
// server makes it begin again from the stored record.
func (l *lane) carryOut(ctx context.Context, d *delivery) {
	w := l.worker()
	for looks, backoff := false, firstBackoff; ; looks, backoff = true, min(2*backoff, maxBackoff) {
		if err := w.slots.Acquire(l.tenure.taking, 1); err != nil {
			return
		}
		if !l.tenure.begin(l) {
			w.slots.Release(1)
			return
		}
		err := l.attempt(ctx, d, looks)
		w.slots.Release(1)
		switch {
		case err == nil:
			l.tenure.release(d)
			return
		case errors.Is(err, errHandBack), errors.Is(err, errPinned), ctx.Err() != nil:
			return
		}
		// Whatever was believed about the volume may be wrong now.
		l.tenure.heads.Remove(l.key)
		w.metrics.reloads.Inc()
		l.tenure.partition.log.Warn().Err(err).Str("volume", l.key.String()).
			Str("command", string(d.command().ID)).Dur("backoff", backoff).Msg("command begins again")
		if conflict(err) && errors.Is(l.tenure.verify(ctx), errPinned) {
			return // another owner was here, and has the command too
		}
		wait(l.tenure.taking, backoff)
		if l.tenure.taking.Err() != nil {
			return
		}
	}
}

// conflict reports whether err says that somebody else has written about the volume.
func conflict(err error) bool {
	return errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrExists) || errors.Is(err, kv.ErrNotFound) ||
		errors.Is(err, events.ErrConflict)
}

func (l *lane) worker() *Worker { return l.tenure.partition.worker }

// attempt carries out a command, or buries it. With looks it assumes nothing of its volume.
func (l *lane) attempt(ctx context.Context, d *delivery, looks bool) error {
	if d.err != nil {
		return l.worker().bury(ctx, d, d.err)
	}
	err := l.execution(d, looks).execute(ctx)
	if !looks && errors.Is(err, errKnown) { // to be expected, and no sign of another owner
		err = l.execution(d, true).execute(ctx)
	}
	return err
}

func (l *lane) execution(d *delivery, looks bool) *execution {
	return &execution{lane: l, worker: l.worker(), delivery: d, command: d.command(), looks: looks}
}

// begin marks a command as running. It returns the context that a cancel ends and the
// function that marks the command as no longer running.
func (l *lane) begin(ctx context.Context, id volume.CommandID) (context.Context, func()) {
	cancellable, stop := context.WithCancelCause(ctx)
	l.cancelMu.Lock()
	defer l.cancelMu.Unlock()
	l.running, l.stop = id, stop
	if cause, wanted := l.cancelled[id]; wanted {
		stop(cause)
	}
	return cancellable, func() {
		stop(nil)
		l.cancelMu.Lock()
		defer l.cancelMu.Unlock()
		l.running, l.stop = "", nil
	}
}

// cancelCause returns the cancel that ended ctx, or nil if none did.
func cancelCause(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, volume.ErrCancelled) {
		return cause
	}
	return nil
}
