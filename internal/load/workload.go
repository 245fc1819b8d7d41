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

// snapshotNames are few, so that each is made, deleted and made again.
var snapshotNames = []volume.SnapshotName{"monday", "tuesday", "friday"}

// Verbs that a volume takes while it is available or attached.
var (
	idle = []volume.Verb{
		volume.VerbAttach, volume.VerbAttach, volume.VerbAttach, volume.VerbResize, volume.VerbDelete, volume.VerbDelete, volume.VerbReconcile,
		volume.VerbSnapshot, volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore, volume.VerbFlatten,
		volume.VerbUnmanage,
	}
	held = []volume.Verb{
		volume.VerbDetach, volume.VerbDetach, volume.VerbDetach, volume.VerbAttach, volume.VerbAttach, volume.VerbResize, volume.VerbReconcile,
		volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbFlatten,
	}
)

// fitting are the verbs that a volume in the state takes, the likelier ones more than
// once. The state that a client knows may be old, so that even they are refused at times.
var fitting = map[volume.State][]volume.Verb{
	"":                    {volume.VerbCreate},
	volume.StatePending:   {volume.VerbCreate, volume.VerbReconcile, volume.VerbDelete},
	volume.StateDeleted:   {volume.VerbCreate},
	volume.StateAvailable: idle,
	volume.StateAttached:  held,
	volume.StateError:     {volume.VerbReconcile, volume.VerbDelete, volume.VerbNodeGone},
}

// unfitting are all verbs that need no target.
var unfitting = []volume.Verb{
	volume.VerbCreate, volume.VerbDelete, volume.VerbAttach, volume.VerbDetach, volume.VerbResize, volume.VerbReconcile,
	volume.VerbNodeGone, volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore, volume.VerbFlatten, volume.VerbAdopt,
	volume.VerbUnmanage,
}

// workload makes up the requests of one client.
type workload struct {
	rng      *rand.Rand
	projects []volume.Project
	client   int
	volumes  int
	serial   int
}

// percent reports true in p of 100 cases.
func (w *workload) percent(p int) bool { return w.rng.IntN(100) < p }

// key picks a volume. Low numbers are picked more often: they are the contended ones.
func (w *workload) key() volume.Key {
	where := w.rng.Float64()
	number := int(where * where * float64(w.volumes))
	return volume.Key{Project: w.projects[number%len(w.projects)], Name: volume.Name(fmt.Sprintf("vol-%02d", number))}
}

func (w *workload) id() volume.CommandID {
	w.serial++
	return volume.CommandID(fmt.Sprintf("client-%02d/%06d", w.client, w.serial))
}

// next makes up a command for the volume by what is known of it, which may be outdated.
func (w *workload) next(key volume.Key, seen sight) commands.Request {
	verbs := fitting[seen.state]
	if len(verbs) == 0 || w.percent(25) {
		verbs = unfitting
	}
	request := commands.Request{
		ID:    w.id(),
		Key:   key,
		Verb:  verbs[w.rng.IntN(len(verbs))],
		Actor: fmt.Sprintf("client-%02d", w.client),
	}
	request.Args = w.args(request.Verb, seen)
	if w.percent(4) {
		request.Preconditions = w.unmet()
	}
	return request
}

func (w *workload) args(verb volume.Verb, seen sight) volume.Args {
	var args volume.Args
	switch verb {
	case volume.VerbCreate:
		args = w.create(seen.source)
	case volume.VerbResize: // at times not larger, which is refused
		args.Size = volume.Bytes(1+w.rng.IntN(256)) * volume.MiB
	case volume.VerbAttach:
		args.Node, args.Mode = w.node(), volume.ReadWrite
		if w.percent(60) { // beside others that read, one more is taken
			args.Mode = volume.ReadOnly
		}
	case volume.VerbSnapshot: // at times of a name that is taken
		args.Snapshot = snapshotNames[w.rng.IntN(len(snapshotNames))]
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		args.Snapshot = seen.kept
		if seen.kept == "" || w.percent(10) {
			args.Snapshot = snapshotNames[w.rng.IntN(len(snapshotNames))]
		}
	case volume.VerbReconcile:
		if w.percent(30) {
			args.Believe = volume.BelieveBackend
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

// create makes an empty volume, or a clone if there is something to clone.
func (w *workload) create(source volume.SnapshotKey) volume.Args {
	args := volume.Args{Size: volume.Bytes(1+w.rng.IntN(16)) * volume.MiB}
	if !source.IsZero() && w.percent(50) {
		args.Source, args.ReadOnly = source, w.percent(20)
		if w.percent(80) { // else it may be too small, which is refused
			args.Size = 0
		}
	}
	if w.percent(30) {
		args.Labels = volume.Labels{"client": fmt.Sprint(w.client)}
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
