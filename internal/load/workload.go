package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// nodes are few, so that attaches meet each other.
var nodes = []volume.Node{"node-1", "node-2", "node-3"}

// fitting are the verbs that a volume in the state takes, the likelier ones more than
// once. The state that a client knows may be old, so that even they are refused at times.
var fitting = map[volume.State][]volume.Verb{
	"":                    {volume.VerbCreate},
	volume.StatePending:   {volume.VerbCreate, volume.VerbReconcile, volume.VerbDelete},
	volume.StateDeleted:   {volume.VerbCreate},
	volume.StateAvailable: {volume.VerbAttach, volume.VerbAttach, volume.VerbResize, volume.VerbDelete, volume.VerbReconcile},
	volume.StateAttached:  {volume.VerbDetach, volume.VerbDetach, volume.VerbAttach, volume.VerbAttach, volume.VerbResize, volume.VerbReconcile},
	volume.StateError:     {volume.VerbReconcile, volume.VerbDelete, volume.VerbNodeGone},
}

// unfitting are all verbs that need no target.
var unfitting = []volume.Verb{
	volume.VerbCreate, volume.VerbDelete, volume.VerbAttach, volume.VerbDetach, volume.VerbResize, volume.VerbReconcile,
	volume.VerbNodeGone,
}

// workload makes up the requests of one client.
type workload struct {
	rng     *rand.Rand
	project volume.Project
	client  int
	volumes int
	serial  int
}

// percent reports true in p of 100 cases.
func (w *workload) percent(p int) bool { return w.rng.IntN(100) < p }

// key picks a volume. Low numbers are picked more often: they are the contended ones.
func (w *workload) key() volume.Key {
	where := w.rng.Float64()
	return volume.Key{Project: w.project, Name: volume.Name(fmt.Sprintf("vol-%02d", int(where*where*float64(w.volumes))))}
}

func (w *workload) id() volume.CommandID {
	w.serial++
	return volume.CommandID(fmt.Sprintf("client-%02d/%06d", w.client, w.serial))
}

// next makes up a command for the volume in the state, which may be outdated.
func (w *workload) next(key volume.Key, state volume.State) commands.Request {
	verbs := fitting[state]
	if len(verbs) == 0 || w.percent(25) {
		verbs = unfitting
	}
	request := commands.Request{
		ID:    w.id(),
		Key:   key,
		Verb:  verbs[w.rng.IntN(len(verbs))],
		Actor: fmt.Sprintf("client-%02d", w.client),
	}
	request.Args = w.args(request.Verb)
	if w.percent(4) {
		request.Preconditions = w.unmet()
	}
	return request
}

func (w *workload) args(verb volume.Verb) volume.Args {
	var args volume.Args
	switch verb {
	case volume.VerbCreate:
		args.Size = volume.Bytes(1+w.rng.IntN(16)) * volume.MiB
		if w.percent(30) {
			args.Labels = volume.Labels{"client": fmt.Sprint(w.client)}
		}
	case volume.VerbResize: // at times not larger, which is refused
		args.Size = volume.Bytes(1+w.rng.IntN(256)) * volume.MiB
	case volume.VerbAttach:
		args.Node, args.Mode = w.node(), volume.ReadWrite
		if w.percent(60) { // beside others that read, one more is taken
			args.Mode = volume.ReadOnly
		}
	case volume.VerbNodeGone: // often one that holds nothing
		args.Node, args.Reason = w.node(), "a drill"
	case volume.VerbDetach:
		if w.percent(50) { // at times the wrong one, which is refused; else there may be several
			args.Node = w.node()
		}
	default:
	}
	return args
}

func (w *workload) node() volume.Node { return nodes[w.rng.IntN(len(nodes))] }

// never is a generation that no volume reaches.
const never = 1 << 40

// unmet are preconditions that do not hold.
func (w *workload) unmet() volume.Preconditions {
	generation := uint64(never)
	return []volume.Preconditions{
		{IfState: volume.StateDetachingFailed},
		{IfGeneration: &generation},
		{Deadline: time.Now().Add(-time.Minute).UTC()},
	}[w.rng.IntN(3)]
}

// cancel makes up a cancel of a command under way, by its ID or of whatever runs.
func (w *workload) cancel(target commands.Request) commands.Request {
	request := commands.Request{ID: w.id(), Key: target.Key, Verb: volume.VerbCancel}
	if w.percent(70) {
		request.Args.Target = target.ID
	}
	return request
}

// other makes up another command under the ID of the first one.
func (w *workload) other(first commands.Request) commands.Request {
	other := first
	if first.Verb != volume.VerbReconcile && w.percent(50) {
		other.Verb, other.Args = volume.VerbReconcile, volume.Args{}
		return other
	}
	generation := uint64(never) + 1
	other.IfGeneration = &generation
	return other
}

// malformed are payloads of a create that no worker can read.
var malformed = []string{
	`{`, `[]`, `{}`, `{"size":"0"}`, `{"size":-5}`, `{"size":"1e3GB"}`, `{"size":"1GiB","colour":"red"}`, "{\"size\":\"\xff\"}",
}

func (w *workload) malformed() []byte { return []byte(malformed[w.rng.IntN(len(malformed))]) }
