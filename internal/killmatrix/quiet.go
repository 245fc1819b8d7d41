package main

import (
	"context"
	"fmt"
)

// runQuiet arms points that the command is said not to reach and wants the worker to
// live: a square without a kill is a claim as well.
func (t *trial) runQuiet(ctx context.Context, quiet []point) error {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	defer t.clear()
	armed := make([]arming, len(quiet))
	for i, p := range quiet {
		armed[i] = quietArming(p, t.plan)
	}
	// The worker is armed for the command alone: the volume is made ready by another one.
	if err := t.store(ctx); err != nil {
		return err
	}
	survivor, err := t.startReady(ctx, armed...)
	if err != nil {
		return err
	}
	t.release()
	if err := t.end(ctx, survivor); err != nil {
		return err
	}
	return t.judge(ctx)
}

// quietArming arms a point so that it would fire at its first chance.
func quietArming(p point, of plan) arming {
	a := arming{places: p.places, fact: p.fact}
	if p.attempts[1] > 0 {
		a.fact = fmt.Sprintf(p.fact, p.attempts[0])
	}
	if !p.unnamed {
		a.fact += " " + string(of.command.ID)
	}
	return a
}
