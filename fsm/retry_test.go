package fsm_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestDefaultRetryPolicy(t *testing.T) {
	want := fsm.RetryPolicy{MaxAttempts: 3, InitialWait: 500 * time.Millisecond, Multiplier: 2.0, MaxWait: 10 * time.Second}
	got := fsm.DefaultRetryPolicy()
	if got != want || got.Validate() != nil {
		t.Errorf("got %+v, %v, want %+v", got, got.Validate(), want)
	}
}

func TestRetryPolicy_Validate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fsm.RetryPolicy)
		valid  bool
	}{
		{"one attempt", func(p *fsm.RetryPolicy) { p.MaxAttempts = 1 }, true},
		{"no growth", func(p *fsm.RetryPolicy) { p.Multiplier = 1 }, true},
		{"shortest waits", func(p *fsm.RetryPolicy) { p.InitialWait, p.MaxWait = 1, 1 }, true},
		{"first wait above the greatest", func(p *fsm.RetryPolicy) { p.InitialWait = time.Minute }, true},

		{"no attempt", func(p *fsm.RetryPolicy) { p.MaxAttempts = 0 }, false},
		{"negative attempts", func(p *fsm.RetryPolicy) { p.MaxAttempts = -1 }, false},
		{"no first wait", func(p *fsm.RetryPolicy) { p.InitialWait = 0 }, false},
		{"negative first wait", func(p *fsm.RetryPolicy) { p.InitialWait = -1 }, false},
		{"shrinking", func(p *fsm.RetryPolicy) { p.Multiplier = 0.999 }, false},
		{"multiplier NaN", func(p *fsm.RetryPolicy) { p.Multiplier = math.NaN() }, false},
		{"multiplier infinite", func(p *fsm.RetryPolicy) { p.Multiplier = math.Inf(1) }, false},
		{"multiplier minus infinite", func(p *fsm.RetryPolicy) { p.Multiplier = math.Inf(-1) }, false},
		{"no greatest wait", func(p *fsm.RetryPolicy) { p.MaxWait = 0 }, false},
		{"negative greatest wait", func(p *fsm.RetryPolicy) { p.MaxWait = -1 }, false},
		{"zero value", func(p *fsm.RetryPolicy) { *p = fsm.RetryPolicy{} }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := fsm.DefaultRetryPolicy()
			test.change(&policy)
			err := policy.Validate()
			if (err == nil) != test.valid || err != nil && !errors.Is(err, volume.ErrInvalidArgument) {
				t.Errorf("got %v, want valid %v", err, test.valid)
			}
		})
	}
}

func TestRetryPolicy_Wait(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		attempt int
		want    time.Duration
	}{
		{1, 500 * ms},
		{2, 1000 * ms},
		{3, 2000 * ms},
		{4, 4000 * ms},
		{5, 8000 * ms},
		{6, 10000 * ms},
		{7, 10000 * ms},
		{100, 10000 * ms},
		{math.MaxInt, 10000 * ms}, // the power is infinite
	}
	for _, test := range tests {
		if got := fsm.DefaultRetryPolicy().Wait(test.attempt); got != test.want {
			t.Errorf("after attempt %d: got %s, want %s", test.attempt, got, test.want)
		}
	}
}

// TestRetryPolicy_Wait_InBounds: no valid policy waits for nothing, for longer than it
// says, or for less than before.
func TestRetryPolicy_Wait_InBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := fsm.RetryPolicy{
			MaxAttempts: 3,
			InitialWait: time.Duration(rapid.Int64Min(1).Draw(t, "initial")),
			Multiplier:  rapid.Float64Range(1, math.MaxFloat64).Draw(t, "multiplier"),
			MaxWait:     time.Duration(rapid.Int64Min(1).Draw(t, "max")),
		}
		if err := policy.Validate(); err != nil {
			t.Fatal(err)
		}
		attempt := rapid.IntRange(1, math.MaxInt-1).Draw(t, "attempt")
		first, second := policy.Wait(attempt), policy.Wait(attempt+1)
		if first <= 0 || first > policy.MaxWait || second < first {
			t.Fatalf("got %s, then %s, want more than 0, at most %s", first, second, policy.MaxWait)
		}
	})
}

func TestFail_WhenToTryAgain(t *testing.T) {
	tests := []struct {
		name     string
		cause    error
		attempt  int
		deadline time.Duration // after the start; 0: none
		want     time.Duration // until the next attempt; 0: never
	}{
		{"first attempt, busy", errBusy, 1, 0, 500 * time.Millisecond},
		{"second attempt, busy", errBusy, 2, 0, time.Second},
		{"last attempt, busy", errBusy, 3, 0, 0},
		{"more attempts than the policy has now", errBusy, 4, 0, 0},
		{"unavailable", volume.BackendError(volume.Unavailable), 1, 0, 500 * time.Millisecond},
		{"aborted", volume.BackendError(volume.Aborted), 1, 0, 500 * time.Millisecond},
		{"internal", errBroken, 1, 0, 0},
		{"without a class", volume.BackendError(errors.New("what")), 1, 0, 0},
		{"not found", volume.BackendError(volume.NotFound), 1, 0, 0},
		{"exists", volume.BackendError(volume.AlreadyExists), 1, 0, 0},
		{"invalid", volume.BackendError(volume.InvalidArgument), 1, 0, 0},
		{"precondition", volume.BackendError(volume.FailedPrecondition), 1, 0, 0},
		{"exhausted", volume.BackendError(volume.ResourceExhausted), 1, 0, 0},
		{"unsupported", volume.BackendError(volume.Unsupported), 1, 0, 0},
		{"cancelled", errCancel, 1, 0, 0},
		{"deadline after the wait", errBusy, 1, time.Hour, 500 * time.Millisecond},
		{"deadline just after the wait", errBusy, 1, 500 * time.Millisecond, 500 * time.Millisecond},
		{"deadline before the wait ends", errBusy, 1, 499 * time.Millisecond, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			record := in(t, volume.StateCreating).record
			op := *record.Op
			op.Attempt = test.attempt
			if test.deadline > 0 {
				op.Deadline = epoch.Add(test.deadline)
			}
			record.Op = &op
			decision, err := fsm.Fail(record, test.cause, fsm.DefaultRetryPolicy(), epoch)
			if err != nil {
				t.Fatal(err)
			}
			var want time.Time
			if test.want > 0 {
				want = epoch.Add(test.want)
			}
			if got := decision.Record.Op.NextRetryAt; !got.Equal(want) || !decision.Transition.NextRetryAt.Equal(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
