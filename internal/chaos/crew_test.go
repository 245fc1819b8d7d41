package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/trial"
)

// newTestCrew returns a crew whose workers are this shell script. Its servers are not
// there, which a script does not notice.
func newTestCrew(t *testing.T, script string) *crew {
	t.Helper()
	place, err := trial.NewPlace(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "jetvol")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newCrew(options{binary: binary, servers: 1}, place, trial.Disk{Dir: place.Data()}, []string{"nats://127.0.0.1:1"})
	c.undisturbed = func(time.Time) bool { return true }
	t.Cleanup(func() {
		if err := c.end(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// idle is a worker that waits for its end, and then ends with that exit code.
func idle(code string) string {
	return "trap 'exit " + code + "' TERM\necho jetvol worker ready: $4\nwhile :; do read -t 1 line </dev/null; done\n"
}

func join(t *testing.T, c *crew) string {
	t.Helper()
	before := c.all()
	if err := c.join(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := c.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range c.all() {
		if !slices.Contains(before, id) {
			return id
		}
	}
	t.Fatal("nobody joined")
	return ""
}

// await waits until the condition holds; it is called with the crew locked.
func await(t *testing.T, c *crew, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		c.mu.Lock()
		done := holds()
		c.mu.Unlock()
		if done {
			return
		}
		pause(ctx, 10*time.Millisecond)
	}
	t.Fatalf("still not: %s", what)
}

func TestCrew_KilledAndDrained_AreGoneWithoutAFault(t *testing.T) {
	c := newTestCrew(t, idle("0"))
	first, second := join(t, c), join(t, c)
	if err := c.kill(first); err != nil {
		t.Fatal(err)
	}
	c.drain(second)
	if got := c.all(); len(got) > 0 {
		t.Errorf("got workers %v, want none", got)
	}
	c.running.Wait()
	if c.kills != 1 || c.drains != 1 || len(c.ends) != 1 || c.ends[0].To.Before(c.ends[0].From) || len(c.faults) > 0 {
		t.Errorf("got %d kills, %d drains, ends %v, faults %v", c.kills, c.drains, c.ends, c.faults)
	}
}

func TestCrew_DrainEndsBadly_IsAFaultUnlessServersWereDisturbed(t *testing.T) {
	for _, calm := range []bool{true, false} {
		c := newTestCrew(t, idle("1"))
		c.undisturbed = func(time.Time) bool { return calm }
		c.drain(join(t, c))
		c.running.Wait()
		if (len(c.faults) == 1) != calm || len(c.ends) != 1 {
			t.Errorf("servers calm %t: got faults %v, ends %v", calm, c.faults, c.ends)
		}
	}
}

func TestCrew_WorkerEndsByItself_IsAFaultAndStartedAgain(t *testing.T) {
	c := newTestCrew(t, "echo jetvol worker ready: $4; exit 0\n")
	if err := c.join(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	await(t, c, "two faults", func() bool { return len(c.faults) >= 2 })
}

func TestCrew_WorkerFindsNoServer_StartsAgainWithoutAFault(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "second")
	c := newTestCrew(t, "if [ -e "+mark+" ]; then\n"+idle("0")+"fi\n: >"+mark+"\nexit 1\n")
	c.undisturbed = func(time.Time) bool { return false }
	if err := c.join(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	await(t, c, "a worker that is ready", func() bool {
		for _, w := range c.workers {
			return w.process.Ready()
		}
		return false
	})
	if len(c.faults) > 0 {
		t.Errorf("got faults %v", c.faults)
	}
}

func TestCrew_Paused_IsNotAwakeUntilWoken(t *testing.T) {
	c := newTestCrew(t, idle("0"))
	id := join(t, c)
	wake, wakeAll := context.WithCancel(t.Context())
	defer wakeAll()
	if err := c.pause(wake, id, time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(c.awake()) > 0 || len(c.all()) != 1 {
		t.Errorf("got %v awake of %v", c.awake(), c.all())
	}
	wakeAll()
	await(t, c, "one stop that has ended", func() bool { return len(c.stops) == 1 })
	if len(c.awake()) != 1 {
		t.Error("the worker does not count as awake again")
	}
}
