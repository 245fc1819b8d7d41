package backendtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const (
	// maxKillPoints is more changes to its store than one call can need.
	maxKillPoints = 200
	// deathIsSeen is how long a backend may take to see that a client is dead.
	deathIsSeen = 40 * time.Second
	// reapAfter is when a Reaper is asked to help.
	reapAfter = 15 * time.Second
	// killsVariable says how often each call is killed at a random moment, once without.
	killsVariable = "JETVOL_BACKENDTEST_KILLS"
)

// killCases kill the process that makes a change, and let another make it again.
var killCases = []testCase{
	{"Kill_BeforeEachChangeToTheStore_RepeatHeals", func(s *subject) {
		crasher := s.crasher()
		killed := 0
		s.eachScript(func(at int) bool {
			for n := 1; n <= maxKillPoints; n++ {
				if !s.liveWithKill(crasher, at, n, 0) {
					return true
				}
				killed++
			}
			s.Fatalf("call %d: got %d kills, want fewer points than that", at, maxKillPoints)
			return false
		})
		if killed == 0 {
			s.skip("the driver kills its process at no point: ServeCall's killAt is ignored")
		}
		s.Logf("killed at %d points", killed)
	}},
	{"Kill_AtRandomMoments_RepeatHeals", func(s *subject) {
		crasher := s.crasher()
		killed, calls, repeats := 0, 0, s.randomKills()
		took := s.durations()
		s.eachScript(func(at int) bool {
			for range repeats {
				calls++
				if s.liveWithKill(crasher, at, 0, mathrand.N(2*took[at])) {
					killed++
				}
			}
			return true
		})
		s.Logf("killed before their end: %d of %d calls", killed, calls)
	}},
}

// crasher returns the harness's option or skips the case.
func (s *subject) crasher() Crasher {
	s.Helper()
	crasher, given := s.harness.(Crasher)
	if !given {
		s.skip("the harness is no backendtest.Crasher")
	}
	return crasher
}

// eachScript calls f with the number of each call of the script until it returns false.
func (s *subject) eachScript(f func(at int) bool) {
	s.Helper()
	for at := range script(backends.CapabilitiesOf(s.driver), backends.Ref{}, backends.Ref{}) {
		if !f(at) {
			return
		}
	}
}

// randomKills is how often each call is to be killed at a random moment.
func (s *subject) randomKills() int {
	s.Helper()
	text, given := os.LookupEnv(killsVariable)
	if !given {
		return 1
	}
	kills, err := strconv.Atoi(text)
	if err != nil || kills < 1 {
		s.Fatalf("%s: got %q, want 1 or more", killsVariable, text)
	}
	return kills
}

// durations returns how long each call of the script takes.
func (s *subject) durations() []time.Duration {
	s.Helper()
	var took []time.Duration
	s.eachCall(func(c Call) {
		begun := time.Now()
		s.ok(c.Do(s.ctx, s.driver), c.Method)
		took = append(took, max(time.Since(begun), time.Microsecond))
	})
	return took
}

// liveWithKill takes new volumes through the script. Call number at is made by a process
// that is killed, and then again by another that has fenced it, as are all that follow. It
// reports whether the call was killed before it ended.
func (s *subject) liveWithKill(crasher Crasher, at, point int, after time.Duration) (killed bool) {
	s.Helper()
	s.run = rand.Text() // other names than the last time
	ref, clone := s.volume("a"), s.volume("copy")
	for i, c := range script(backends.CapabilitiesOf(s.driver), ref, clone) {
		if i == at {
			killed = s.kill(crasher, request{Call: c, KillAt: point}, after)
			s.reopen()
			s.takeOver(ref, clone)
		}
		s.ok(s.patiently(c.in(owner)), c.Method+" after a kill")
	}
	s.lacks(ref.Key)
	s.lacks(clone.Key)
	return killed
}

// takeOver fences the volumes, as a worker does before it goes on where another was.
func (s *subject) takeOver(refs ...backends.Ref) {
	s.Helper()
	fencer, able := s.driver.(backends.Fencer)
	if !able {
		return
	}
	for _, ref := range refs {
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
	}
}

// patiently makes the call again while it is Busy: a backend may need a while to see that
// a client is dead.
func (s *subject) patiently(c Call) error {
	s.Helper()
	reaper, given := s.harness.(Reaper)
	if !given {
		return s.untilNotBusy(c, deathIsSeen)
	}
	err := s.untilNotBusy(c, reapAfter)
	if !errors.Is(err, volume.Busy) {
		return err
	}
	s.Logf("%s: still %v after %s: the harness is to reap the dead clients", c.Method, err, reapAfter)
	reaper.Reap(s)
	return s.untilNotBusy(c, deathIsSeen)
}

func (s *subject) untilNotBusy(c Call, patience time.Duration) error {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		err := c.Do(s.ctx, s.driver)
		if !errors.Is(err, volume.Busy) {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
}

// kill has the request served by a process. Unless the request says where, the process is
// killed when it has been at it for the given time. It reports whether that came before
// the end of the call.
func (s *subject) kill(crasher Crasher, asks request, after time.Duration) (killed bool) {
	s.Helper()
	text, err := json.Marshal(asks)
	s.ok(err, "encode call")
	process := crasher.CallProcess(s)
	if process.Env == nil {
		process.Env = os.Environ()
	}
	process.Env = append(process.Env, callVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var complaints bytes.Buffer
	process.Stderr = &complaints
	output, err := process.StdoutPipe()
	s.ok(err, "pipe")
	s.ok(process.Start(), "start process")
	lines := bufio.NewReader(output)
	line, err := lines.ReadString('\n')
	if line == begun && asks.KillAt == 0 {
		kill := time.AfterFunc(after, func() { _ = process.Process.Kill() })
		defer kill.Stop()
	}
	last, _ := lines.ReadString('\n')
	waited := process.Wait()
	if line != begun || waited != nil && !wasKilled(waited) {
		s.Fatalf("process: got %v and %v, want it to begin, and to succeed or be killed; output:\n%s%s", err, waited, line, &complaints)
	}
	return last != ended
}

func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
