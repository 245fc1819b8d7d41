package fsm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// TestReconcile_DecisionTable holds the rows of requirement A8 for volumes on which
// nothing is under way.
func TestReconcile_DecisionTable(t *testing.T) {
	const gib = volume.GiB
	brokenOn := func(t testing.TB) *story { // broken while a node had it
		s := in(t, volume.StateAttached)
		s.begin(volume.VerbDetach)
		s.fail(errBroken)
		s.giveUp()
		return s
	}
	from := func(state volume.State) func(testing.TB) *story {
		return func(t testing.TB) *story { return in(t, state) }
	}
	known := func(t testing.TB) *story { // pending, with an id
		s := in(t, volume.StateCreating)
		s.fail(errCancel)
		s.settle(absent)
		return s
	}
	tests := []struct {
		name  string
		story func(testing.TB) *story
		seen  fsm.Observation
		to    volume.State
		node  string
		size  volume.Bytes
		drift string
	}{
		{"error, absent", brokenOn, absent, volume.StatePending, "", gib, ""},
		{"error, present, no node", brokenOn, present(2*gib, nil), volume.StateAvailable, "", 2 * gib, ""},
		{"error, present, on its node", brokenOn, present(gib, on("n1")), volume.StateAttached, "n1", gib, ""},
		{"error, present, on another", brokenOn, present(gib, on("n2")), volume.StateAttached, "n2", gib, ""},

		{"available, absent", from(volume.StateAvailable), absent, volume.StateError, "", gib, "ghost: wanted 1GiB, actual nothing"},
		{"available, as recorded", from(volume.StateAvailable), present(gib, nil), volume.StateAvailable, "", gib, ""},
		{"available, other size", from(volume.StateAvailable), present(2*gib, nil), volume.StateAvailable, "", gib, "size: wanted 1GiB, actual 2GiB"},
		{"available, on a node", from(volume.StateAvailable), present(gib, on("n2")), volume.StateAvailable, "", gib, "node: wanted nothing, actual n2"},

		{"attached, absent", from(volume.StateAttached), absent, volume.StateError, "n1", gib, "ghost: wanted 1GiB, actual nothing"},
		{"attached, as recorded", from(volume.StateAttached), present(gib, on("n1")), volume.StateAttached, "n1", gib, ""},
		{"attached, on another", from(volume.StateAttached), present(gib, on("n2")), volume.StateAttached, "n1", gib, "node: wanted n1, actual n2"},
		{"attached, on none, other size", from(volume.StateAttached), present(2*gib, nil), volume.StateAttached, "n1", gib, "node: wanted n1, actual nothing; size: wanted 1GiB, actual 2GiB"},

		{"pending, absent", known, absent, volume.StatePending, "", gib, ""},
		{"pending, present", known, present(2*gib, nil), volume.StateAvailable, "", 2 * gib, ""},
		{"pending, on a node", known, present(gib, on("n3")), volume.StateAttached, "n3", gib, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := test.story(t)
			decision := s.reconcile(test.seen)
			r := s.record
			node := nodesOf(r.Attachments)
			if r.State != test.to || node != test.node || r.Size != test.size || r.Drift.String() != test.drift {
				t.Errorf("got %s on %q of %s, drift %q, want %s on %q of %s, drift %q",
					r.State, node, r.Size, r.Drift, test.to, test.node, test.size, test.drift)
			}
			checkReconciled(t, decision, test.drift, test.drift != "")
		})
	}
}

// checkReconciled: the event tells the drift, by its name if that is new, and the command has
// succeeded.
func checkReconciled(t *testing.T, d fsm.Decision, drift string, isNew bool) {
	t.Helper()
	e, event := d.Transition, volume.EventReconciled
	if isNew {
		event = volume.EventDrifted
	}
	if e.Event != event || !e.Final || e.Spec.Drift.String() != drift || e.Reason == "" || !strings.Contains(e.Reason, drift) {
		t.Errorf("got %#v", e)
	}
	if d.Outcome.Result != volume.Succeeded || d.Outcome.Verb != volume.VerbReconcile || d.Record.Op != nil {
		t.Errorf("got %+v, op %v", d.Outcome, d.Record.Op)
	}
}

