package fsm_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// verdicts is what becomes of each verb in each state: the event that begins, or the
// code of the refusal. observe asks the backend first.
const verdicts = `
state               create         delete              attach              detach              resize              reconcile         node_gone
pending             create         volume_not_found    volume_not_found    volume_not_found    volume_not_found    volume_not_found  volume_not_found
creating            volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
creating_failed     volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
available           volume_exists  delete              attach              invalid_transition  extend              observe           evict
attaching           volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
attaching_failed    volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
attached            volume_exists  invalid_transition  invalid_transition  detach              extend              observe           evict
detaching           volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
detaching_failed    volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
deleting            volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
deleting_failed     volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
deleted             recreate       volume_not_found    volume_not_found    volume_not_found    volume_not_found    volume_not_found  volume_not_found
error               volume_exists  discard             invalid_transition  invalid_transition  invalid_transition  observe           evict
extending           volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
extending_failed    volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
evicting            volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
evicting_failed     volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
snapshotting        volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
snapshotting_failed volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
pruning             volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
pruning_failed      volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
restoring           volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
restoring_failed    volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
flattening          volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
flattening_failed   volume_exists  invalid_transition  invalid_transition  invalid_transition  invalid_transition  observe           invalid_transition
`

// snapshotVerdicts are those of the verbs that are about snapshots, for a clone.
const snapshotVerdicts = `
state               snapshot            delete_snapshot     restore             flatten
pending             volume_not_found    volume_not_found    volume_not_found    volume_not_found
creating            invalid_transition  invalid_transition  invalid_transition  invalid_transition
creating_failed     invalid_transition  invalid_transition  invalid_transition  invalid_transition
available           snapshot            prune               restore             flatten
attaching           invalid_transition  invalid_transition  invalid_transition  invalid_transition
attaching_failed    invalid_transition  invalid_transition  invalid_transition  invalid_transition
attached            snapshot            prune               invalid_transition  flatten
detaching           invalid_transition  invalid_transition  invalid_transition  invalid_transition
detaching_failed    invalid_transition  invalid_transition  invalid_transition  invalid_transition
deleting            invalid_transition  invalid_transition  invalid_transition  invalid_transition
deleting_failed     invalid_transition  invalid_transition  invalid_transition  invalid_transition
deleted             volume_not_found    volume_not_found    volume_not_found    volume_not_found
error               invalid_transition  invalid_transition  invalid_transition  invalid_transition
extending           invalid_transition  invalid_transition  invalid_transition  invalid_transition
extending_failed    invalid_transition  invalid_transition  invalid_transition  invalid_transition
evicting            invalid_transition  invalid_transition  invalid_transition  invalid_transition
evicting_failed     invalid_transition  invalid_transition  invalid_transition  invalid_transition
snapshotting        invalid_transition  invalid_transition  invalid_transition  invalid_transition
snapshotting_failed invalid_transition  invalid_transition  invalid_transition  invalid_transition
pruning             invalid_transition  invalid_transition  invalid_transition  invalid_transition
pruning_failed      invalid_transition  invalid_transition  invalid_transition  invalid_transition
restoring           invalid_transition  invalid_transition  invalid_transition  invalid_transition
restoring_failed    invalid_transition  invalid_transition  invalid_transition  invalid_transition
flattening          invalid_transition  invalid_transition  invalid_transition  invalid_transition
flattening_failed   invalid_transition  invalid_transition  invalid_transition  invalid_transition
`

func TestDecide_EveryVerbInEveryState(t *testing.T) {
	everyVerdict(t, verdicts, in)
	everyVerdict(t, snapshotVerdicts, cloneIn)
}

