package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
)

// skewTold is how far clocks may differ.
const skewTold = time.Second

// eventsRead is how many of the latest events are looked at for the clocks of workers. So
// many as behindEvents of one worker have to say that its clock is behind.
const (
	eventsRead   = 32
	behindEvents = 3
)

func checkClock(ctx context.Context, e *examination) []Finding {
	findings := e.clockHere()
	if len(findings) == 0 {
		findings = append(findings, note("clock.unknown", Finding{Text: "no stream told its time"}))
	}
	return append(findings, e.workerClocks(ctx)...)
}

// clockHere compares this machine's clock with that of each server that leads a stream. The
// answer was stamped between the question and its receipt; only what lies outside of that is
// a difference.
func (e *examination) clockHere() []Finding {
	skews := map[string]time.Duration{}
	for _, answer := range e.streams {
		stamp := answer.value.TimeStamp
		if answer.err != nil || stamp.IsZero() {
			continue
		}
		server := e.conn.ConnectedServerName()
		if cluster := answer.value.Cluster; cluster != nil && cluster.Leader != "" {
			server = cluster.Leader
		}
		skew := outside(stamp, answer.sent, answer.received)
		if known, seen := skews[server]; !seen || skew.Abs() < known.Abs() {
			skews[server] = skew
		}
	}
	var findings []Finding
	for _, server := range slices.Sorted(maps.Keys(skews)) {
		findings = append(findings, skewFinding("clock.here", server, -skews[server],
			"this machine", "that of the server"))
	}
	return findings
}

// outside returns how far at lies before or after the span, as a negative or positive time.
func outside(at, from, to time.Time) time.Duration {
	switch {
	case at.Before(from):
		return at.Sub(from)
	case at.After(to):
		return at.Sub(to)
	}
	return 0
}

// skewFinding tells whose clock is ahead of the other by skew, or behind if it is negative.
func skewFinding(code, object string, skew time.Duration, whose, other string) Finding {
	f := Finding{Object: object, Found: skew.Round(time.Millisecond).String(), Wanted: "within " + skewTold.String()}
	if skew.Abs() <= skewTold {
		f.Text = fmt.Sprintf("the clock of %s and %s agree", whose, other)
		return note(code, f)
	}
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	f.Text = fmt.Sprintf("the clock of %s is %s %s %s", whose, skew.Abs().Round(time.Millisecond), direction, other)
	if skew.Abs() > fsm.DefaultRetryPolicy().MaxWait {
		return note(code+"_far_off", f)
	}
	return note(code+"_off", f)
}

// workerClocks compares what live workers wrote with when the server stored it. What was
// written after it was stored, by the clocks, was written by a clock that is ahead. A clock
// is behind if even the quickest of several events took long.
func (e *examination) workerClocks(ctx context.Context) []Finding {
	skews := map[string]time.Duration{}
	for _, lease := range e.leases {
		skews[lease.Value.Worker] = max(0, lease.Value.JoinedAt.Sub(lease.Created))
	}
	for worker, d := range e.eventDelays(ctx) {
		known, alive := skews[worker]
		if told := d.least < 0 || d.events >= behindEvents; alive && told && d.least.Abs() > known.Abs() {
			skews[worker] = -d.least
		}
	}
	var findings []Finding
	for _, worker := range slices.Sorted(maps.Keys(skews)) {
		findings = append(findings, skewFinding("clock.worker", worker, skews[worker], "worker "+worker, "that of the servers"))
	}
	return findings
}

// delays is how long the quickest of some events was on its way to the stream, by the clock
// of its worker and the server's.
type delays struct {
	least  time.Duration
	events int
}

// eventDelays returns the delays of the latest events, by worker.
func (e *examination) eventDelays(ctx context.Context) map[string]delays {
	byWorker := map[string]delays{}
	last := e.streams[events.StreamName].value.State.LastSeq
	for n := uint64(0); n < eventsRead && n < last; n++ {
		answer := e.messageAt(ctx, events.StreamName, last-n)
		if answer.err != nil {
			return byWorker
		}
		event, err := events.Decode(answer.value.Message.Data)
		if err != nil {
			continue
		}
		delay := answer.value.Message.Time.Sub(event.Data.Time)
		known := byWorker[event.Data.Worker]
		if known.events == 0 || delay < known.least {
			known.least = delay
		}
		known.events++
		byWorker[event.Data.Worker] = known
	}
	return byWorker
}
