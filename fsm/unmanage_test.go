package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestUnmanage_Name_IsToldByEventsAndAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		asked, want volume.Image
	}{
		"none":  {"", "released-default.db-01.1"},
		"given": {"web-disk", "web-disk"},
	} {
		t.Run(name, func(t *testing.T) {
			s := before(t, volume.VerbUnmanage)
			s.told = nil
			begun, err := s.decide(s.command(volume.VerbUnmanage, volume.Args{Name: test.asked}))
			if err != nil || begun.Action != fsm.ActionRelease || begun.Record.Op.Image != test.want {
				t.Fatalf("got %v, action %q, image %q, want %q", err, begun.Action, begun.Record.Op.Image, test.want)
			}
			s.fail(errDown)
			s.retry()
			end := s.succeed()
			if got, want := events(s), "delete error retry deleted"; got != want {
				t.Errorf("got events %q, want %q", got, want)
			}
			for _, told := range s.told {
				if told.Image != test.want {
					t.Errorf("%s: got image %q, want %q", told.Event, told.Image, test.want)
				}
			}
			checkUnmanaged(t, end, test.want)
		})
	}
}

// TestUnmanage_CancelledAfterIt_IsToldAsDone: the volume is gone, and where to is not lost.
func TestUnmanage_CancelledAfterIt_IsToldAsDone(t *testing.T) {
	s := before(t, volume.VerbUnmanage)
	s.begin(volume.VerbUnmanage)
	s.fail(volume.Errorf(volume.ErrCancelled, "cancelled"))
	end := s.settle(absent)
	if end.Record.State != volume.StateDeleted || end.Outcome.Result != volume.Failed {
		t.Errorf("got %s, %+v", end.Record.State, end.Outcome)
	}
	checkUnmanaged(t, end, "released-default.db-01.1")
}

func TestUnmanage_CancelledBeforeIt_SaysNothingOfIt(t *testing.T) {
	s := before(t, volume.VerbUnmanage)
	s.begin(volume.VerbUnmanage)
	s.fail(volume.Errorf(volume.ErrCancelled, "cancelled"))
	if end := s.settle(present(volume.GiB, nil)); end.Record.State != volume.StateAvailable || end.Transition.Reason != "" {
		t.Errorf("got %s because %q", end.Record.State, end.Transition.Reason)
	}
}

func checkUnmanaged(t *testing.T, end fsm.Decision, image volume.Image) {
	t.Helper()
	want := "unmanaged: backend " + end.Record.Backend + " keeps it as " + string(image)
	if end.Transition.Reason != want || end.Outcome.Image != image || end.Record.Op != nil {
		t.Errorf("got reason %q, image %q, want %q", end.Transition.Reason, end.Outcome.Image, want)
	}
}
