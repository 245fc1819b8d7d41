package main

import (
	"math/rand/v2"
	"sync"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// recent is how many of the latest commands half of all repeats are of. Some of them
// are still under way.
const recent = 32

// entry is one command in the ledger.
type entry struct {
	request commands.Request
	told    verify.Command // guarded by ledger.mu
}

// ledger is what all clients together asked and were answered.
type ledger struct {
	mu       sync.Mutex // guards all below, and entries
	all      []*entry
	ordinary []*entry
	running  []*entry // ordinary, asked for the first time and not answered
	states   map[volume.Key]volume.State
	repeated int
}

func newLedger() *ledger { return &ledger{states: map[volume.Key]volume.State{}} }

// ask enters a new command, which is about to be published.
func (l *ledger) ask(request commands.Request, kind verify.Kind) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{request: request, told: verify.Command{
		Key: request.Key, ID: request.ID, Verb: request.Verb, Kind: kind, Asked: 1,
	}}
	l.all = append(l.all, e)
	if kind == verify.Ordinary {
		l.ordinary = append(l.ordinary, e)
		l.running = append(l.running, e)
	}
	return e
}

// leave enters a new command for whose answer nobody will wait. It is never picked to be
// published again: that would bring it back if it was lost.
func (l *ledger) leave(request commands.Request) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{request: request, told: verify.Command{
		Key: request.Key, ID: request.ID, Verb: request.Verb, Kind: verify.Ordinary,
	}}
	l.all = append(l.all, e)
	return e
}

// accepted notes that the stream has acknowledged the command.
func (l *ledger) accepted(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.told.Accepted = true
}

// askAgain picks a command to be published once more by somebody else. It returns nil
// if there is none.
func (l *ledger) askAgain(rng *rand.Rand) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.ordinary
	if len(from) > recent && rng.IntN(2) == 0 {
		from = from[len(from)-recent:]
	}
	if len(from) == 0 {
		return nil
	}
	e := from[rng.IntN(len(from))]
	e.told.Asked++
	l.repeated++
	return e
}

// reuse picks a command whose ID another one is to be published under. It must have
// been answered: else the other one might come first. It returns nil if chance picks
// one that was not.
func (l *ledger) reuse(rng *rand.Rand) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ordinary) == 0 {
		return nil
	}
	e := l.ordinary[rng.IntN(len(l.ordinary))]
	if len(e.told.Answers) == 0 {
		return nil
	}
	e.told.Reused++
	return e
}

// answered enters an answer to the command.
func (l *ledger) answered(e *entry, reply commands.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(e.told.Answers) == 0 {
		l.ended(e)
	}
	e.told.Answers = append(e.told.Answers, reply)
	if reply.State != "" && !reply.Repeat {
		l.states[e.request.Key] = reply.State
	}
}

func (l *ledger) ended(e *entry) {
	for i, other := range l.running {
		if other == e {
			l.running[i] = l.running[len(l.running)-1]
			l.running = l.running[:len(l.running)-1]
			return
		}
	}
}

// refused enters the answer to another command under this one's ID.
func (l *ledger) refused(e *entry, reply commands.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.told.Reuses = append(e.told.Reuses, reply)
}

// state returns the volume's state as the latest answer told it; it may have changed.
func (l *ledger) state(key volume.Key) volume.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.states[key]
}

// target picks a command under way for a cancel. It returns false if there is none.
func (l *ledger) target(rng *rand.Rand) (commands.Request, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) == 0 {
		return commands.Request{}, false
	}
	return l.running[rng.IntN(len(l.running))].request, true
}

// commands returns all commands as evidence. Nobody may use the ledger any more.
func (l *ledger) commands() []verify.Command {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]verify.Command, len(l.all))
	for i, e := range l.all {
		all[i] = e.told
	}
	return all
}

// counts is a ledger in numbers.
type counts struct {
	commands int // different ones
	answers  int // to them, to their repeats and to reuses of their IDs
	waiting  int // for an answer
	repeated int
	reused   int
}

func (l *ledger) counts() counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := counts{commands: len(l.all), repeated: l.repeated}
	for _, e := range l.all {
		told := &e.told
		c.answers += len(told.Answers) + len(told.Reuses)
		c.waiting += told.Asked - len(told.Answers) + told.Reused - len(told.Reuses)
		c.reused += told.Reused
	}
	return c
}
