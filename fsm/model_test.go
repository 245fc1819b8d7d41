package fsm_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// model is a volume as its users understand it, and the backend as it is: far smaller
// than the machine, and written without it.
type model struct {
	state  volume.State // settled, or the verb that is under way
	exists bool         // there is a record that is not a tombstone
	size   volume.Bytes
	nodes  holders
	back   fsm.Observation
	chain
	// wanted are the nodes that should hold a volume of which the record says that others do.
	wanted []volume.Node
}

// accepts says whether a command is taken up, or with which code it is refused.
func (m *model) accepts(c volume.Command) volume.Code {
	switch {
	case c.Verb == volume.VerbCreate && m.exists && m.state != volume.StatePending:
		return volume.ErrVolumeExists
	case c.TakesImage() && (!m.exists || m.state == volume.StatePending):
		return acceptsImage(c.Args)
	case c.Verb == volume.VerbAdopt && m.exists:
		return volume.ErrVolumeExists
	case c.Verb == volume.VerbAdopt:
		return m.acceptsAdopting(c.Args)
	case c.Verb == volume.VerbCreate:
		return acceptsMaking(c.Args)
	case !m.exists:
		return volume.ErrVolumeNotFound
	case c.Verb == volume.VerbReconcile:
		return ""
	}
	allowed := map[volume.Verb][]volume.State{
		volume.VerbDelete: {volume.StateAvailable, volume.StatePending, volume.StateError},
		volume.VerbAttach: {volume.StateAvailable, volume.StateAttached},
		volume.VerbDetach: {volume.StateAttached},
		volume.VerbResize: {volume.StateAvailable, volume.StateAttached},

		volume.VerbNodeGone: {volume.StateAvailable, volume.StateAttached, volume.StateError},

		volume.VerbSnapshot:       {volume.StateAvailable, volume.StateAttached},
		volume.VerbDeleteSnapshot: {volume.StateAvailable, volume.StateAttached},
		volume.VerbRestore:        {volume.StateAvailable},
		volume.VerbFlatten:        {volume.StateAvailable, volume.StateAttached},

		volume.VerbUnmanage: {volume.StateAvailable},
	}
	for _, state := range allowed[c.Verb] {
		if m.state == state {
			return m.acceptsArguments(c)
		}
	}
	return volume.ErrInvalidTransition
}

func (m *model) acceptsArguments(c volume.Command) volume.Code {
	_, held := m.nodes[c.Args.Node]
	if c.Verb == volume.VerbAttach && m.state == volume.StateAttached && !m.nodes.sharedWith(c.Args.Node, c.Args.Mode) {
		return volume.ErrInvalidTransition
	}
	if code := m.chain.accepts(c); code != "" {
		return code
	}
	switch {
	case c.Verb == volume.VerbResize && c.Args.Size <= m.size:
		return volume.ErrInvalidSize
	case c.Verb == volume.VerbNodeGone && c.Args.Reason == "":
		return volume.ErrInvalidArgument
	case c.Verb == volume.VerbDetach && c.Args.Node == "" && len(m.nodes) > 1:
		return volume.ErrNodeRequired
	case c.Verb == volume.VerbDetach && c.Args.Node != "" && !held:
		return volume.ErrNodeMismatch
	}
	return ""
}

// act does to the backend what the operation asks for.
func (m *model) act(op *volume.Op) {
	switch op.Verb {
	case volume.VerbCreate, volume.VerbAdopt:
		m.back.Present, m.back.Size = true, sizeOf(op.Args)
	case volume.VerbDelete, volume.VerbUnmanage:
		m.back, m.kept = absent, nil
	case volume.VerbRestore:
		m.back.Present, m.back.Size = true, keptSize
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot:
		m.actOnSnapshot(op)
	case volume.VerbAttach:
		m.back.Present = true
		m.back.Attachments = m.back.Attachments.With(*onAs(op.Args.Node, op.Args.Mode))
	case volume.VerbDetach:
		m.back.Present = true
		m.back.Attachments = m.back.Attachments.Without(m.leaving(op))
	case volume.VerbResize:
		m.back.Present, m.back.Size = true, op.Args.Size
	case volume.VerbNodeGone:
		m.back.Attachments = m.back.Attachments.Without(op.Args.Node)
	default: // the others do nothing
	}
}