func everyVerdict(t *testing.T, table string, in func(testing.TB, volume.State) *story) {
	t.Helper()
	rows := strings.Split(strings.TrimSpace(table), "\n")
	verbs := strings.Fields(rows[0])[1:]
	if got, want := len(rows)-1, len(volume.States()); got != want {
		t.Fatalf("got %d rows, want %d", got, want)
	}
	for _, row := range rows[1:] {
		columns := strings.Fields(row)
		for i, verb := range verbs {
			t.Run(columns[0]+"/"+verb, func(t *testing.T) {
				s := in(t, volume.State(columns[0]))
				before := s.record
				decision, err := s.decide(s.usual(volume.Verb(verb)))
				if got := verdict(decision, err); got != columns[i+1] {
					t.Fatalf("got %s (%v), want %s", got, err, columns[i+1])
				}
				if (err != nil || decision.Action == fsm.ActionObserve) && !reflect.DeepEqual(withoutRoom(decision.Record), withoutRoom(before)) {
					t.Errorf("got another record without a transition: %#v", decision.Record)
				}
			})
		}
	}
}

func verdict(d fsm.Decision, err error) string {
	switch {
	case err != nil:
		return string(volume.CodeOf(err))
	case d.Transition == nil:
		return string(d.Action)
	default:
		return string(d.Transition.Event)
	}
}

func withoutRoom(r volume.Record) volume.Record {
	r.Outbox = append([]volume.Transition(nil), r.Outbox...)
	r.Outcomes = append([]volume.Outcome(nil), r.Outcomes...)
	return r
}

func TestDecide_UnknownVerb(t *testing.T) {
	s := in(t, volume.StateAvailable)
	if _, err := s.decide(s.command("explode", volume.Args{})); volume.CodeOf(err) != volume.ErrUnknownVerb {
		t.Errorf("got %v, want %v", err, volume.ErrUnknownVerb)
	}
}

func TestDecide_Begin_WritesWhatTheNextWorkerNeeds(t *testing.T) {
	s := in(t, volume.StateAvailable)
	command := s.usual(volume.VerbAttach)
	command.Deadline = epoch.Add(time.Hour)
	decision, err := s.decide(command)
	if err != nil {
		t.Fatal(err)
	}
	want := volume.Op{
		CommandID: command.ID, Digest: command.Digest(), Verb: command.Verb, Args: command.Args, Actor: "alice",
		Sequence: command.Sequence, TraceParent: command.TraceParent, Deadline: command.Deadline, StartedAt: s.now, Attempt: 1,
	}
	if !reflect.DeepEqual(*decision.Record.Op, want) {
		t.Errorf("got op %+v, want %+v", *decision.Record.Op, want)
	}
	if decision.Action != fsm.ActionAttach || decision.Outcome != nil || !decision.Stores() {
		t.Errorf("got action %q, outcome %v, stores %v", decision.Action, decision.Outcome, decision.Stores())
	}
	if r := decision.Record; r.CommandSequence != command.Sequence || r.UpdatedAt != s.now || r.SchemaVersion != volume.SchemaVersion {
		t.Errorf("got record %#v", r)
	}
}

// TestDecide_Transition_TellsAll pins requirement A7's fields of an event.
func TestDecide_Transition_TellsAll(t *testing.T) {
	s := newStory(t)
	command := s.usual(volume.VerbCreate)
	decision, err := s.decide(command)
	if err != nil {
		t.Fatal(err)
	}
	want := volume.Transition{
		ID: "default.db-01/1", Key: dbKey, VolumeID: "default.db-01.1", Event: "create", From: "pending", To: "creating",
		Generation: 1, CommandID: command.ID, CommandDigest: command.Digest(), CommandSequence: 10, Verb: "create", Actor: "alice", Attempt: 1,
		Time: s.now, TraceParent: command.TraceParent,
		Spec: volume.Spec{Size: volume.GiB, Backend: "local", Labels: volume.Labels{"team": "db"}},
	}
	if !reflect.DeepEqual(*decision.Transition, want) {
		t.Errorf("got %#v, want %#v", *decision.Transition, want)
	}
	if r := decision.Record; r.ID != want.VolumeID || r.CreatedAt != s.now || len(r.Outbox) != 1 || !reflect.DeepEqual(r.Outbox[0], want) {
		t.Errorf("got record %#v", r)
	}
}

