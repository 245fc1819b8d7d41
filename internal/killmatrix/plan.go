package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// ask is a command to be published.
type ask struct {
	commands.Request
	kind verify.Kind
	// payload takes the place of the arguments of a malformed command.
	payload []byte
	// afterFailure holds it back until the command before it has failed once.
	afterFailure bool
	// tampers is what happens to the volume at the backend before it is published.
	tampers []tamper
}

// plan is all that a trial does, chosen by its seed alone.
type plan struct {
	key volume.Key
	// prepare are carried out one after another, to bring the volume where the command
	// needs it.
	prepare []ask
	// lead are published before the command, and are not over when it comes.
	lead []ask
	// command is the one in whose course the worker dies.
	command ask
	// behind are published after it, without waiting for its end.
	behind []ask
	// locked says that the backend is busy from the lead on; untilEnd that it stays so
	// until the command has ended, and not only until the worker is dead.
	locked, untilEnd bool
	// waiting says that the command is stored before the worker that dies has started,
	// leaving that this worker is asked to end when the command is stored.
	waiting, leaving bool
	// first is what the first of two workers is armed with; nil if there is one.
	first *arming
	kill  arming
	// aside says that the worker dies outside the volume's lane, which may be in the
	// middle of anything then.
	aside bool
	// results are how the command may end.
	results []volume.Result
	// policy is the backend's for a volume that is gone; empty for the default one.
	policy volume.RecordOnly
	// unmetered says that the project has no quota, forgotten that the bucket of records is to
	// know nothing of the volume any more when the command comes.
	unmetered, forgotten bool
	// running says that the worker which goes on is there already when the other dies.
	running bool
}

// arming is what a worker's failpoints are set to.
type arming struct {
	places []string
	fact   string
	skip   int // hits that pass
}

// lastRetry is the step that begins the last attempt.
var lastRetry = fmt.Sprintf("retry-%d", fsm.DefaultRetryPolicy().MaxAttempts)

// never is a generation that no volume reaches.
const never = 1 << 40

type planner struct {
	rng    *rand.Rand
	cell   cell
	key    volume.Key
	serial int
	size   volume.Bytes // the volume's, so that a resize is larger
	shared bool         // nodes only read, and several at once
	node   int          // that the last attach was for
	// snapshot is the latest that was made, and source what the volume is a clone of.
	snapshot volume.SnapshotName
	source   volume.SnapshotKey
}

// nodes is how many there are; one after another gets the volume.
const nodes = 3

// newPlan makes the plan of a cell and a seed in a project of its own.
func newPlan(c cell, seed uint64, project volume.Project) plan {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(c.String())) // never fails
	p := &planner{rng: rand.New(rand.NewPCG(seed, hash.Sum64())), cell: c}
	p.node = p.rng.IntN(nodes)
	plan := plan{
		results:  c.results(),
		waiting:  c.scenario == waiting,
		leaving:  c.scenario == leaving,
		untilEnd: c.scenario == hopeless,
		locked:   slices.Contains([]scenario{busy, hopeless, refusing, cancelled}, c.scenario) || c.column.name == string(volume.VerbCancel),
		aside:    c.point.part == partTakeover || c.point.part == partLeave,
		policy:   c.column.policy,

		unmetered: c.column.unmetered,
		forgotten: c.column.name == createForgotten,
	}
	// Of what waits, a worker that joins would get one volume in two only.
	plan.running = p.coin() && (!plan.waiting || c.point.part == partTakeover)
	for p.key = p.anyKey(project); plan.running && !plan.waiting && !victims(p.key); {
		p.key = p.anyKey(project)
	}
	plan.key = p.key
	p.commands(&plan)
	p.deaths(&plan)
	return plan
}

// commands chooses what is asked for.
func (p *planner) commands(plan *plan) {
	if plan.unmetered {
		plan.prepare = p.prepareUnmetered()
	} else {
		plan.prepare = p.prepare()
	}
	if p.cell.column.name == string(volume.VerbCancel) {
		plan.lead = []ask{p.request(volume.VerbAttach)}
	}
	plan.command = p.command(*plan)
	if p.cell.scenario == cancelled {
		plan.behind = append(plan.behind, p.cancel(plan.command))
	}
	if p.coin() && !p.cell.column.alone {
		plan.behind = append(plan.behind, p.request(p.oneOf(volume.VerbCreate, volume.VerbDelete, volume.VerbAttach,
			volume.VerbDetach, volume.VerbResize, volume.VerbReconcile, volume.VerbSnapshot, volume.VerbFlatten)))
	}
}

// deaths chooses where workers die.
func (p *planner) deaths(plan *plan) {
	id, point := plan.command.ID, p.cell.point
	plan.kill = p.arming(point, id)
	if plan.kill.fact == lastRetry+" "+string(id) && point.places[0] == "eventStored" {
		// The last attempt does not wait for its event: it may have failed by then.
		plan.results = append(plan.results, volume.Failed)
	}
	switch {
	case point.late:
		plan.first = p.firstDeath(id, p.cell.column.first)
	case point.part == partForget && p.coin(): // what a dead worker has left, and not its own
		plan.first = p.firstDeath(id, "assumed")
	}
}

func (p *planner) anyKey(project volume.Project) volume.Key {
	return volume.Key{Project: project, Name: volume.Name(fmt.Sprintf("v-%04x", p.rng.IntN(1<<16)))}
}

