package verify

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// history makes the evidence of a clean run by letting the real state machine decide on
// commands for one volume, one after another.
type history struct {
	t        *testing.T
	now      time.Time
	sequence uint64
	record   volume.Record
	object   *backends.Object
	kept     []backends.Snapshot
	entries  []Entry
	evidence Evidence
}

var db01 = volume.Key{Project: "default", Name: "db-01"}

func newHistory(t *testing.T) *history { return historyOf(t, db01) }

func historyOf(t *testing.T, key volume.Key) *history {
	return &history{
		t:      t,
		now:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		record: volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, State: volume.StatePending},
		evidence: Evidence{
			Records:     map[volume.Key]volume.Record{},
			Outcomes:    map[volume.Key][]volume.Outcome{},
			DeadLetters: map[volume.CommandID]int{},
			Files: Files{
				Data:      map[volume.Key]volume.Bytes{},
				Snapshots: map[volume.Key]map[volume.SnapshotName]volume.Bytes{},
				Parents:   map[volume.Key]volume.SnapshotKey{},
			},
			Snapshots: map[volume.Key][]backends.Snapshot{},
		},
	}
}

func (h *history) tick() time.Time {
	h.now = h.now.Add(time.Second)
	return h.now
}

// command gives one command and carries it out to its end.
func (h *history) command(id volume.CommandID, verb volume.Verb, args volume.Args) {
	h.t.Helper()
	h.sequence++
	command := h.request(id, verb, args)
	decision, err := fsm.Decide(h.record, command, h.tick())
	if _, rejected := errors.AsType[*fsm.RejectedError](err); rejected {
		decision = fsm.Reject(h.record, command, err, h.now)
	} else if err != nil {
		h.t.Fatal(err)
	}
	if decision.Action == fsm.ActionObserve {
		decision = h.look(command)
	}
	h.commit(decision)
	for step := fsm.NextStep(h.record); step.Kind == fsm.StepAct; step = fsm.NextStep(h.record) {
		attachment := h.act(step.Action)
		if step.Action == fsm.ActionEvict {
			decision, err = fsm.Evicted(h.record, h.seen(), h.tick())
		} else {
			decision, err = fsm.Succeed(h.record, attachment, h.tick())
		}
		if err != nil {
			h.t.Fatal(err)
		}
		h.commit(decision)
	}
	h.answer(id, verb, decision)
}

// request makes a command as a worker decides on it.
func (h *history) request(id volume.CommandID, verb volume.Verb, args volume.Args) volume.Command {
	command := volume.Command{
		ID: id, Key: h.record.Key, Verb: verb, Args: args, Backend: "local", SourceSize: h.sourceSize(verb, args), Sequence: h.sequence,
	}
	if command.TakesImage() {
		command.Plan = &volume.Plan{Size: volume.MiB}
	}
	return command
}

// cancelled ends the operation that args begin by a cancel, with the step done already.
func (h *history) cancelled(id, by volume.CommandID, verb volume.Verb, args volume.Args) {
	h.t.Helper()
	h.sequence++
	decision, err := fsm.Decide(h.record, h.request(id, verb, args), h.tick())
	h.must(decision, err)
	h.act(fsm.NextStep(h.record).Action)
	h.must(fsm.Fail(h.record, volume.Errorf(volume.ErrCancelled, "cancelled by command %s", by), fsm.DefaultRetryPolicy(), h.tick()))
	decision, err = fsm.Settle(h.record, h.seen(), h.tick())
	h.must(decision, err)
	h.answer(id, verb, decision)
	h.command(by, volume.VerbCancel, volume.Args{Target: id})
}

// answer has the command answered with the decision's outcome.
func (h *history) answer(id volume.CommandID, verb volume.Verb, decision fsm.Decision) {
	h.evidence.Commands = append(h.evidence.Commands, Command{
		Key: h.record.Key, ID: id, Verb: verb, Kind: Ordinary, Asked: 1,
		Answers: []commands.Reply{commands.NewReply(h.record.Key, *decision.Outcome, false)},
	})
}

