package worker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestCrew_OneAfterAnother_SameGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(4)
		ran := 0
		for range 3 {
			c.Go(func() { ran++ })
			synctest.Wait()
			if got := c.idle.Load(); got != 1 {
				t.Errorf("got %d goroutines at rest, want 1", got)
			}
		}
		if ran != 3 {
			t.Errorf("got %d functions run, want 3", ran)
		}
		c.Dismiss()
	})
}

// TestCrew_MoreThanRest_AllRun: the bound is of those that wait for work, not of those at work.
func TestCrew_MoreThanRest_AllRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const functions, resting = 50, 4
		c := newCrew(resting)
		var running atomic.Int64
		goOn := make(chan struct{})
		for range functions {
			c.Go(func() {
				running.Add(1)
				<-goOn
			})
		}
		synctest.Wait()
		if got := running.Load(); got != functions {
			t.Errorf("got %d functions at work, want %d", got, functions)
		}
		close(goOn)
		synctest.Wait()
		if got := c.idle.Load(); got != resting {
			t.Errorf("got %d goroutines at rest, want %d", got, resting)
		}
		c.Dismiss()
	})
}

func TestCrew_Dismiss_WaitsForTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(1)
		goOn, dismissed := make(chan struct{}), make(chan struct{})
		c.Go(func() { <-goOn })
		go func() {
			c.Dismiss()
			close(dismissed)
		}()
		synctest.Wait()
		if closed(dismissed) {
			t.Error("dismissed while a function was at work")
		}
		close(goOn)
		<-dismissed
	}) // which fails if a goroutine is left
}
