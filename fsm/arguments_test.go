package fsm_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestDecide_Size(t *testing.T) {
	tests := []struct {
		name  string
		state volume.State
		verb  volume.Verb
		size  volume.Bytes
		valid bool
	}{
		{"create nothing", volume.StatePending, volume.VerbCreate, 0, false},
		{"create less than nothing", volume.StatePending, volume.VerbCreate, -1, false},
		{"create too much", volume.StatePending, volume.VerbCreate, volume.MaxSize + 1, false},
		{"create one byte", volume.StatePending, volume.VerbCreate, 1, true},
		{"create the most", volume.StatePending, volume.VerbCreate, volume.MaxSize, true},
		{"recreate nothing", volume.StateDeleted, volume.VerbCreate, 0, false},
		{"grow by a byte", volume.StateAvailable, volume.VerbResize, volume.GiB + 1, true},
		{"grow while attached", volume.StateAttached, volume.VerbResize, volume.GiB + 1, true},
		{"grow to the most", volume.StateAvailable, volume.VerbResize, volume.MaxSize, true},
		{"grow too much", volume.StateAvailable, volume.VerbResize, volume.MaxSize + 1, false},
		{"same size", volume.StateAvailable, volume.VerbResize, volume.GiB, false},
		{"shrink", volume.StateAvailable, volume.VerbResize, volume.GiB - 1, false},
		{"shrink to nothing", volume.StateAvailable, volume.VerbResize, 0, false},
		{"negative", volume.StateAvailable, volume.VerbResize, -1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := in(t, test.state)
			_, err := s.decide(s.command(test.verb, volume.Args{Size: test.size}))
			if test.valid && err != nil || !test.valid && volume.CodeOf(err) != volume.ErrInvalidSize {
				t.Errorf("got %v, want valid %v", err, test.valid)
			}
		})
	}
}

func TestDecide_Detach_Node(t *testing.T) {
	tests := []struct {
		node volume.Node
		want volume.Code
	}{
		{"", ""},
		{"n1", ""},
		{"n2", volume.ErrNodeMismatch},
	}
	for _, test := range tests {
		s := in(t, volume.StateAttached)
		_, err := s.decide(s.command(volume.VerbDetach, volume.Args{Node: test.node}))
		if test.want == "" && err != nil || test.want != "" && volume.CodeOf(err) != test.want {
			t.Errorf("node %q: got %v, want %q", test.node, err, test.want)
		}
		if got := nodesOf(s.record.Attachments); got != "n1" {
			t.Errorf("node %q: got attached to %q, want n1 until it is detached", test.node, got)
		}
	}
}

func TestResize_ReturnsToWhereItBegan(t *testing.T) {
	for _, state := range []volume.State{volume.StateAvailable, volume.StateAttached} {
		s := in(t, state)
		before := s.record
		s.begin(volume.VerbResize)
		if s.record.Size != before.Size {
			t.Errorf("%s: got size %s before the backend has it", state, s.record.Size)
		}
		s.fail(errBusy)
		s.retry()
		s.succeed()
		if r := s.record; r.State != state || r.Size != before.Size+volume.GiB || !reflect.DeepEqual(r.Attachments, before.Attachments) {
			t.Errorf("got %s of %s on %+v, want %s on %+v", r.State, r.Size, r.Attachments, state, before.Attachments)
		}
	}
}

func TestResize_GivenUp_KeepsTheSizeAndTheNode(t *testing.T) {
	s := in(t, volume.StateAttached)
	before := s.record
	s.begin(volume.VerbResize)
	s.fail(errBroken)
	s.giveUp()
	if r := s.record; r.State != volume.StateError || r.Size != before.Size || !reflect.DeepEqual(r.Attachments, before.Attachments) {
		t.Errorf("got %s of %s on %+v, want error of %s on %+v", r.State, r.Size, r.Attachments, before.Size, before.Attachments)
	}
}

// The weaknesses of the original that this package has to rule out.

func TestWeakness_RefusedAttachDoesNotTouchTheOwner(t *testing.T) {
	s := in(t, volume.StateAttached)
	intruder := s.command(volume.VerbAttach, volume.Args{Node: "intruder", Mode: volume.ReadWrite})
	_, err := s.decide(intruder)
	if volume.CodeOf(err) != volume.ErrInvalidTransition || !strings.Contains(err.Error(), "n1") {
		t.Fatalf("got %v, want a refusal that names the owner", err)
	}
	decision := s.reject(intruder, err)
	for name, spec := range map[string]volume.Spec{"record": s.record.Spec, "event": decision.Transition.Spec} {
		if nodesOf(spec.Attachments) != "n1" {
			t.Errorf("%s: got owner %s, want n1", name, spec.Attachments)
		}
	}
	if s.record.State != volume.StateAttached {
		t.Errorf("got state %s, want it unchanged", s.record.State)
	}
}

func TestWeakness_OwnerIsWrittenOnlyWhenTheBackendAttached(t *testing.T) {
	s := in(t, volume.StateAttaching)
	if len(s.record.Attachments) > 0 {
		t.Errorf("got owner %s while attaching", s.record.Attachments)
	}
	s.succeed()
	if got, _ := s.record.Attachments.Of("n1"); got.Connection["path"] != "/dev/n1" {
		t.Errorf("got %+v, want what the backend returned", got)
	}
}