func (h *history) seen() fsm.Observation {
	count := len(h.kept)
	if h.object == nil {
		return fsm.Observation{}
	}
	return fsm.Observation{Present: true, Size: h.object.Size, Attachments: h.object.Attachments, Snapshots: &count}
}

func (h *history) must(decision fsm.Decision, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	h.commit(decision)
}

func (h *history) commit(decision fsm.Decision) {
	h.record = decision.Record
	if decision.Transition != nil {
		h.evidence.Transitions = append(h.evidence.Transitions, *decision.Transition)
	}
	h.record.Outbox = nil
}

// act does to the backend what the record's operation wants, and journals it.
func (h *history) act(action fsm.Action) *volume.Attachment {
	args := h.record.Op.Args
	effect := Effect{Time: h.tick(), Change: action, ID: h.record.ID}
	switch action {
	case fsm.ActionCreate:
		h.object = &backends.Object{Ref: backends.Ref{Key: h.record.Key, ID: h.record.ID}, Size: args.Size}
		h.object.Size, effect.Size, effect.Source = h.record.Size, h.record.Size, args.Source
		h.enterClone()
	case fsm.ActionImport:
		h.object = &backends.Object{Ref: backends.Ref{Key: h.record.Key, ID: h.record.ID}, Size: h.record.Size}
		effect.Size = h.record.Size
	case fsm.ActionResize:
		h.object.Size = args.Size
		effect.Size = args.Size
	case fsm.ActionAttach:
		h.object.Attachments = h.object.Attachments.With(volume.Attachment{Node: args.Node, Mode: args.Mode})
		effect.Node = args.Node
	case fsm.ActionDetach:
		effect.Node = fsm.DetachNode(h.record)
		h.object.Attachments = h.object.Attachments.Without(effect.Node)
	case fsm.ActionEvict:
		if _, held := h.object.Attachments.Of(args.Node); !held {
			return nil
		}
		effect.Node = args.Node
		h.object.Attachments = h.object.Attachments.Without(args.Node)
	case fsm.ActionDelete, fsm.ActionRelease:
		h.object, h.entries = nil, nil
	case fsm.ActionFlatten:
		h.cut()
		return nil
	default:
		h.keep(action, &effect)
	}
	h.evidence.Effects = append(h.evidence.Effects, effect)
	if action != fsm.ActionAttach {
		return nil
	}
	attachment, _ := h.object.Attachments.Of(args.Node)
	return &attachment
}

// rest closes the history. Half of the answers have moved to the bucket of outcomes.
func (h *history) rest() Evidence {
	half := len(h.record.Outcomes) / 2
	h.evidence.Outcomes[h.record.Key] = slices.Clone(h.record.Outcomes[:half+1]) // one is in both places
	h.record.Outcomes = h.record.Outcomes[half:]
	h.record.Outbox = []volume.Transition{h.evidence.Transitions[len(h.evidence.Transitions)-1]}
	h.evidence.Records[h.record.Key] = h.record
	if h.object != nil {
		h.restSnapshots()
		h.evidence.Objects = []backends.Object{*h.object}
		h.evidence.Files.Data[h.record.Key] = h.object.Size
	}
	return h.evidence
}

