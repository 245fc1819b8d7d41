package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil_Held_GivesUpWithItsContextAndLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := until(ctx, func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("held: got %v, want the deadline", err)
		}
		tries := 0
		if err := until(t.Context(), func() bool { tries++; return tries == 3 }); err != nil || tries != 3 {
			t.Errorf("held twice: got %v after %d tries, want nil after 3", err, tries)
		}
	})
}

// LockLanes holds the lanes of one partition that the worker serves, as a deadlock would.
func (w *Worker) LockLanes() (unlock func(), found bool) {
	for _, p := range w.partitions {
		if t := p.tenure.Load(); t != nil {
			t.mu.Lock()
			return t.mu.Unlock, true
		}
	}
	return nil, false
}
