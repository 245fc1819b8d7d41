package fsm

import (
	"fmt"
	"math"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// RetryPolicy says how often, and after which waits, a failed backend operation is
// tried again. The fields and defaults are those of the seed document
// block-storage-api (requirement A4).
type RetryPolicy struct {
	MaxAttempts int           // attempts in all, the first one included; ≥ 1
	InitialWait time.Duration // between the first attempt and the second; > 0
	Multiplier  float64       // of each further wait; ≥ 1.0
	MaxWait     time.Duration // no wait is longer; > 0
}

// DefaultRetryPolicy returns 3 attempts with waits of 500 ms and 1 s, doubling up to 10 s.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 3, InitialWait: 500 * time.Millisecond, Multiplier: 2.0, MaxWait: 10 * time.Second}
}

// Validate returns a [volume.ErrInvalidArgument] that names the first field out of range.
func (p RetryPolicy) Validate() error {
	var fault string
	switch {
	case p.MaxAttempts < 1:
		fault = fmt.Sprintf("max attempts %d: want at least 1", p.MaxAttempts)
	case p.InitialWait <= 0:
		fault = fmt.Sprintf("initial wait %s: want more than 0", p.InitialWait)
	case !(p.Multiplier >= 1.0) || math.IsInf(p.Multiplier, 1): // NaN is no multiplier either
		fault = fmt.Sprintf("multiplier %g: want at least 1.0", p.Multiplier)
	case p.MaxWait <= 0:
		fault = fmt.Sprintf("max wait %s: want more than 0", p.MaxWait)
	default:
		return nil
	}
	return volume.Errorf(volume.ErrInvalidArgument, "retry policy: %s", fault)
}

// Wait returns how long to wait after the given failed attempt (1, 2, 3 …).
func (p RetryPolicy) Wait(attempt int) time.Duration {
	wait := float64(p.InitialWait) * math.Pow(p.Multiplier, float64(attempt-1))
	if wait >= float64(p.MaxWait) { // also when the power overflowed
		return p.MaxWait
	}
	return time.Duration(wait)
}

// again returns when to try again after a failed attempt, or the zero time if the
// operation has to be given up: for a class that does not retry, when the attempts are
// used up, or when the command's deadline would have passed by then.
func (p RetryPolicy) again(class volume.Class, op volume.Op, now time.Time) time.Time {
	if !class.Retryable() || op.Attempt >= p.MaxAttempts {
		return time.Time{}
	}
	at := now.Add(p.Wait(op.Attempt))
	if !op.Deadline.IsZero() && at.After(op.Deadline) {
		return time.Time{}
	}
	return at
}