// cleanRun has every kind of command in it.
func cleanRun(t *testing.T) Evidence {
	h := newHistory(t)
	h.command("c1", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}) // rejected: no such volume
	h.command("c2", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.command("c3", volume.VerbDelete, volume.Args{})
	h.command("c4", volume.VerbCreate, volume.Args{Size: 2 * volume.MiB})
	h.command("g1", volume.VerbAttach, volume.Args{Node: "n3", Mode: volume.ReadOnly})
	h.command("g2", volume.VerbAttach, volume.Args{Node: "n4", Mode: volume.ReadOnly})
	h.command("g3", volume.VerbNodeGone, volume.Args{Node: "n3", Reason: "lost power"})
	h.command("g4", volume.VerbNodeGone, volume.Args{Node: "n3", Reason: "lost power"}) // holds nothing
	h.command("g5", volume.VerbNodeGone, volume.Args{Node: "n4", Reason: "lost power"})
	h.cancelled("c5", "c6", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadOnly})
	h.command("c7", volume.VerbDetach, volume.Args{})
	h.command("c8", volume.VerbAttach, volume.Args{Node: "n2", Mode: volume.ReadWrite})
	h.command("c9", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}) // rejected: attached
	h.command("c10", volume.VerbResize, volume.Args{Size: 3 * volume.MiB})
	e := h.rest()
	e.Commands[1].repeat()
	e.Commands[1].reuse(volume.ErrCommandIDReused)
	for _, id := range []volume.CommandID{"c6", "c8"} { // nobody waited for these
		c := e.command(id)
		c.Accepted, c.Asked, c.Answers = true, 0, nil
	}
	refusal := volume.NewFailure(volume.Errorf(volume.ErrUnknownField, "field %q", "colour"))
	e.DeadLetters["m1"] = 1
	e.Commands = append(e.Commands,
		Command{Key: db01, ID: "m1", Verb: volume.VerbCreate, Kind: Malformed, Asked: 1, Answers: []commands.Reply{
			{CommandID: "m1", Outcome: volume.Rejected, Failure: refusal},
		}},
		Command{Key: db01, ID: "v1", Verb: volume.VerbDelete, Kind: ValidateOnly, Asked: 1, Answers: []commands.Reply{
			{CommandID: "v1", Outcome: volume.Valid},
		}})
	return e
}

// sharedRun ends with a volume that two nodes read, of three.
func sharedRun(t *testing.T) Evidence {
	h := newHistory(t)
	reader := func(node volume.Node) volume.Args { return volume.Args{Node: node, Mode: volume.ReadOnly} }
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.command("c2", volume.VerbAttach, reader("n2"))
	h.command("c3", volume.VerbAttach, reader("n3"))
	h.command("c4", volume.VerbAttach, reader("n1"))
	h.command("c5", volume.VerbAttach, volume.Args{Node: "n4", Mode: volume.ReadWrite}) // rejected: others read
	h.command("c6", volume.VerbDetach, volume.Args{})                                   // rejected: which one?
	h.command("c7", volume.VerbDetach, volume.Args{Node: "n3"})
	h.command("c8", volume.VerbResize, volume.Args{Size: 2 * volume.MiB})
	return h.rest()
}

func (c *Command) repeat() {
	again := c.Answers[0]
	again.Repeat = true
	c.Asked++
	c.Answers = append(c.Answers, again)
}

func (c *Command) reuse(code volume.Code) {
	c.Reused++
	c.Reuses = append(c.Reuses, commands.Reply{CommandID: c.ID, Outcome: volume.Rejected, Failure: &volume.Failure{Code: code}})
}

// command returns the command with the ID, to be changed.
func (e *Evidence) command(id volume.CommandID) *Command {
	for i := range e.Commands {
		if e.Commands[i].ID == id {
			return &e.Commands[i]
		}
	}
	panic(fmt.Sprintf("no command %s", id))
}

// event returns where the n-th event (0, 1, …) of the command stands.
func (e *Evidence) event(id volume.CommandID, n int) int {
	for i, t := range e.Transitions {
		if t.CommandID == id {
			if n == 0 {
				return i
			}
			n--
		}
	}
	panic(fmt.Sprintf("command %s: event not there", id))
}

// effect returns where the command's effect stands.
func (e *Evidence) effect(id volume.CommandID) int {
	begin := e.Transitions[e.event(id, 0)]
	for i, effect := range e.Effects {
		if effect.ID == begin.VolumeID && effect.Time.After(begin.Time) {
			return i
		}
	}
	panic(fmt.Sprintf("command %s: no effect", id))
}

// changeRecord changes the one record.
func (e *Evidence) changeRecord(change func(*volume.Record)) {
	record := e.Records[db01]
	change(&record)
	e.Records[db01] = record
}
