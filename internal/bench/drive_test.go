package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSchedule_At_SpreadsEvenly(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSchedule(start, 200, 2*time.Second)
	if s.count != 400 {
		t.Errorf("got %d commands, want 400", s.count)
	}
	for i, want := range map[int]time.Duration{0: 0, 1: 5 * time.Millisecond, 200: time.Second, 399: 1995 * time.Millisecond} {
		if got := s.at(i).Sub(start); got != want {
			t.Errorf("command %d: got %s, want %s", i, got, want)
		}
	}
}

func TestSchedule_Await_EndsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(time.Now(), 10, time.Second)
		if due, ok := s.await(t.Context(), 9); !ok || time.Now() != due {
			t.Errorf("got %v at %s, want the last at %s", ok, time.Now(), due)
		}
		if _, ok := s.await(t.Context(), 10); ok {
			t.Error("got one more than there are")
		}
	})
}

// Whatever stands still makes late what was due meanwhile, though it was not given yet.
func TestLoad_OpenLoop_LatencyCountsFromWhenItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 500 * time.Millisecond
		first := true
		got, err := load{inFlight: 1, rate: 100, duration: time.Second}.drive(t.Context(), func(ctx context.Context) error {
			if !first {
				return nil
			}
			first = false
			return pause(ctx, stall)
		}, new(atomic.Int64))
		if err != nil || got.answered != 100 || got.inTime != 100 {
			t.Fatalf("got %+v, %v, want 100 answers", got, err)
		}
		for quantile, want := range map[float64]time.Duration{100: stall, 75: stall / 2, 40: 0} {
			late := time.Duration(got.latencies.ValueAtQuantile(quantile)) * time.Microsecond
			if (late - want).Abs() > 15*time.Millisecond {
				t.Errorf("p%g: got %s, want about %s", quantile, late, want)
			}
		}
	})
}

func TestLoad_ClosedLoop_KeepsSoManyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, done atomic.Int64
		got, err := load{inFlight: 7, duration: time.Second}.drive(t.Context(), func(ctx context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			return pause(ctx, 100*time.Millisecond)
		}, &done)
		if err != nil || got.answered != 70 || got.inTime != 70 || done.Load() != 70 || most.Load() != 7 {
			t.Errorf("got %d answers, %d in time, %d told, %d at once, %v, want 70 and 7", got.answered, got.inTime, done.Load(), most.Load(), err)
		}
		if rate := got.throughput(time.Second); rate != 70 {
			t.Errorf("got %g a second, want 70", rate)
		}
	})
}

func TestLoad_LateAnswer_CountsButNotForThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := load{inFlight: 1, duration: time.Second}.drive(t.Context(), func(ctx context.Context) error {
			return pause(ctx, 600*time.Millisecond)
		}, new(atomic.Int64))
		if err != nil || got.answered != 2 || got.inTime != 1 {
			t.Errorf("got %d answers, %d in time, %v, want 2 and 1", got.answered, got.inTime, err)
		}
	})
}

func TestLoad_Failure_EndsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var calls atomic.Int64
		_, err := load{inFlight: 2, duration: time.Minute}.drive(t.Context(), func(ctx context.Context) error {
			if calls.Add(1) == 5 {
				return broken
			}
			return pause(ctx, time.Second)
		}, new(atomic.Int64))
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}

func TestLoad_NoAnswer_EndsSomeTimeAfterTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := load{inFlight: 2, duration: time.Second}.drive(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, new(atomic.Int64))
		if !errors.Is(err, errLate) {
			t.Errorf("got %v, want %v", err, errLate)
		}
	})
}
