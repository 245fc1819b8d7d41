package bench

import (
	"context"
	"time"
)

// schedule says when the commands of an open loop are to be given, whatever became of
// those before. Latency is measured from that moment: a system that stands still makes
// everything late that was due meanwhile, not only what it was given (coordinated
// omission).
type schedule struct {
	start time.Time
	rate  float64 // commands a second
	count int
}

// newSchedule spreads a rate evenly over a duration, beginning at start.
func newSchedule(start time.Time, rate float64, duration time.Duration) schedule {
	return schedule{start: start, rate: rate, count: max(1, int(rate*duration.Seconds()))}
}

// at returns when command i is due, counted from 0.
func (s schedule) at(i int) time.Time {
	return s.start.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
}

// await returns when command i is due, or false if there is none or ctx ends first.
func (s schedule) await(ctx context.Context, i int) (due time.Time, ok bool) {
	if i >= s.count {
		return time.Time{}, false
	}
	due = s.at(i)
	return due, pause(ctx, time.Until(due)) == nil
}

// pause returns nil after d, or the error of ctx if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
