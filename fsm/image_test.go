package fsm_test

import (
	"errors"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

const adoptedFrom = "adopted: backend local had it as web-disk"

func TestAdoptImage_Course_IsThatOfACreate(t *testing.T) {
	for name, test := range map[string]struct {
		from   volume.State
		id     volume.ID
		events string
	}{
		"none":      {volume.StatePending, "default.db-01.1", "create error retry ready"},
		"tombstone": {volume.StateDeleted, "default.db-01.5", "recreate error retry ready"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			if test.from == volume.StateDeleted {
				s.run(volume.VerbCreate)
				s.run(volume.VerbDelete)
			}
			s.told = nil
			begun := s.begin(volume.VerbAdopt)
			if r := begun.Record; begun.Action != fsm.ActionImport || r.ID != test.id || r.Size != imageSize || r.Op.Image != "web-disk" || len(r.Labels) > 0 {
				t.Fatalf("got action %q, %+v", begun.Action, r)
			}
			s.fail(errDown)
			s.retry()
			end := s.succeed()
			if got := events(s); got != test.events {
				t.Errorf("got events %q, want %q", got, test.events)
			}
			for _, told := range s.told {
				if told.Image != "web-disk" || told.Verb != volume.VerbAdopt {
					t.Errorf("%s: got image %q of %s", told.Event, told.Image, told.Verb)
				}
			}
			if r := end.Record; r.State != volume.StateAvailable || end.Transition.Reason != adoptedFrom || end.Outcome.Image != "web-disk" || r.Op != nil {
				t.Errorf("got %s because %q, %+v", r.State, end.Transition.Reason, end.Outcome)
			}
		})
	}
}

func TestAdoptImage_Refused_BeforeAnythingIsBegun(t *testing.T) {
	for name, test := range map[string]struct {
		state volume.State
		plant func(*volume.Command)
		code  volume.Code
	}{
		"exists":         {volume.StateAvailable, func(*volume.Command) {}, volume.ErrVolumeExists},
		"under way":      {volume.StateCreating, func(*volume.Command) {}, volume.ErrVolumeExists},
		"with an id":     {volume.StatePending, func(c *volume.Command) { c.Args.ID = "default.db-01.1" }, volume.ErrInvalidArgument},
		"not looked at":  {volume.StatePending, func(c *volume.Command) { c.Plan = nil }, volume.ErrInternal},
		"nothing in it":  {volume.StatePending, func(c *volume.Command) { c.Plan.Size = 0 }, volume.ErrInvalidSize},
		"in wrong state": {volume.StatePending, func(c *volume.Command) { c.IfState = volume.StateDeleted }, volume.ErrPreconditionFailed},
	} {
		s := in(t, test.state)
		command := ofImage(s.usual(volume.VerbAdopt))
		test.plant(&command)
		if _, err := s.decide(command); !errors.Is(err, test.code) {
			t.Errorf("%s: got %v, want %s", name, err, test.code)
		}
	}
}

func TestAdoptImage_ValidateOnly_TellsThePlan(t *testing.T) {
	s := newStory(t)
	command := ofImage(s.usual(volume.VerbAdopt))
	command.ValidateOnly = true
	decision, err := s.decide(command)
	if err != nil || decision.Stores() || decision.Outcome.Result != volume.Valid || *decision.Outcome.Plan != *command.Plan {
		t.Errorf("got %+v, %v", decision.Outcome, err)
	}
}

// TestAdoptImage_Cancelled_IsToldWhereItIs: taken in or not, and the name can be used again.
func TestAdoptImage_Cancelled_IsToldWhereItIs(t *testing.T) {
	for name, test := range map[string]struct {
		seen   fsm.Observation
		state  volume.State
		reason string
		size   volume.Bytes
	}{
		"before it": {absent, volume.StatePending, "", imageSize},
		"after it":  {present(2*imageSize, nil), volume.StateAvailable, adoptedFrom, 2 * imageSize},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.begin(volume.VerbAdopt)
			s.fail(errCancel)
			end := s.settle(test.seen)
			if r := end.Record; r.State != test.state || end.Transition.Reason != test.reason || r.Size != test.size || end.Outcome.Result != volume.Failed {
				t.Errorf("got %s of %s because %q, %+v", r.State, r.Size, end.Transition.Reason, end.Outcome)
			}
			if test.state == volume.StatePending {
				if again := s.begin(volume.VerbAdopt); again.Record.ID != "default.db-01.4" {
					t.Errorf("again: got id %s", again.Record.ID)
				}
			}
		})
	}
}
