//go:build ceph

package ceph

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jetvol/jetvol/volume"
)

func TestGuard_Yield_Answers(t *testing.T) {
	ref := refOf("db-01")
	n := notice{Key: ref.Key, Epoch: ownerEpoch}
	for name, c := range map[string]struct {
		epoch uint64        // of the call
		runs  time.Duration // how long it goes on
		lost  bool
		own   bool
		want  string
		waits time.Duration
	}{
		"Ended":           {epoch: staleEpoch, want: answerDone},
		"EndsSoon":        {epoch: staleEpoch, runs: yieldTime / 2, want: answerDone, waits: yieldTime / 2},
		"Runs":            {epoch: staleEpoch, runs: 2 * yieldTime, want: answerBusy, waits: yieldTime},
		"SameEpochRuns":   {epoch: ownerEpoch, runs: 2 * yieldTime, want: answerDone},
		"Lost":            {epoch: staleEpoch, lost: true, want: answerLost},
		"LostSoon":        {epoch: staleEpoch, runs: yieldTime / 2, lost: true, want: answerLost, waits: yieldTime / 2},
		"LostOfFencer":    {epoch: staleEpoch, lost: true, own: true, want: answerDone},
		"LostInSameEpoch": {epoch: ownerEpoch, lost: true, want: answerDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard()
				pass, err := g.begin(in(c.epoch, ref))
				must(t, err)
				if c.runs == 0 {
					g.end(pass, c.lost)
				} else {
					time.AfterFunc(c.runs, func() { g.end(pass, c.lost) })
				}
				other, err := g.begin(in(0, refOf("db-02")))
				must(t, err)
				defer g.end(other, true)
				began := time.Now()
				if got := g.yield(n, c.own, nil); got != c.want || time.Since(began) != c.waits {
					t.Errorf("got %q after %s, want %q after %s", got, time.Since(began), c.want, c.waits)
				}
				if _, err := g.begin(in(staleEpoch, ref)); !errors.Is(err, volume.ErrFenced) {
					t.Errorf("begin in an older epoch: got %v, want %v", err, volume.ErrFenced)
				}
			})
		})
	}
}

func TestGuard_Raise_NeverLowers(t *testing.T) {
	g, ref := newGuard(), refOf("db-01")
	g.raise(ref.Key, ownerEpoch)
	g.raise(ref.Key, staleEpoch)
	if known, err := g.check(in(ownerEpoch, ref)); err != nil || known != ownerEpoch {
		t.Errorf("got %d and %v, want %d", known, err, ownerEpoch)
	}
}

func TestGuard_Shut_RefusesEveryCall(t *testing.T) {
	g, ref := newGuard(), in(ownerEpoch, refOf("db-01"))
	reason := errors.New("watch ended")
	g.shut(reason)
	if _, err := g.begin(ref); !errors.Is(err, volume.Unavailable) || !errors.Is(err, reason) {
		t.Errorf("got %v, want %v because of: %v", err, volume.Unavailable, reason)
	}
}

func BenchmarkGuard(b *testing.B) {
	g, ref := newGuard(), in(ownerEpoch, refOf("db-01"))
	for b.Loop() {
		pass, err := g.begin(ref)
		must(b, err)
		g.end(pass, false)
	}
}
