package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Timings of a turn.
const (
	tellEvery = time.Second
	// settleTimeout bounds the wait for the last acknowledgements after a turn.
	settleTimeout = 20 * time.Second
	settlePause   = 20 * time.Millisecond
)

// side is jetvol or the ceiling.
type side struct {
	name    string
	source  *source
	had     stored // about the run's project, before the run
	rename  func(string) string
	streams []string
	pids    []int
}

// measured is one turn of a side.
type measured struct {
	outcome
	cpu   CPU
	bytes float64
}

// order returns the two sides in the order of their turns in round n. It changes from round to
// round: what the server does late for the first, such as the consumers' files, falls into the
// turn of the second.
func (r *run) order(n int) []*side {
	if n%2 == 0 {
		return []*side{&r.ceiling, &r.jetvol}
	}
	return []*side{&r.jetvol, &r.ceiling}
}

// round gives each side its turn.
func (r *run) round(ctx context.Context, l load, n int) (Round, error) {
	turns := map[*side]measured{}
	for _, s := range r.order(n) {
		m, err := r.turn(ctx, s, l, n)
		if err != nil {
			return Round{}, fmt.Errorf("%s: %w", s.name, err)
		}
		turns[s] = m
	}
	done, limit := turns[&r.jetvol], turns[&r.ceiling]
	r.pace = float64(done.answered) / done.elapsed.Seconds()
	round := newRound(r.options.Workload, l, n, done, limit)
	if l.inFlight > 1 || l.rate > 0 || r.options.Workload != Create {
		return round, nil
	}
	trips, err := r.tripper.measure(ctx, l.duration)
	trips.Ratio = ratio(round.Latency.P50, trips.Sum)
	round.RoundTrips = &trips
	return round, err
}

// newRound says what the two turns came to. An open loop has no ratio.
func newRound(w Workload, l load, n int, done, limit measured) Round {
	round := Round{
		Workload: w, InFlight: l.inFlight, Rate: l.rate, Round: n, Commands: done.answered,
		Throughput: done.throughput(l.duration), Ceiling: limit.throughput(l.duration),
		Latency: latencyOf(done.latencies), CeilingLatency: latencyOf(limit.latencies),
		CPU: done.cpu, CeilingCPU: limit.cpu, Bytes: done.bytes, CeilingBytes: limit.bytes,
	}
	if l.rate == 0 {
		round.Ratio = ratio(round.Throughput, round.Ceiling)
	}
	return round
}

// turn lets one side work for the load's duration, and compares what it left.
func (r *run) turn(ctx context.Context, s *side, l load, n int) (m measured, err error) {
	if err := r.stage.alive(); err != nil {
		return m, err
	}
	bytesBefore, err := bytesStored(ctx, r.js, s.streams...)
	if err != nil {
		return m, err
	}
	var done atomic.Int64
	stop := r.progress(s, l, n, &done)
	before, err := r.stage.cpu(s.pids)
	if err == nil {
		m.outcome, err = l.drive(ctx, s.source.step, &done)
	}
	stop()
	if err != nil {
		return m, err
	}
	after, err := r.stage.cpu(s.pids)
	if err != nil {
		return m, err
	}
	m.cpu = after.per1000(before, m.answered)
	if err := r.settle(ctx, s); err != nil {
		return m, err
	}
	bytesAfter, err := bytesStored(ctx, r.js, s.streams...)
	m.bytes = (float64(bytesAfter) - float64(bytesBefore)) / float64(max(1, m.answered))
	return m, err
}

// settle waits for the last acknowledgements, which come after the replies, and returns
// what is missing or too much if that does not pass.
func (r *run) settle(ctx context.Context, s *side) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		got, err := counted(ctx, r.js, r.project, s.rename)
		if err == nil {
			err = verify(&s.source.counts, r.templates, got.without(s.had))
		}
		if err == nil {
			return nil
		}
		if pause(ctx, settlePause) != nil {
			return err
		}
	}
}

// progress tells how far a turn is until the returned function is called.
func (r *run) progress(s *side, l load, n int, done *atomic.Int64) (stop func()) {
	if r.options.Tell == nil {
		return func() {}
	}
	ended, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				r.options.tell("%s, %d in flight, round %d of %d, %s: %d commands", r.options.Workload, l.inFlight, n, r.options.Rounds, s.name, done.Load())
			}
		}
	}()
	return func() { close(ended); <-told }
}
