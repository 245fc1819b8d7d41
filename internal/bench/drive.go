package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Latencies are kept in microseconds, up to two minutes, with three digits.
const (
	longestLatency = 2 * time.Minute
	latencyDigits  = 3
)

// lateAnswers is how long commands may take that were given until the end of a turn.
const lateAnswers = 30 * time.Second

var errLate = fmt.Errorf("no answer %s after the end of the turn", lateAnswers)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency.Microseconds(), latencyDigits)
}

// load is how commands are given.
type load struct {
	inFlight int
	rate     float64 // 0: a closed loop
	duration time.Duration
}

// outcome is what one half of a round has measured.
type outcome struct {
	latencies *hdrhistogram.Histogram
	answered  int // in all
	inTime    int // of them before the end of the duration
	elapsed   time.Duration
}

// throughput is how many commands were answered in a second, of those that were in time: a
// few late ones at the end do not stretch the time of all others.
func (o outcome) throughput(d time.Duration) float64 { return float64(o.inTime) / d.Seconds() }

// drive calls do again and again, as the load says, and measures. Done counts the calls
// that have ended, for whoever looks on. The first error ends it and is returned.
func (l load) drive(ctx context.Context, do func(context.Context) error, done *atomic.Int64) (outcome, error) {
	begin := time.Now()
	plan := newSchedule(begin, max(l.rate, 1), l.duration)
	parts := make([]outcome, l.inFlight)
	var next atomic.Int64
	ctx, cancel := context.WithTimeoutCause(ctx, l.duration+lateAnswers, errLate)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		part := &parts[i]
		part.latencies = newHistogram()
		group.Go(func() error {
			if l.rate > 0 {
				return part.open(ctx, plan, &next, begin.Add(l.duration), do, done)
			}
			return part.closed(ctx, begin.Add(l.duration), do, done)
		})
	}
	err := group.Wait()
	whole := outcome{latencies: newHistogram(), elapsed: time.Since(begin)}
	for _, part := range parts {
		whole.latencies.Merge(part.latencies)
		whole.answered += part.answered
		whole.inTime += part.inTime
	}
	return whole, err
}

// closed gives one command after another until the end.
func (o *outcome) closed(ctx context.Context, end time.Time, do func(context.Context) error, done *atomic.Int64) error {
	for {
		began := time.Now()
		if !began.Before(end) {
			return ctx.Err()
		}
		if err := do(ctx); err != nil {
			return err
		}
		if err := o.record(began, end); err != nil {
			return err
		}
		done.Add(1)
	}
}

// open gives those of the schedule's commands that nobody else gives.
func (o *outcome) open(
	ctx context.Context, plan schedule, next *atomic.Int64, end time.Time, do func(context.Context) error, done *atomic.Int64,
) error {
	for {
		due, ok := plan.await(ctx, int(next.Add(1))-1)
		if !ok {
			return ctx.Err()
		}
		if err := do(ctx); err != nil {
			return err
		}
		if err := o.record(due, end); err != nil {
			return err
		}
		done.Add(1)
	}
}

// record counts a command that was due at that time and is answered now.
func (o *outcome) record(due, end time.Time) error {
	now := time.Now()
	o.answered++
	if !now.After(end) {
		o.inTime++
	}
	return o.latencies.RecordValue(max(1, now.Sub(due).Microseconds()))
}
