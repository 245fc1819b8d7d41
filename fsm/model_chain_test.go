package fsm_test

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// chain is what a model knows of snapshots and of the source: what the record should say,
// and what the backend keeps.
type chain struct {
	source volume.SnapshotKey
	view   bool
	count  int
	half   volume.SnapshotName
	kept   []volume.SnapshotName // by the backend
}

// sizeOf is the size of what a create makes.
func sizeOf(args volume.Args) volume.Bytes {
	switch {
	case args.Image != "":
		return imageSize
	case args.Size == 0 && !args.Source.IsZero():
		return keptSize
	}
	return args.Size
}

// acceptsImage says whether an adopt of an image is taken up.
func acceptsImage(args volume.Args) volume.Code {
	if args.ID != "" {
		return volume.ErrInvalidArgument
	}
	return ""
}

// acceptsMaking says whether a create is taken up.
func acceptsMaking(args volume.Args) volume.Code {
	isClone := !args.Source.IsZero()
	switch {
	case sizeOf(args) <= 0:
		return volume.ErrInvalidSize
	case args.ReadOnly && !isClone:
		return volume.ErrInvalidArgument
	case isClone && sizeOf(args) < keptSize, args.ReadOnly && sizeOf(args) != keptSize:
		return volume.ErrInvalidSize
	}
	return ""
}

// accepts says whether the chain stands in the way of a command that the state allows.
func (c *chain) accepts(command volume.Command) volume.Code {
	verb := command.Verb
	writes := verb == volume.VerbResize || verb == volume.VerbSnapshot
	switch {
	case (verb == volume.VerbDelete || verb == volume.VerbUnmanage) && c.count > 0:
		return volume.ErrHasSnapshots
	case verb == volume.VerbUnmanage && !c.source.IsZero():
		return volume.ErrIsAClone
	case c.view && (writes || verb == volume.VerbRestore):
		return volume.ErrReadOnlyVolume
	case verb == volume.VerbFlatten && c.source.IsZero():
		return volume.ErrNotAClone
	case c.half != "" && (writes || verb == volume.VerbAttach || verb == volume.VerbUnmanage):
		return volume.ErrHalfRestored
	case c.view && verb == volume.VerbAttach && command.Args.Mode != volume.ReadOnly:
		return volume.ErrReadOnlyVolume
	}
	return ""
}

// actOnSnapshot does to the backend what a snapshot or a delete of one asks for.
func (m *model) actOnSnapshot(op *volume.Op) {
	m.back.Present = true
	name := op.Args.Snapshot
	m.kept = slices.DeleteFunc(slices.Clone(m.kept), func(other volume.SnapshotName) bool { return other == name })
	if op.Verb == volume.VerbSnapshot {
		m.kept = append(m.kept, name)
	}
}

// doneChain is the end of an operation about snapshots that succeeded.
func (m *model) doneChain(op *volume.Op) {
	switch op.Verb {
	case volume.VerbSnapshot:
		m.count++
	case volume.VerbDeleteSnapshot:
		if m.count > 0 {
			m.count--
		}
	case volume.VerbRestore:
		m.size, m.half = keptSize, ""
	default: // flatten
		m.source = volume.SnapshotKey{}
	}
}

// failed is an attempt that failed: only a refusal says that a restore changed nothing.
func (m *model) failed(op *volume.Op, answer error) {
	if op.Verb == volume.VerbRestore && answer != errBusy {
		m.half = op.Args.Snapshot
	}
}

// giveUp is the end of an operation that failed too often.
func (m *model) giveUp(op *volume.Op) {
	m.state = volume.StateError
	if op.Verb == volume.VerbSnapshot || op.Verb == volume.VerbDeleteSnapshot || op.Verb == volume.VerbFlatten {
		m.rest()
	}
}

// recount takes over how many snapshots the backend keeps, if they were counted. A volume
// that is not there, and not broken for that, has none.
func (m *model) recount(ifAbsent volume.State) {
	switch {
	case m.back.Snapshots != nil:
		m.count = *m.back.Snapshots
	case !m.back.Present && ifAbsent != volume.StateError:
		m.count = 0
	}
}

func (c *chain) compare(record volume.Record) error {
	got := chain{source: record.Source, view: record.ReadOnly, count: record.Snapshots, half: record.HalfRestored}
	want := chain{source: c.source, view: c.view, count: c.count, half: c.half}
	if record.Exists() && fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("in %s: got %+v, want %+v", record.State, got, want)
	}
	return nil
}

// aboutSnapshots draws what the verbs of snapshots and clones need.
func (w *world) aboutSnapshots(rt *rapid.T, command volume.Command) volume.Command {
	args := command.Args
	switch command.Verb {
	case volume.VerbCreate:
		if rapid.Bool().Draw(rt, "clone") {
			args.Source = source
		}
		args.ReadOnly = rapid.IntRange(0, 3).Draw(rt, "view") == 0
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore:
		args.Snapshot = rapid.SampledFrom([]volume.SnapshotName{"monday", "tuesday"}).Draw(rt, "snapshot")
	default:
		return command
	}
	w.story.count--
	return w.story.command(command.Verb, args)
}

// countKept is whoever observes the backend counting its snapshots, or not.
func (w *world) countKept(rt *rapid.T) {
	w.model.back.Snapshots = nil
	if rapid.Bool().Draw(rt, "counted") {
		kept := len(w.model.kept)
		w.model.back.Snapshots = &kept
	}
}

// getOn lets a long operation tell how far it has come, or a worker take over in the middle.
func (w *world) getOn(rt *rapid.T) {
	op := w.record.Op
	if op.Verb != volume.VerbRestore && op.Verb != volume.VerbFlatten {
		return
	}
	done := rapid.Uint64Range(0, 2).Draw(rt, "done")
	switch rapid.SampledFrom([]string{"", "", "progress", "takeover"}).Draw(rt, "meanwhile") {
	case "progress":
		if op.Verb == volume.VerbRestore && done > 0 {
			w.model.half = op.Args.Snapshot
		}
		w.note(w.progress(volume.Progress{Done: done, Total: 2}))
	case "takeover":
		if op.Verb == volume.VerbRestore {
			w.model.half = op.Args.Snapshot
		}
		w.record = fsm.Interrupted(w.record)
	}
}