func TestDecide_Preconditions(t *testing.T) {
	number := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name string
		volume.Preconditions
		want volume.Code
	}{
		{"none", volume.Preconditions{}, ""},
		{"state holds", volume.Preconditions{IfState: volume.StateAvailable}, ""},
		{"state does not hold", volume.Preconditions{IfState: volume.StateAttached}, volume.ErrPreconditionFailed},
		{"generation holds", volume.Preconditions{IfGeneration: number(2)}, ""},
		{"generation is older", volume.Preconditions{IfGeneration: number(1)}, volume.ErrPreconditionFailed},
		{"generation is newer", volume.Preconditions{IfGeneration: number(3)}, volume.ErrPreconditionFailed},
		{"generation zero is one", volume.Preconditions{IfGeneration: number(0)}, volume.ErrPreconditionFailed},
		{"deadline to come", volume.Preconditions{Deadline: epoch.Add(time.Hour)}, ""},
		{"deadline now", volume.Preconditions{Deadline: epoch.Add(3 * time.Second)}, ""},
		{"deadline passed", volume.Preconditions{Deadline: epoch.Add(3*time.Second - 1)}, volume.ErrDeadlineExceeded},
		{"all hold", volume.Preconditions{
			IfState: volume.StateAvailable, IfGeneration: number(2), Deadline: epoch.Add(time.Hour),
		}, ""},
	}
	for _, test := range tests {
		for _, verb := range []volume.Verb{volume.VerbAttach, volume.VerbDelete, volume.VerbResize, volume.VerbReconcile} {
			t.Run(test.name+"/"+string(verb), func(t *testing.T) {
				s := in(t, volume.StateAvailable)
				command := s.usual(verb)
				command.Preconditions = test.Preconditions
				_, err := s.decide(command)
				if test.want == "" && err != nil || test.want != "" && volume.CodeOf(err) != test.want {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		}
	}
}

func TestDecide_ValidateOnly_ChangesNothing(t *testing.T) {
	tests := []struct {
		state volume.State
		verb  volume.Verb
		want  volume.Code // of the refusal; empty if it is valid
	}{
		{volume.StatePending, volume.VerbCreate, ""},
		{volume.StateAvailable, volume.VerbAttach, ""},
		{volume.StateAvailable, volume.VerbReconcile, ""},
		{volume.StateAvailable, volume.VerbCreate, volume.ErrVolumeExists},
		{volume.StateAvailable, volume.VerbDetach, volume.ErrInvalidTransition},
		{volume.StateDeleted, volume.VerbDelete, volume.ErrVolumeNotFound},
		{volume.StateAvailable, volume.VerbCancel, volume.ErrNothingToCancel},
	}
	for _, test := range tests {
		t.Run(string(test.state)+"/"+string(test.verb), func(t *testing.T) {
			s := in(t, test.state)
			before := s.record
			command := s.usual(test.verb)
			command.ValidateOnly = true
			decision, err := s.decide(command)
			if !reflect.DeepEqual(withoutRoom(decision.Record), withoutRoom(before)) || decision.Stores() ||
				decision.Transition != nil || decision.Action != fsm.ActionNone {
				t.Errorf("got a decision that changes something: %+v", decision)
			}
			if test.want != "" {
				if volume.CodeOf(err) != test.want || decision.Outcome != nil {
					t.Errorf("got %v, %+v, want %v", err, decision.Outcome, test.want)
				}
				return
			}
			if err != nil || decision.Outcome == nil || decision.Outcome.Result != volume.Valid {
				t.Errorf("got %v, %+v, want it valid", err, decision.Outcome)
			}
		})
	}
}
