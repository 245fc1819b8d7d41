package load

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

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
	told    verify.Command // guarded by Ledger.mu
}

func newEntry(client int, request commands.Request, kind verify.Kind) *entry {
	return &entry{request: request, told: verify.Command{
		Key: request.Key, ID: request.ID, Verb: request.Verb, Args: request.Args, Preconditions: request.Preconditions,
		Kind: kind, Client: client, Called: time.Now(),
	}}
}

// Ledger is what all clients together asked and were answered.
type Ledger struct {
	mu       sync.Mutex // guards all below, and entries
	all      []*entry
	ordinary []*entry
	running  []*entry // ordinary, asked for the first time and not answered
	states   map[volume.Key]volume.State
	kept     []snapshot // that somebody was told of, the oldest first
	repeated int
}

func newLedger() *Ledger { return &Ledger{states: map[volume.Key]volume.State{}} }

// ask enters a new command, which is about to be published.
func (l *Ledger) ask(client int, request commands.Request, kind verify.Kind) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := newEntry(client, request, kind)
	e.told.Asked = 1
	l.all = append(l.all, e)
	if kind == verify.Ordinary {
		l.ordinary = append(l.ordinary, e)
		l.running = append(l.running, e)
	}
	return e
}

// leave enters a new command for whose answer nobody will wait. It is never picked to be
// published again: that would bring it back if it was lost.
func (l *Ledger) leave(client int, request commands.Request) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := newEntry(client, request, verify.Ordinary)
	l.all = append(l.all, e)
	return e
}

// accepted notes that the stream has acknowledged the command.
func (l *Ledger) accepted(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.told.Accepted = true
}

// askAgain picks a command to be published once more by somebody else. It returns nil
// if there is none.
func (l *Ledger) askAgain(rng *rand.Rand) *entry {
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
func (l *Ledger) reuse(rng *rand.Rand) *entry {
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
func (l *Ledger) answered(e *entry, reply commands.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(e.told.Answers) == 0 {
		e.told.Returned = time.Now()
		l.ended(e)
	}
	e.told.Answers = append(e.told.Answers, reply)
	if reply.State != "" && !reply.Repeat {
		l.states[e.request.Key] = reply.State
		l.keep(e.request, reply)
	}
}

// keep notes what the answer says of snapshots.
func (l *Ledger) keep(request commands.Request, reply commands.Reply) {
	told := snapshot{request.Key, request.Args.Snapshot}
	if reply.Outcome != volume.Succeeded {
		return
	}
	switch request.Verb {
	case volume.VerbSnapshot:
		l.kept = append(l.kept, told)
	case volume.VerbDeleteSnapshot:
		l.kept = slices.DeleteFunc(l.kept, func(other snapshot) bool { return other == told })
	default:
	}
}

func (l *Ledger) ended(e *entry) {
	for i, other := range l.running {
		if other == e {
			l.running[i] = l.running[len(l.running)-1]
			l.running = l.running[:len(l.running)-1]
			return
		}
	}
}

// refused enters the answer to another command under this one's ID.
func (l *Ledger) refused(e *entry, reply commands.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.told.Reuses = append(e.told.Reuses, reply)
}

// snapshot is one of a volume.
type snapshot struct {
	volume volume.Key
	name   volume.SnapshotName
}

// sight is what the latest answers told of a volume and of others; it may have changed.
type sight struct {
	state  volume.State
	kept   volume.SnapshotName // one of its snapshots, or none
	source volume.SnapshotKey  // one of another volume of the project, or none
}

// sight returns what is known that concerns commands for the volume.
func (l *Ledger) sight(key volume.Key, rng *rand.Rand) sight {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := sight{state: l.states[key]}
	for _, at := range rng.Perm(len(l.kept)) {
		switch known := l.kept[at]; {
		case known.volume == key:
			seen.kept = known.name
		case known.volume.Project == key.Project:
			seen.source = volume.SnapshotKey{Volume: known.volume.Name, Snapshot: known.name}
		}
	}
	return seen
}

// target picks a command under way for a cancel. It returns false if there is none.
func (l *Ledger) target(rng *rand.Rand) (commands.Request, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) == 0 {
		return commands.Request{}, false
	}
	return l.running[rng.IntN(len(l.running))].request, true
}

// Commands returns all commands as evidence. It is for the time after [Clients.Run].
func (l *Ledger) Commands() []verify.Command {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]verify.Command, len(l.all))
	for i, e := range l.all {
		all[i] = e.told
	}
	return all
}

// Counts is a ledger in numbers.
type Counts struct {
	Commands int // different ones
	Answers  int // to them, to their repeats and to reuses of their IDs
	Waiting  int // for an answer
	Repeated int
	Reused   int
}

// Counts returns how far the clients are.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Counts{Commands: len(l.all), Repeated: l.repeated}
	for _, e := range l.all {
		told := &e.told
		c.Answers += len(told.Answers) + len(told.Reuses)
		c.Waiting += told.Asked - len(told.Answers) + told.Reused - len(told.Reuses)
		c.Reused += told.Reused
	}
	return c
}