func TestWeakness_PendingIsNoDeadEnd(t *testing.T) {
	ways := map[string]struct {
		leave func(*story)
		want  volume.State
	}{
		"create":                     {func(s *story) { s.run(volume.VerbCreate) }, volume.StateAvailable},
		"delete":                     {func(s *story) { s.run(volume.VerbDelete) }, volume.StateDeleted},
		"reconcile, backend has it":  {func(s *story) { s.reconcile(present(volume.GiB, nil)) }, volume.StateAvailable},
		"reconcile, node has it":     {func(s *story) { s.reconcile(present(volume.GiB, on("n3"))) }, volume.StateAttached},
		"reconcile, still not there": {func(s *story) { s.reconcile(absent) }, volume.StatePending},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := in(t, volume.StateCreating)
			s.fail(errCancel)
			s.settle(absent)
			if s.record.State != volume.StatePending || !s.record.Exists() {
				t.Fatalf("got %#v, want a known pending volume", s.record)
			}
			if way.leave(s); s.record.State != way.want {
				t.Errorf("got %s, want %s", s.record.State, way.want)
			}
		})
	}
}

func TestWeakness_DeletedNameLivesAgain(t *testing.T) {
	s := in(t, volume.StateAttached)
	s.run(volume.VerbDetach)
	s.run(volume.VerbDelete)
	first := s.record
	if len(first.Attachments) > 0 || first.Exists() {
		t.Fatalf("got %#v, want a tombstone", first)
	}
	decision := s.run(volume.VerbCreate)
	second := s.record
	if second.ID == first.ID || second.ID != volume.NewID(dbKey, first.Generation+1) {
		t.Errorf("got id %s after %s, want a new one", second.ID, first.ID)
	}
	if second.Generation != first.Generation+2 || decision.Transition.From != volume.StateCreating {
		t.Errorf("got generation %d after %d, want generations to go on", second.Generation, first.Generation)
	}
	if second.CreatedAt.Equal(first.CreatedAt) || len(second.Outcomes) != len(first.Outcomes)+1 {
		t.Errorf("got created %s and %d outcomes", second.CreatedAt, len(second.Outcomes))
	}
}

// The tombstone may have run out: then only the generation is known, from the events.
func TestWeakness_DeletedNameLivesAgain_WithoutTombstone(t *testing.T) {
	s := newStory(t)
	s.record.State, s.record.Generation = volume.StateDeleted, 41
	decision := s.begin(volume.VerbCreate)
	if decision.Transition.Event != volume.EventRecreate || s.record.ID != volume.NewID(dbKey, 42) || s.record.Generation != 42 {
		t.Errorf("got %#v", s.record)
	}
}

func TestWeakness_LoserOfACreateRaceIsToldThatItExists(t *testing.T) {
	s := newStory(t)
	loser := s.usual(volume.VerbCreate)
	s.begin(volume.VerbCreate)
	for _, decide := range []func(){func() {}, func() { s.succeed() }} {
		decide()
		if _, err := s.decide(loser); volume.CodeOf(err) != volume.ErrVolumeExists || volume.ClassOf(err) != volume.AlreadyExists {
			t.Errorf("in %s: got %v, want %v", s.record.State, err, volume.ErrVolumeExists)
		}
	}
}

func TestWeakness_ErrorIsNoDeadEnd(t *testing.T) {
	s := in(t, volume.StateError)
	decision := s.run(volume.VerbDelete)
	if s.record.State != volume.StateDeleted || decision.Outcome.Result != volume.Succeeded || len(s.record.Attachments) > 0 {
		t.Errorf("got %s, %+v, want it discarded", s.record.State, decision.Outcome)
	}
	if first := s.told[len(s.told)-2]; first.Event != volume.EventDiscard || first.From != volume.StateError {
		t.Errorf("got %s from %s, want discard from error", first.Event, first.From)
	}
}

// TestNextStep: see also the property in model_test.go.
func TestNextStep(t *testing.T) {
	tests := []struct {
		name  string
		story func(testing.TB) *story
		want  fsm.StepKind
		does  fsm.Action
	}{
		{"settled", func(t testing.TB) *story { return in(t, volume.StateAvailable) }, fsm.StepNone, fsm.ActionNone},
		{"begun", func(t testing.TB) *story { return in(t, volume.StateAttaching) }, fsm.StepAct, fsm.ActionAttach},
		{"failed", func(t testing.TB) *story { return in(t, volume.StateDeletingFailed) }, fsm.StepWait, fsm.ActionNone},
		{"failed for good", func(t testing.TB) *story { s := in(t, volume.StateDeleting); s.fail(errBroken); return s }, fsm.StepGiveUp, fsm.ActionNone},
		{"cancelled", func(t testing.TB) *story { s := in(t, volume.StateDeleting); s.fail(errCancel); return s }, fsm.StepSettle, fsm.ActionObserve},
		{"tried again", func(t testing.TB) *story { s := in(t, volume.StateExtendingFailed); s.retry(); return s }, fsm.StepAct, fsm.ActionResize},
	}
	for _, test := range tests {
		s := test.story(t)
		step := fsm.NextStep(s.record)
		if step.Kind != test.want || step.Action != test.does {
			t.Errorf("%s: got %+v, want kind %d, action %q", test.name, step, test.want, test.does)
		}
		if step.Kind == fsm.StepWait && step.Until.Before(s.now) {
			t.Errorf("%s: got a wait until %s", test.name, step.Until)
		}
	}
}
