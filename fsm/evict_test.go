package fsm_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestEvicted_EndsWhereTheBackendIs(t *testing.T) {
	tests := []struct {
		name  string
		from  volume.State
		seen  fsm.Observation
		state volume.State
		nodes string
	}{
		{"the holder is gone", volume.StateAttached, present(volume.GiB, nil), volume.StateAvailable, ""},
		{"another holds it", volume.StateAttached, present(volume.GiB, on("n2")), volume.StateAttached, "n2"},
		{"others share it", volume.StateAttached, shared("n2", "n3"), volume.StateAttached, "n2 n3"},
		{"nobody held it", volume.StateAvailable, present(volume.GiB, nil), volume.StateAvailable, ""},
		{"the record did not know the holder", volume.StateAvailable, present(volume.GiB, on("n2")), volume.StateAttached, "n2"},
		{"it was in error", volume.StateError, present(2*volume.GiB, nil), volume.StateAvailable, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := in(t, test.from)
			begun := s.begin(volume.VerbNodeGone)
			if begun.Transition.Event != volume.EventEvict || begun.Record.State != volume.StateEvicting || begun.Action != fsm.ActionEvict {
				t.Fatalf("got %s to %s, action %q, want evict to evicting", begun.Transition.Event, begun.Record.State, begun.Action)
			}
			end := s.evicted(test.seen)
			if r := end.Record; r.State != test.state || nodesOf(r.Attachments) != test.nodes || r.Size != test.seen.Size {
				t.Errorf("got %s of %s on %q, want %s of %s on %q", r.State, r.Size, nodesOf(r.Attachments), test.state, test.seen.Size, test.nodes)
			}
			if end.Transition.Event != volume.EventEvicted || end.Outcome.Result != volume.Succeeded {
				t.Errorf("got %s, %+v, want evicted and success", end.Transition.Event, end.Outcome)
			}
		})
	}
}

func TestEvicted_BackendHasNothing_IsRefused(t *testing.T) {
	s := in(t, volume.StateEvicting)
	if _, err := fsm.Evicted(s.record, absent, s.now); volume.CodeOf(err) != volume.ErrInvalidTransition {
		t.Errorf("got %v, want %v", err, volume.ErrInvalidTransition)
	}
	s.record.Op = nil
	if _, err := fsm.Evicted(s.record, present(volume.GiB, nil), s.now); volume.CodeOf(err) != volume.ErrInvalidTransition {
		t.Errorf("without an operation: got %v, want %v", err, volume.ErrInvalidTransition)
	}
}

func TestNodeGone_GivenUp_KeepsTheNode(t *testing.T) {
	s := in(t, volume.StateEvicting)
	s.fail(errBroken)
	if end := s.giveUp(); end.Record.State != volume.StateError || nodesOf(end.Record.Attachments) != "n1" {
		t.Errorf("got %s on %q, want error on n1, which may still write", end.Record.State, nodesOf(end.Record.Attachments))
	}
}

func TestNodeGone_NoReason_IsRefused(t *testing.T) {
	for _, reason := range []string{"", "  "} {
		s := in(t, volume.StateAttached)
		_, err := s.decide(s.command(volume.VerbNodeGone, volume.Args{Node: "n1", Reason: reason}))
		if volume.CodeOf(err) != volume.ErrInvalidArgument {
			t.Errorf("reason %q: got %v, want %v", reason, err, volume.ErrInvalidArgument)
		}
	}
}

// Who, why and what was fenced stand in every event and in the answer, also of clients that
// an attempt fenced before it failed.
func TestNodeGone_EventsTellWhyAndWhatWasFenced(t *testing.T) {
	s := in(t, volume.StateAttached)
	begun := len(s.told)
	s.begin(volume.VerbNodeGone)
	fence := func(clients ...string) {
		given := withSpareRoom(s.record)
		before := fingerprint(t, given)
		s.record = fsm.Fenced(given, clients)
		if fingerprint(t, given) != before {
			t.Error("the record that went in was changed")
		}
	}
	fence("10.0.0.1:0/1")
	s.fail(errBusy)
	s.retry()
	fence("10.0.0.1:0/1", "10.0.0.1:0/2")
	end := s.evicted(present(volume.GiB, nil))

	want := [][]string{nil, {"10.0.0.1:0/1"}, {"10.0.0.1:0/1"}, {"10.0.0.1:0/1", "10.0.0.1:0/2"}}
	for i, told := range s.told[begun:] {
		e := told.Eviction
		if e == nil || e.Node != "n1" || e.Reason != "lost power" || !slices.Equal(e.Clients, want[i]) || told.Actor != "alice" {
			t.Errorf("%s by %q: got %+v, want n1, lost power, %q", told.Event, told.Actor, e, want[i])
		}
	}
	if !reflect.DeepEqual(end.Outcome.Eviction, end.Transition.Eviction) {
		t.Errorf("answer: got %+v, want %+v", end.Outcome.Eviction, end.Transition.Eviction)
	}
	if next := s.begin(volume.VerbAttach); next.Transition.Eviction != nil || fsm.Fenced(s.record, []string{"x"}).Op.Eviction != nil {
		t.Errorf("next command: got %+v, want no eviction", next.Transition.Eviction)
	}
}

func TestNodeGone_Cancelled_SettlesWhereTheBackendIs(t *testing.T) {
	for state, seen := range map[volume.State]fsm.Observation{
		volume.StateError: absent, volume.StateAvailable: present(volume.GiB, nil), volume.StateAttached: present(volume.GiB, on("n1")),
	} {
		s := in(t, volume.StateEvictingFailed)
		s.record = fsm.Cancel(s.record, errCancel)
		decision, err := s.step(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Settle(r, seen, now) })
		if err != nil || decision.Record.State != state {
			t.Errorf("got %s and %v, want %s", decision.Record.State, err, state)
		}
	}
}
