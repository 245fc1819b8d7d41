package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// stillAfter times the TTL of the lease is how long the goroutine that renews it may be
// silent. It tries again within the TTL, however the server behaves.
const stillAfter = 10

// errStill says that something does not move that always has to.
var errStill = errors.New("stands still")

// Fit reports whether the worker can do its share of the work: its lease counts, it is not
// draining, and commands are taken from every partition that is assigned to it. It returns
// what there is to know, and [volume.Unavailable] with what is missing if it is not fit. A
// takeover or a lost connection makes a worker unfit for as long as it takes; more workers
// than partitions leave some fit without any.
func (w *Worker) Fit() (string, error) {
	s := w.member.Standing()
	switch {
	case s.Draining:
		return "", fmt.Errorf("worker %s: draining: %w", w.config.ID, volume.Unavailable)
	case !s.Joined:
		return "", fmt.Errorf("worker %s: has not joined the others yet: %w", w.config.ID, volume.Unavailable)
	case s.LeaseAge > w.member.TTL():
		return "", fmt.Errorf("worker %s: lease not renewed for %s: %w", w.config.ID, s.LeaseAge.Round(time.Millisecond), volume.Unavailable)
	case s.Serving < s.Assigned:
		return "", fmt.Errorf("worker %s: %d of %d partitions are taken: %w", w.config.ID, s.Serving, s.Assigned, volume.Unavailable)
	}
	return fmt.Sprintf("%s, %d partitions", w.config.ID, s.Serving), nil
}

// Alive returns nil if the worker moves: its lease's goroutine tries again and again, and
// the lanes of every partition can be looked at. It says nothing about the server or the
// backends, which a restart of this process would not mend. It returns an error if that is
// not so before ctx ends.
func (w *Worker) Alive(ctx context.Context) error {
	var tried time.Time
	err := until(ctx, func() (free bool) {
		tried, free = w.member.Tried()
		return free
	})
	if err != nil {
		return fmt.Errorf("worker %s: lease: %w: %w", w.config.ID, errStill, err)
	}
	running := !tried.IsZero() && !closed(w.over)
	if silence := time.Since(tried); running && silence > stillAfter*w.member.TTL() {
		return fmt.Errorf("worker %s: lease: %w for %s", w.config.ID, errStill, silence.Round(time.Second))
	}
	for _, p := range w.partitions {
		t := p.tenure.Load()
		if t == nil {
			continue
		}
		if err := until(ctx, t.mu.TryLock); err != nil {
			return fmt.Errorf("worker %s: lanes of partition %d: %w: %w", w.config.ID, p.number, errStill, err)
		}
		t.mu.Unlock()
	}
	return nil
}

// lookAgain is the pause before a mutex that is held is tried again.
const lookAgain = 5 * time.Millisecond

// until tries again and again, and returns ctx's error if that ends first. Unlike one that
// locks a mutex it leaves nobody waiting then.
func until(ctx context.Context, try func() bool) error {
	for !try() {
		wait(ctx, lookAgain)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
