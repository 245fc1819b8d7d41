package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// trialTimeout bounds one trial.
const trialTimeout = 3 * time.Minute

// trial is one kill: a cell with a seed.
type trial struct {
	site   *site
	binary string
	plan   plan
	log    *os.File

	ledger   ledger
	open     []*exchange        // issued and not yet answered
	failures *nats.Subscription // failed attempts of the volume
	room     room
	release  func() // frees the backend, if it is held
	// destroyed is what was there, if it was destroyed behind jetvol's back.
	destroyed backends.Object
	workers   []*process
	other     *process    // one that is running when the last one dies, or nil
	kills     []time.Time // when the dead were found
}

func newTrial(ctx context.Context, s *site, binary string, in store, dir string, p plan) (*trial, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	t := &trial{site: s, binary: binary, plan: p, release: func() {}}
	var err error
	if !p.unmetered {
		err = s.giveQuota(ctx, p.key.Project)
	}
	if err != nil {
		return nil, err
	}
	if t.room, err = in.room(ctx, dir); err != nil {
		return nil, err
	}
	if p.policy != "" {
		if err := t.room.decide(p.policy); err != nil {
			return nil, err
		}
	}
	if t.log, err = os.OpenFile(filepath.Join(dir, "workers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	t.failures, err = s.conn.SubscribeSync(events.Subject(p.key, volume.EventError))
	if err != nil {
		return nil, errors.Join(err, t.log.Close())
	}
	return t, nil
}

// run kills a worker at the plan's point, lets another one go on, and judges what is left.
// It returns what is wrong. No process of it is left afterwards.
func (t *trial) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	defer t.clear()
	if err := t.die(ctx); err != nil {
		return err
	}
	last, err := t.successor(ctx)
	if err != nil {
		return err
	}
	if err := t.end(ctx, last); err != nil {
		return err
	}
	return t.judge(ctx)
}

// clear ends what a failed trial has left.
func (t *trial) clear() {
	for _, p := range t.workers {
		p.end()
	}
	t.release()
	_ = t.failures.Unsubscribe() // fails only if the connection is closed
	_ = t.log.Close()            // for people only
}

// start starts a worker with these failpoints armed.
func (t *trial) start(armed ...arming) (*process, error) {
	id := workerID(len(t.workers) + 1)
	args := []string{
		"worker", "--server", t.site.server.URL(), "--no-provision", "--id", id, "--log-level", "debug",
		"--reconcile-interval", "0", // what is killed is the command that the trial sends
	}
	p, err := startProcess(t.binary, id, append(args, t.room.Flags()...), environment(t.room.failpoints(), armed), t.log)
	if err == nil {
		t.workers = append(t.workers, p)
	}
	return p, err
}

func (t *trial) startReady(ctx context.Context, armed ...arming) (*process, error) {
	p, err := t.start(armed...)
	if err != nil {
		return nil, err
	}
	return p, p.awaitReady(ctx)
}

// environment is the value of GOFAIL_FAILPOINTS.
func environment(always []string, armed []arming) string {
	terms := slices.Clone(always)
	for _, a := range armed {
		for _, place := range a.places {
			term := fmt.Sprintf("return(%q)", a.fact)
			if a.skip > 0 {
				term = fmt.Sprintf("%d*off->%s", a.skip, term)
			}
			terms = append(terms, place+"="+term)
		}
	}
	return strings.Join(terms, ";")
}

// die brings a worker to the plan's point and returns when it is dead.
func (t *trial) die(ctx context.Context) error {
	begin := t.dieAtWork
	switch {
	case t.plan.waiting && t.plan.running:
		begin = t.dieJoining
	case t.plan.waiting && t.plan.first != nil:
		begin = t.dieStartingTwice
	case t.plan.waiting:
		begin = t.dieStarting
	case t.plan.first != nil:
		begin = t.dieTwice
	}
	if err := begin(ctx); err != nil {
		return err
	}
	if !t.plan.untilEnd {
		t.release()
	}
	return nil
}

// dieAtWork: the worker prepares the volume itself; its failpoint knows the command.
func (t *trial) dieAtWork(ctx context.Context) error {
	victim, err := t.startReady(ctx, t.plan.kill)
	if err != nil {
		return err
	}
	if t.plan.running {
		if t.other, err = t.startReady(ctx); err != nil {
			return err
		}
	}
	if err := t.work(ctx); err != nil {
		return err
	}
	if t.plan.leaving {
		if err := victim.askToEnd(); err != nil {
			return err
		}
	}
	return t.awaitKill(ctx, victim, t.plan.kill)
}

// dieTwice: what the first worker left is where the second one dies.
func (t *trial) dieTwice(ctx context.Context) error {
	first, err := t.startReady(ctx, *t.plan.first)
	if err != nil {
		return err
	}
	var second *process
	if t.plan.running {
		if second, err = t.startReady(ctx, t.plan.kill); err != nil {
			return err
		}
	}
	if err := t.work(ctx); err != nil {
		return err
	}
	if err := t.awaitKill(ctx, first, *t.plan.first); err != nil {
		return err
	}
	if second == nil {
		if second, err = t.start(t.plan.kill); err != nil {
			return err
		}
	}
	return t.awaitKill(ctx, second, t.plan.kill)
}

// work prepares the volume and issues the command.
func (t *trial) work(ctx context.Context) error {
	if err := t.lead(ctx); err != nil {
		return err
	}
	return t.issue(ctx, append([]ask{t.plan.command}, t.plan.behind...)...)
}

// dieJoining: the worker takes over its share from one that goes on working.
func (t *trial) dieJoining(ctx context.Context) error {
	var err error
	if t.other, err = t.startReady(ctx); err != nil {
		return err
	}
	victim, err := t.start(t.plan.kill)
	if err != nil {
		return err
	}
	if err := t.work(ctx); err != nil {
		return err
	}
	return t.awaitKill(ctx, victim, t.plan.kill)
}

// dieStarting: the command waits in the stream for the worker, which knows nothing yet.
func (t *trial) dieStarting(ctx context.Context) error {
	if err := t.store(ctx); err != nil {
		return err
	}
	victim, err := t.start(t.plan.kill)
	if err != nil {
		return err
	}
	return t.awaitKill(ctx, victim, t.plan.kill)
}

// dieStartingTwice: what the first worker left of the waiting command is where the second one
// dies.
func (t *trial) dieStartingTwice(ctx context.Context) error {
	if err := t.store(ctx); err != nil {
		return err
	}
	for _, armed := range []arming{*t.plan.first, t.plan.kill} {
		victim, err := t.start(armed)
		if err != nil {
			return err
		}
		if err := t.awaitKill(ctx, victim, armed); err != nil {
			return err
		}
	}
	return nil
}

// store lets a worker prepare the volume and end in order, and issues the command while
// there is none.
func (t *trial) store(ctx context.Context) error {
	command := t.plan.command
	if len(t.plan.prepare) > 0 {
		former, err := t.startReady(ctx)
		if err != nil {
			return err
		}
		if err := t.lead(ctx); err != nil {
			return err
		}
		if command.afterFailure {
			if err := t.awaitFailure(ctx, command); err != nil {
				return err
			}
			command.afterFailure = false
		}
		if err := former.drain(); err != nil {
			return err
		}
	}
	return t.issue(ctx, append([]ask{command}, t.plan.behind...)...)
}

// lead prepares the volume, makes the backend busy if the plan says so, and issues what
// comes before the command.
func (t *trial) lead(ctx context.Context) error {
	if err := t.do(ctx, t.plan.prepare); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if t.plan.forgotten {
		if err := t.site.forget(ctx, t.plan.key); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
	}
	if t.plan.locked {
		release, err := t.room.hold()
		if err != nil {
			return err
		}
		t.release = release
	}
	return t.issue(ctx, t.plan.lead...)
}

func (t *trial) awaitKill(ctx context.Context, victim *process, a arming) error {
	if err := victim.awaitKill(ctx, a.fact); err != nil {
		return err
	}
	t.kills = append(t.kills, time.Now())
	return nil
}

// successor returns the worker that goes on, a running one or a new one. Nothing helps it.
func (t *trial) successor(ctx context.Context) (*process, error) {
	if t.other != nil {
		return t.other, nil
	}
	return t.startReady(ctx)
}

// end waits until every command has its answer, asks for the command's answer once more,
// and ends the last worker when the queue is empty. What was answered before the kill may
// still be there.
func (t *trial) end(ctx context.Context, last *process) error {
	if err := t.collectAnswers(ctx); err != nil {
		return err
	}
	if err := t.askAgain(ctx); err != nil {
		return err
	}
	if _, err := t.queued(ctx); err != nil { // one that stays full is told by the checks
		return err
	}
	return last.drain()
}

// askAgain publishes the command once more under its ID and waits for its answer.
func (t *trial) askAgain(ctx context.Context) error {
	again := t.plan.command
	if again.kind == verify.Malformed {
		return nil // it would be buried again
	}
	again.afterFailure, again.tampers = false, nil
	if err := t.do(ctx, []ask{again}); err != nil {
		return fmt.Errorf("repeat: %w", err)
	}
	return nil
}
