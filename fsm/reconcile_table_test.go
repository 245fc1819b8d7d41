package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// requirementA8 is the requirement's table, written out by hand: states, what is seen and the
// policy; the result and its event.
const requirementA8 = `
any                              | unreachable                       |        | unchanged       | rejected
pending,error                    | absent                            |        | pending         | reconciled
pending,error                    | present, no node                  |        | available       | reconciled
pending,error                    | present, on nodes                 |        | attached        | reconciled
creating,creating_failed         | absent                            |        | available       | ready
creating,creating_failed         | present, no node                  |        | available       | ready
attaching,attaching_failed       | present, on the node asked for    |        | attached        | attached
attaching,attaching_failed       | present, on a node never asked for |       | error           | drifted
attaching,attaching_failed       | present, no node                  |        | attached        | attached
detaching,detaching_failed       | present, on nodes                 |        | available       | detached
detaching,detaching_failed       | present, no node                  |        | available       | detached
deleting,deleting_failed         | absent                            |        | deleted         | deleted
deleting,deleting_failed         | present, no node                  |        | deleted         | deleted
available,attached               | absent                            | error  | error           | drifted
available,attached               | absent                            | delete | deleted         | drifted
available,attached               | absent                            | ignore | unchanged       | drifted
available,attached               | size, node, owner or snapshots differ |    | unchanged       | drifted
`

func rowText(row fsm.Row) string {
	states, to := "any", "unchanged"
	if len(row.States) > 0 {
		states = strings.Join(texts(row.States), ",")
	}
	if row.To != "" {
		to = string(row.To)
	}
	return fmt.Sprint(states, "|", row.Seen, "|", row.Policy, "|", to, "|", row.Event)
}

func texts[T ~string](names []T) []string {
	var all []string
	for _, name := range names {
		all = append(all, string(name))
	}
	return all
}

// missingFromA8 returns the lines of the requirement that the rows do not have.
func missingFromA8(rows []fsm.Row) []string {
	var have, missing []string
	for _, row := range rows {
		have = append(have, rowText(row))
	}
	for line := range strings.Lines(strings.TrimSpace(requirementA8)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if want := strings.Join(cells, "|"); !slices.Contains(have, want) {
			missing = append(missing, want)
		}
	}
	return missing
}

func TestReconcileTable_HasEveryRowOfA8(t *testing.T) {
	if missing := missingFromA8(fsm.ReconcileTable()); len(missing) > 0 {
		t.Errorf("the table departs from A8:\n%s", strings.Join(missing, "\n"))
	}
	for i := range fsm.ReconcileTable() { // planted: each row in its turn bent
		rows := fsm.ReconcileTable()
		rows[i].Event = volume.EventProgress
		if len(rows[i].States) == 1 || rows[i].Seen == fsm.SeenForeign || rows[i].Seen == fsm.SeenAsBefore || rows[i].Seen == fsm.SeenAsRecorded || rows[i].Believe || fsm.ReconcileTable()[i].Event == volume.EventAdopted {
			continue // jetvol's own
		}
		if len(missingFromA8(rows)) == 0 {
			t.Errorf("row %d with another event: not seen", i)
		}
	}
}

// scene is a record of a row's state, what is seen, and what the command says.
type scene struct {
	story   *story
	seen    fsm.Observation
	command volume.Command
}

// stage makes the scene of a row.
func stage(t testing.TB, row fsm.Row, state volume.State) scene {
	t.Helper()
	s := newStory(t)
	if state != volume.StatePending || row.Event != volume.EventAdopted {
		s = known(t, state)
	}
	if row.Resumed == volume.VerbAdopt {
		s = importing(t, state)
	}
	verb := volume.VerbReconcile
	if row.Event == volume.EventAdopted {
		verb = volume.VerbAdopt
	}
	at := scene{story: s, command: s.usual(verb)}
	at.command.RecordOnly = row.Policy
	if row.Believe {
		at.command.Args.Believe = volume.BelieveBackend
	}
	recorded := fsm.Observation{Present: true, Size: s.record.Size, Attachments: s.record.Attachments}
	switch row.Seen {
	case fsm.SeenAbsent:
		at.seen = absent
	case fsm.SeenFree:
		at.seen = present(volume.GiB, nil)
	case fsm.SeenHeld, fsm.SeenAsAsked:
		at.seen = present(volume.GiB, on("n1"))
	case fsm.SeenElsewhere:
		at.seen = present(volume.GiB, on("n9"))
	case fsm.SeenAsRecorded:
		at.seen = recorded
	case fsm.SeenDifferent, fsm.SeenAsBefore:
		at.seen = recorded
		at.seen.Size += volume.GiB
	}
	switch {
	case state == volume.StateError && (row.Seen == fsm.SeenAsBefore || row.Seen == fsm.SeenElsewhere):
		at.story = strangeIn(t) // on n9
		at.seen = present(volume.GiB, on("n9"))
		if row.Seen == fsm.SeenElsewhere {
			at.seen = present(volume.GiB, on("n8"))
		}
	case row.Seen == fsm.SeenAsBefore:
		s.reconcile(at.seen)
	}
	return at
}