func TestReconcile_InProgress_IsRefused(t *testing.T) {
	for _, state := range volume.States() {
		if !state.InProgress() && state != volume.StateDeleted {
			continue
		}
		s := in(t, state)
		command := s.usual(volume.VerbReconcile)
		decision, err := s.step(func(r volume.Record, now time.Time) (fsm.Decision, error) {
			return fsm.Reconcile(r, command, present(volume.GiB, nil), now)
		})
		if volume.CodeOf(err) != volume.ErrInvalidTransition || decision.Outcome != nil || decision.Record.State != state {
			t.Errorf("%s: got %v, %+v", state, err, decision.Outcome)
		}
	}
}

func TestReconcile_ClearsAnOldDrift(t *testing.T) {
	s := in(t, volume.StateAvailable)
	s.reconcile(present(2*volume.GiB, nil))
	if d := s.record.Drift; d == nil || d.FoundAt.IsZero() {
		t.Fatal("got no drift")
	}
	s.reconcile(present(volume.GiB, nil))
	if s.record.Drift != nil {
		t.Errorf("got drift %q, want none", s.record.Drift)
	}
}

func TestDrift_OnlyOfSettledVolumes(t *testing.T) {
	for _, state := range volume.States() {
		got := fsm.Drift(in(t, state).record, present(7*volume.GiB, on("n9")))
		if want := state == volume.StateAvailable || state == volume.StateAttached; (got != nil) != want {
			t.Errorf("%s: got drift %q", state, got)
		}
	}
}

// TestSettle_DecisionTable: a cancelled operation ends where the backend really is.
func TestSettle_DecisionTable(t *testing.T) {
	tests := []struct {
		verb                               volume.Verb
		ifAbsent, ifDetached, ifOnThisNode volume.State
	}{
		{volume.VerbCreate, volume.StatePending, volume.StateAvailable, volume.StateAttached},
		{volume.VerbAdopt, volume.StatePending, volume.StateAvailable, volume.StateAttached},
		{volume.VerbAttach, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbDetach, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbDelete, volume.StateDeleted, volume.StateAvailable, volume.StateAttached},
		{volume.VerbUnmanage, volume.StateDeleted, volume.StateAvailable, volume.StateAttached},
		{volume.VerbResize, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbSnapshot, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbDeleteSnapshot, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbRestore, volume.StateError, volume.StateAvailable, volume.StateAttached},
		{volume.VerbFlatten, volume.StateError, volume.StateAvailable, volume.StateAttached},
	}
	for _, test := range tests {
		for _, row := range []struct {
			seen fsm.Observation
			want volume.State
		}{
			{absent, test.ifAbsent},
			{present(3*volume.GiB, nil), test.ifDetached},
			{present(3*volume.GiB, on("n1")), test.ifOnThisNode},
		} {
			t.Run(string(test.verb)+" to "+string(row.want), func(t *testing.T) {
				s := before(t, test.verb)
				s.begin(test.verb)
				op := *s.record.Op
				s.fail(errCancel)
				if step := fsm.NextStep(s.record); step.Kind != fsm.StepSettle {
					t.Fatalf("got step %+v, want to settle: a cancelled operation is not tried again", step)
				}
				decision := s.settle(row.seen)
				r := s.record
				if r.State != row.want || r.Op != nil || (len(r.Attachments) > 0) != (len(row.seen.Attachments) > 0 || r.State == volume.StateError && test.verb == volume.VerbDetach) {
					t.Errorf("got %s, op %v, attachment %+v, want %s", r.State, r.Op, r.Attachments, row.want)
				}
				if row.seen.Present && r.Size != row.seen.Size {
					t.Errorf("got size %s, want that of the backend", r.Size)
				}
				if o := decision.Outcome; o.CommandID != op.CommandID || o.Result != volume.Failed || o.Failure.Code != volume.ErrCancelled {
					t.Errorf("got %+v", o)
				}
			})
		}
	}
}