// done is the end of an operation that succeeded.
func (m *model) done(op *volume.Op) {
	switch op.Verb {
	case volume.VerbCreate, volume.VerbAdopt:
		m.state, m.size = volume.StateAvailable, sizeOf(op.Args)
	case volume.VerbDelete, volume.VerbUnmanage:
		m.state, m.exists, m.nodes = volume.StateDeleted, false, holders{}
	case volume.VerbAttach:
		m.nodes[op.Args.Node] = op.Args.Mode
		if op.Args.Mode == volume.ReadWrite {
			m.wanted = nil
		}
		m.rest()
	case volume.VerbDetach:
		delete(m.nodes, m.leaving(op))
		m.rest()
	case volume.VerbNodeGone:
		m.wanted = nil
		m.believe(volume.StateError)
	case volume.VerbResize:
		m.size = op.Args.Size
		m.rest()
	default:
		m.doneChain(op)
		m.rest()
	}
}

// rest is the state of a volume that is there.
func (m *model) rest() {
	m.state = volume.StateAvailable
	if len(m.nodes) > 0 {
		m.state = volume.StateAttached
	}
}

// believe is the state that the backend's view makes of a broken, unknown or cancelled
// volume; ifAbsent is for when it has nothing.
func (m *model) believe(ifAbsent volume.State) {
	m.recount(ifAbsent)
	if !m.back.Present {
		m.state = ifAbsent
		if ifAbsent != volume.StateError {
			m.nodes = holders{}
		}
		m.exists = ifAbsent != volume.StateDeleted
		return
	}
	m.size, m.nodes = m.back.Size, holdersOf(m.back.Attachments)
	m.rest()
}

// settle is the end of an operation that was cancelled.
func (m *model) settle(verb volume.Verb, node volume.Node) {
	ifAbsent := map[volume.Verb]volume.State{
		volume.VerbCreate: volume.StatePending, volume.VerbAdopt: volume.StatePending,
		volume.VerbDelete: volume.StateDeleted, volume.VerbUnmanage: volume.StateDeleted,
	}
	if verb == volume.VerbAttach && m.strange(append(m.nodes.names(), node)) {
		m.state, m.wanted = volume.StateError, append(m.nodes.names(), node)
		return
	}
	state, ok := ifAbsent[verb]
	if !ok {
		state = volume.StateError
	}
	m.believe(state)
}

// world is the machine, the model and the checker of one run.
type world struct {
	*story
	model model
	check *checker
	rt    *rapid.T
}

// note checks a decision.
func (w *world) note(d fsm.Decision) {
	if err := w.check.check(d); err != nil {
		w.rt.Fatal(err)
	}
	if op := w.record.Op; op == nil {
		w.compare()
	} else if op.Attempt > w.policy.MaxAttempts {
		w.rt.Fatalf("attempt %d of at most %d", op.Attempt, w.policy.MaxAttempts)
	}
}

// compare holds the settled record against the model.
func (w *world) compare() {
	m, nodes := w.model, holdersOf(w.record.Attachments)
	if w.record.State != m.state || w.record.Exists() != m.exists || m.exists && (w.record.Size != m.size || !maps.Equal(nodes, m.nodes)) {
		w.rt.Fatalf("got %s of %s on %v, want %s of %s on %v", w.record.State, w.record.Size, nodes, m.state, m.size, m.nodes)
	}
	if err := m.chain.compare(w.record); err != nil {
		w.rt.Fatal(err)
	}
}

// command takes up a random command, in whatever state the volume is.
func (w *world) command(rt *rapid.T) {
	command := w.story.command(rapid.SampledFrom(slices.Concat(volume.Verbs()[:6], volume.Verbs()[7:])).Draw(rt, "verb"), volume.Args{
		Size:   volume.Bytes(rapid.Int64Range(0, 4).Draw(rt, "size")) * volume.GiB,
		Node:   rapid.SampledFrom([]volume.Node{"n1", "n2", "n3"}).Draw(rt, "node"),
		Mode:   rapid.SampledFrom([]volume.Mode{volume.ReadWrite, volume.ReadOnly, volume.ReadOnly}).Draw(rt, "mode"),
		Reason: rapid.SampledFrom([]string{"", "lost power", "lost power"}).Draw(rt, "reason"),
	})
	if command.Verb == volume.VerbDetach && rapid.Bool().Draw(rt, "whoever has it") {
		command.Args.Node = ""
	}
	command = w.aboutSnapshots(rt, w.aboutDrift(rt, command))
	want := w.model.accepts(command)
	busy := w.record.Op != nil
	decision, err := w.decide(command)
	if err == nil && decision.Action == fsm.ActionObserve {
		w.countKept(rt)
		decision, err = w.look(command)
	}
	if got := volume.CodeOf(err); !busy && (want == "") != (err == nil) || !busy && err != nil && got != want || busy && err == nil {
		rt.Fatalf("%s in %s: got %v, want %q", command.Verb, w.record.State, err, want)
	}
	if err != nil {
		w.note(w.reject(command, err))
		return
	}
	if command.Verb == volume.VerbCreate || command.TakesImage() {
		w.model.wanted = nil
		w.model.exists, w.model.size, w.model.nodes = true, sizeOf(command.Args), holders{}
		w.model.chain = chain{source: command.Args.Source, view: command.Args.ReadOnly, kept: w.model.kept}
	}
	w.note(decision)
}

