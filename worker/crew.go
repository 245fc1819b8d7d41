package worker

import (
	"sync"
	"sync/atomic"
)

// crew runs functions beside each other, each in a goroutine. One that has ended its function
// waits for the next: its stack has grown to what the work on a command needs, which in a new
// goroutine costs more than the deciding does (docs/performance.md).
type crew struct {
	resting int64         // at most so many goroutines wait for work
	idle    atomic.Int64  // that wait, or are about to
	work    chan func()   // unbuffered: taken by one that waits, or by none
	over    chan struct{} // closed by Dismiss
	running sync.WaitGroup
}

func newCrew(resting int) *crew {
	return &crew{resting: int64(resting), work: make(chan func()), over: make(chan struct{})}
}

// Go runs f and returns at once. It must not be called after Dismiss.
func (c *crew) Go(f func()) {
	c.running.Add(1)
	select {
	case c.work <- f:
	default:
		go c.run(f)
	}
}

func (c *crew) run(f func()) {
	for {
		c.do(f)
		if c.idle.Add(1) > c.resting {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.work:
			c.idle.Add(-1)
		case <-c.over:
			return
		}
	}
}

func (c *crew) do(f func()) {
	defer c.running.Done() // also if the function ends its goroutine
	f()
}

// Dismiss waits until all functions have ended, and lets go of the goroutines that wait.
func (c *crew) Dismiss() {
	c.running.Wait()
	close(c.over)
}
