package bench

import (
	"context"
	"fmt"
)

// compare gives both arenas their turns with a workload, round by round. Who has the first
// turn changes, so that what a machine does meanwhile is in neither's favour.
func (o ScaleOptions) compare(ctx context.Context, w Workload, few, many *arena) ([]ScaleRound, error) {
	var runs [2]*run
	for i, a := range []*arena{few, many} {
		var err error
		if runs[i], err = a.newRun(ctx, o.options(w, a.volumes)); err != nil {
			return nil, fmt.Errorf("%d volumes: %w", a.volumes, err)
		}
	}
	var rounds []ScaleRound
	l := load{inFlight: o.InFlight}
	for n := range o.Rounds + 1 { // the first warms up
		if l.duration = o.Duration; n == 0 {
			l.duration = min(warmUp, l.duration)
		}
		var turns [2]ScaleTurn
		for i := range runs {
			at := (i + n) % len(runs)
			var err error
			if turns[at], err = runs[at].scaleTurn(ctx, l, n); err != nil {
				return rounds, fmt.Errorf("%s, %s, round %d: %w", runs[at].jetvol.name, w, n, err)
			}
		}
		if n == 0 {
			continue
		}
		round := newScaleRound(w, n, turns[0], turns[1])
		rounds = append(rounds, round)
		if o.Each != nil {
			o.Each(round)
		}
	}
	for i, a := range []*arena{few, many} {
		if err := a.leave(ctx, runs[i]); err != nil {
			return rounds, fmt.Errorf("%s: %w", runs[i].jetvol.name, err)
		}
	}
	return rounds, nil
}

// scaleTurn is a turn without its ceiling.
func (r *run) scaleTurn(ctx context.Context, l load, n int) (ScaleTurn, error) {
	if err := r.sample(ctx, r.jetvol.source.sample); err != nil {
		return ScaleTurn{}, err
	}
	m, err := r.turn(ctx, &r.jetvol, l, n)
	if err != nil {
		return ScaleTurn{}, err
	}
	return ScaleTurn{Commands: m.answered, Throughput: m.throughput(l.duration), Latency: latencyOf(m.latencies), CPU: m.cpu}, nil
}