// proceed takes the next step of the operation, with a backend that may fail before or
// after it did what it was asked.
func (w *world) proceed(rt *rapid.T) {
	op := w.record.Op
	switch fsm.NextStep(w.record).Kind {
	case fsm.StepNone:
		rt.Skip("nothing is under way")
	case fsm.StepAct:
		w.act(rt)
	case fsm.StepWait:
		if rapid.IntRange(0, 3).Draw(rt, "cancelled") == 0 {
			w.record = fsm.Cancel(w.record, errCancel)
			return
		}
		w.note(w.retry())
	case fsm.StepSettle:
		w.countKept(rt)
		w.model.settle(op.Verb, op.Args.Node)
		w.note(w.settle(w.model.back))
	case fsm.StepGiveUp:
		w.model.giveUp(op)
		w.note(w.giveUp())
	}
}

func (w *world) act(rt *rapid.T) {
	op := w.record.Op
	if op.Verb == volume.VerbAttach && !w.model.takes(op) {
		w.note(w.fail(errHeld))
		return
	}
	w.getOn(rt)
	answer := rapid.SampledFrom([]error{nil, nil, errBusy, errBroken, errCancel}).Draw(rt, "answer")
	if op.Verb == volume.VerbNodeGone && answer == nil && !w.model.back.Present {
		answer = errBroken // there is nothing to evict from
	}
	if answer == nil || rapid.Bool().Draw(rt, "done all the same") {
		w.model.act(op)
	}
	if answer != nil {
		w.model.failed(op, answer)
		w.note(w.fail(answer))
		return
	}
	w.countKept(rt)
	w.model.done(op)
	if op.Verb == volume.VerbNodeGone {
		w.note(w.evicted(w.model.back))
		return
	}
	w.note(w.succeed())
}

// tamper changes the backend behind jetvol's back.
func (w *world) tamper(rt *rapid.T) {
	w.model.back = rapid.SampledFrom([]fsm.Observation{
		absent, anothers, present(volume.GiB, nil), present(2*volume.GiB, nil), present(volume.GiB, on("n2")), shared("n1", "n2"),
	}).Draw(rt, "backend has")
	w.model.kept = rapid.SampledFrom([][]volume.SnapshotName{nil, {"monday"}, {"monday", "tuesday"}}).Draw(rt, "it keeps")
	if !w.model.back.Present {
		w.model.kept = nil
	}
}

// cannotGetStuck holds in every state that was reached.
func (w *world) cannotGetStuck(rt *rapid.T) {
	if w.record.Op == nil {
		w.forget()
		return
	}
	ways := map[string]advance{
		"well":                follow(w.policy, nil, absent),
		"busy":                follow(w.policy, errBusy, absent),
		"broken":              follow(w.policy, errBroken, absent),
		"cancelled, absent":   follow(w.policy, errCancel, absent),
		"cancelled, detached": follow(w.policy, errCancel, present(volume.GiB, nil)),
		"cancelled, attached": follow(w.policy, errCancel, present(volume.GiB, on("n1"))),
		"cancelled, shared":   follow(w.policy, errCancel, shared("n1", "n2", "n3")),
	}
	for name, next := range ways {
		if err := checkEnds(w.record, w.policy, next); err != nil {
			rt.Fatalf("if the backend answers %s: %v", name, err)
		}
	}
}

// forget does what the worker does once events are published and answers spilled.
func (w *world) forget() {
	w.record.Outbox = nil
	if extra := len(w.record.Outcomes) - fsm.MaxOutcomes; extra > 0 {
		w.record.Outcomes = w.record.Outcomes[extra:]
	}
}

// TestModel runs random commands against random backends.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{story: newStory(rt), check: newChecker(), rt: rt, model: model{state: volume.StatePending, nodes: holders{}}}
		w.policy.MaxAttempts = rapid.IntRange(1, 4).Draw(rt, "max attempts")
		rt.Repeat(map[string]func(*rapid.T){
			"command": w.command,
			"proceed": w.proceed,
			"again":   w.proceed, // as often as commands, so that operations get on
			"tamper":  w.tamper,
			"":        w.cannotGetStuck,
		})
	})
}
