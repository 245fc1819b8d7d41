package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// cancelled adds a cancelled resize to the story and returns its command's id.
func cancelled(s *story) volume.CommandID {
	s.t.Helper()
	s.begin(volume.VerbResize)
	id := s.record.Op.CommandID
	s.fail(errCancel)
	s.settle(present(s.record.Size, nil))
	return id
}

func TestCancel_Target(t *testing.T) {
	tests := []struct {
		name  string
		story func(*story) volume.CommandID // returns the target
		valid bool
	}{
		{"named, cancelled", cancelled, true},
		{"named, cancelled before others", func(s *story) volume.CommandID {
			id := cancelled(s)
			s.run(volume.VerbResize)
			return id
		}, true},
		{"named, ended well", func(s *story) volume.CommandID {
			return s.run(volume.VerbResize).Outcome.CommandID
		}, false},
		{"named, unknown", func(*story) volume.CommandID { return "who" }, false},
		{"named, refused", func(s *story) volume.CommandID {
			command := s.usual(volume.VerbDetach)
			_, err := s.decide(command)
			return s.reject(command, err).Outcome.CommandID
		}, false},
		{"not named, cancelled", func(s *story) volume.CommandID { cancelled(s); return "" }, true},
		{"not named, cancelled, then another ended", func(s *story) volume.CommandID {
			cancelled(s)
			s.run(volume.VerbResize)
			return ""
		}, true},
		{"not named, nothing was", func(*story) volume.CommandID { return "" }, false},
		{"not named, answered before", func(s *story) volume.CommandID {
			cancelled(s)
			if _, err := s.decide(s.command(volume.VerbCancel, volume.Args{})); err != nil {
				s.t.Fatal(err)
			}
			return ""
		}, false},
		{"not named, answered before, then another was", func(s *story) volume.CommandID {
			cancelled(s)
			if _, err := s.decide(s.command(volume.VerbCancel, volume.Args{})); err != nil {
				s.t.Fatal(err)
			}
			cancelled(s)
			return ""
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := in(t, volume.StateAvailable)
			target := test.story(s)
			before := s.record
			command := s.command(volume.VerbCancel, volume.Args{Target: target})
			decision, err := s.decide(command)
			if !test.valid {
				if volume.CodeOf(err) != volume.ErrNothingToCancel {
					t.Errorf("got %v, want %v", err, volume.ErrNothingToCancel)
				}
				return
			}
			if err != nil || decision.Outcome == nil || decision.Outcome.Result != volume.Succeeded || decision.Outcome.CommandID != command.ID {
				t.Fatalf("got %v, %+v, want it done", err, decision.Outcome)
			}
			if r := decision.Record; decision.Transition != nil || r.Generation != before.Generation || r.State != before.State || r.CommandSequence != command.Sequence {
				t.Errorf("got an event %#v or another state: a cancel only answers", decision.Transition)
			}
		})
	}
}

func TestCancel_EndedWhileItWaited(t *testing.T) {
	s := in(t, volume.StateAvailable)
	s.begin(volume.VerbAttach)
	s.fail(errBusy)
	generation := s.record.Generation
	given := withSpareRoom(s.record)
	before := fingerprint(t, given)
	next := fsm.Cancel(given, errCancel)
	if fingerprint(t, given) != before {
		t.Error("the record that went in was changed")
	}
	if next.Generation != generation || len(next.Outbox) != len(given.Outbox) {
		t.Errorf("got generation %d, %d events: want no event", next.Generation, len(next.Outbox))
	}
	if step := fsm.NextStep(next); step.Kind != fsm.StepSettle {
		t.Errorf("got %+v, want to settle", step)
	}
	s.record = next
	if end := s.settle(present(volume.GiB, nil)); end.Record.State != volume.StateAvailable || end.Outcome.Failure.Code != volume.ErrCancelled {
		t.Errorf("got %s, %+v", end.Record.State, end.Outcome)
	}
}

// TestCancel_BackendDoesNotAnswer: the volume ends in error, to be reconciled.
func TestCancel_BackendDoesNotAnswer(t *testing.T) {
	s := in(t, volume.StateAttaching)
	s.fail(errCancel)
	if end := s.giveUp(); end.Record.State != volume.StateError || end.Outcome.Failure.Code != volume.ErrCancelled || end.Outcome.Result != volume.Failed {
		t.Errorf("got %s, %+v", end.Record.State, end.Outcome)
	}
}

// TestCancel_LeavesAnothersOperation: see [TestReject_LeavesAnothersOperation].
func TestCancel_LeavesAnothersOperation(t *testing.T) {
	s := in(t, volume.StateAvailable)
	target := cancelled(s)
	s.begin(volume.VerbAttach)
	if _, err := s.decide(s.command(volume.VerbCancel, volume.Args{Target: target})); err != nil {
		t.Fatal(err)
	}
	if s.record.Op == nil || s.record.State != volume.StateAttaching {
		t.Errorf("got op %v in %s", s.record.Op, s.record.State)
	}
}