// strangeIn returns a story in error because of a node that nobody asked for.
func strangeIn(t testing.TB) *story {
	s := in(t, volume.StateAttaching)
	s.fail(errHeld)
	s.settle(present(volume.GiB, on("n9")))
	return s
}

// known returns a story in the state, and a pending volume as one with an id.
func known(t testing.TB, state volume.State) *story {
	if state != volume.StatePending {
		return in(t, state)
	}
	s := in(t, volume.StateCreating)
	s.fail(errCancel)
	s.settle(absent)
	return s
}

// importing is in for a volume that is being made of an image.
func importing(t testing.TB, state volume.State) *story {
	s := newStory(t)
	s.begin(volume.VerbAdopt)
	if state == volume.StateCreatingFailed {
		s.fail(errBusy)
	}
	return s
}

// end carries the scene out as the worker does, and returns the last event. A backend whose
// calls are idempotent makes good what is begun again, unless another node is in the way.
func (at scene) end(row fsm.Row) volume.Transition {
	s := at.story
	switch {
	case row.Event == volume.EventAdopted:
		at.command.Backend = "local"
		return *s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) {
			return fsm.Adopt(r, at.command, lostID, volume.Spec{Size: at.seen.Size, Attachments: at.seen.Attachments}, now)
		}).Transition
	case row.Resumed == "":
		return *s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) {
			return fsm.Reconcile(r, at.command, at.seen, now)
		}).Transition
	}
	if s.record.Op.Verb != row.Resumed {
		s.t.Fatalf("in %s: operation %s, want %s", s.record.State, s.record.Op.Verb, row.Resumed)
	}
	if fsm.NextStep(s.record).Kind == fsm.StepWait {
		s.retry()
	}
	if row.Seen == fsm.SeenElsewhere {
		s.fail(errHeld)
		return *s.settle(at.seen).Transition
	}
	return *s.succeed().Transition
}

// departs returns what is wrong with the row, held against what the machine does.
func departs(t testing.TB, row fsm.Row) (faults []string) {
	states := row.States
	if row.Seen == fsm.SeenNothing {
		states = []volume.State{volume.StateAvailable}
	}
	for _, state := range states {
		at := stage(t, row, state)
		before := at.story.record
		var e volume.Transition
		if row.Seen == fsm.SeenNothing {
			e = *at.story.reject(at.command, errDown).Transition
		} else {
			e = at.end(row)
		}
		to := row.To
		if to == "" {
			to = before.State
		}
		if e.Event != row.Event || e.To != to || at.story.record.State != to {
			faults = append(faults, fmt.Sprintf("%s, %s: got %s to %s, want %s to %s", state, row.Seen, e.Event, e.To, row.Event, to))
		}
		if e.Event == volume.EventDrifted && (e.Spec.Drift == nil || e.Spec.Drift.FoundAt.IsZero() || !strings.Contains(e.Reason, e.Spec.Drift.String())) {
			faults = append(faults, fmt.Sprintf("%s, %s: drift %v, reason %q", state, row.Seen, e.Spec.Drift, e.Reason))
		}
		if at.story.record.Op != nil {
			faults = append(faults, fmt.Sprintf("%s, %s: an operation goes on", state, row.Seen))
		}
	}
	return faults
}

// TestReconcileTable_EveryRow holds the table against what is decided, and each row bent in
// one place too.
func TestReconcileTable_EveryRow(t *testing.T) {
	for _, row := range fsm.ReconcileTable() {
		for _, fault := range departs(t, row) {
			t.Error(fault)
		}
		bent := row
		if bent.To = volume.StateExtending; len(departs(t, bent)) == 0 {
			t.Errorf("%s: another state not seen", rowText(bent))
		}
		bent = row
		if bent.Event = volume.EventProgress; row.Event != volume.EventAdopted && len(departs(t, bent)) == 0 {
			t.Errorf("%s: another event not seen", rowText(bent))
		}
	}
}

func TestReconcileTable_NoTwoRowsAreOfTheSame(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range fsm.ReconcileTable() {
		for _, state := range row.States {
			at := fmt.Sprint(state, row.Seen, row.Policy, row.Believe, row.Event == volume.EventAdopted)
			if seen[at] {
				t.Errorf("%s: twice", at)
			}
			seen[at] = true
		}
	}
}