// victims reports whether the volume belongs to the first worker if there are two. It
// counts as the server's partition() does: FNV-1a over the subject's tokens. Were that
// wrong, the first worker would not die.
func victims(key volume.Key) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(string(key.Project) + string(key.Name))) // never fails
	owners := ownership.Assign([]string{workerID(1), workerID(2)}, commands.Partitions)
	return owners[hash.Sum32()%commands.Partitions] == workerID(1)
}

// workerID names the workers of a trial in the order of their starts.
func workerID(number int) string { return fmt.Sprintf("worker-%d", number) }

func (p *planner) coin() bool { return p.rng.IntN(2) == 0 }

func (p *planner) oneOf(verbs ...volume.Verb) volume.Verb { return verbs[p.rng.IntN(len(verbs))] }

// arming chooses how the point is armed for the command.
func (p *planner) arming(point point, id volume.CommandID) arming {
	a := arming{places: point.places, fact: point.fact}
	if point.attempts[1] > 0 {
		attempts := point.attempts[1] - point.attempts[0] + 1
		if _, again := p.cell.column.reaches[partRetry]; !again {
			attempts = 1
		}
		a.fact = fmt.Sprintf(point.fact, point.attempts[0]+p.rng.IntN(attempts))
	}
	if !point.unnamed {
		a.fact += " " + string(id)
	}
	a.skip = p.rng.IntN(point.skips + 1)
	if point.buffered && p.coin() {
		a.fact += " flushed"
	}
	return a
}

// firstDeath leaves for the second worker what the point is about.
func (p *planner) firstDeath(id volume.CommandID, step string) *arming {
	return &arming{places: []string{"afterStore"}, fact: step + " " + string(id)}
}

// request makes a command that the state machine accepts in the right state.
func (p *planner) request(verb volume.Verb) ask {
	p.serial++
	request := commands.Request{Key: p.key, Verb: verb, ID: volume.CommandID(fmt.Sprintf("%s/%d", verb, p.serial)), Actor: "killmatrix"}
	switch verb {
	case volume.VerbCreate:
		if request.Args.Source = p.source; !p.source.IsZero() {
			break // it has the size of its source
		}
		p.size = volume.Bytes(1+p.rng.IntN(8)) * volume.MiB
		request.Args.Size = p.size
	case volume.VerbSnapshot:
		p.snapshot = volume.SnapshotName(fmt.Sprintf("s-%d", p.serial))
		request.Args.Snapshot = p.snapshot
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		request.Args.Snapshot = p.snapshot
	case volume.VerbResize:
		p.size += volume.Bytes(1+p.rng.IntN(8)) * volume.MiB
		request.Args.Size = p.size
	case volume.VerbAttach:
		p.node++
		request.Args.Node = volume.Node(fmt.Sprintf("node-%d", p.node%nodes))
		request.Args.Mode = volume.ReadWrite
		if p.shared || p.coin() {
			request.Args.Mode = volume.ReadOnly
		}
	case volume.VerbDetach:
		if p.shared {
			request.Args.Node = volume.Node(fmt.Sprintf("node-%d", p.node%nodes))
		}
	case volume.VerbNodeGone:
		request.Args.Node, request.Args.Reason = volume.Node(fmt.Sprintf("node-%d", p.node%nodes)), "a drill"
	default:
	}
	return ask{Request: request, kind: verify.Ordinary}
}

// refusal makes a command that is refused whatever the state. The verbs are those that it
// may have besides: a refused reconcile has made its worker the owner of a volume at rest,
// and so reaches points that other refusals do not.
func (p *planner) refusal(verbs ...volume.Verb) ask {
	a := p.request(p.oneOf(append(verbs, volume.VerbDelete, volume.VerbAttach, volume.VerbDetach)...))
	generation := uint64(never)
	a.IfGeneration = &generation
	return a
}

func (p *planner) cancel(target ask) ask {
	a := p.request(volume.VerbCancel)
	a.afterFailure = true
	if p.coin() {
		a.Args.Target = target.ID
	}
	return a
}

// malformed are payloads that no worker can read as a create.
var malformedPayloads = []string{`{`, `[]`, `{"size":"0"}`, `{"size":"1GiB","colour":"red"}`, "\x00", `{"size":-5}`}

// command makes the one in whose course the worker dies.
func (p *planner) command(sofar plan) ask {
	switch p.cell.column.name {
	case refused:
		if p.cell.point.name == "" { // a trial without a kill; see refusal
			return p.refusal()
		}
		return p.refusal(volume.VerbReconcile)
	case unknown:
		return p.request(p.oneOf(volume.VerbDelete, volume.VerbAttach, volume.VerbDetach, volume.VerbReconcile))
	case malformed:
		a := p.request(volume.VerbCreate)
		a.kind, a.payload = verify.Malformed, []byte(malformedPayloads[p.rng.IntN(len(malformedPayloads))])
		return a
	case repeated:
		return sofar.prepare[p.rng.IntN(len(sofar.prepare))]
	case string(volume.VerbCancel):
		return p.cancel(sofar.lead[0])
	case inUse:
		return p.request(volume.VerbDeleteSnapshot)
	default:
		a := p.request(p.cell.column.verb)
		a.tampers = p.cell.column.tampers
		switch p.cell.column.name {
		case believed:
			a.Args.Believe = volume.BelieveBackend
		case adoptImage: // of its first life
			a.Args.Image = volume.ReleasedImage(volume.NewID(p.key, 1))
		}
		return a
	}
}
