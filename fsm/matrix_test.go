package fsm_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

type pair struct {
	from  volume.State
	event volume.Event
}

// validPairs is requirement A3, written out by hand; it must never change.
var validPairs = map[pair]volume.State{
	{"pending", "create"}:         "creating",
	{"creating", "ready"}:         "available",
	{"available", "attach"}:       "attaching",
	{"attaching", "attached"}:     "attached",
	{"attached", "detach"}:        "detaching",
	{"detaching", "detached"}:     "available",
	{"available", "delete"}:       "deleting",
	{"deleting", "deleted"}:       "deleted",
	{"creating", "error"}:         "creating_failed",
	{"attaching", "error"}:        "attaching_failed",
	{"detaching", "error"}:        "detaching_failed",
	{"deleting", "error"}:         "deleting_failed",
	{"creating_failed", "retry"}:  "creating",
	{"attaching_failed", "retry"}: "attaching",
	{"detaching_failed", "retry"}: "detaching",
	{"deleting_failed", "retry"}:  "deleting",
	{"creating_failed", "fail"}:   "error",
	{"attaching_failed", "fail"}:  "error",
	{"detaching_failed", "fail"}:  "error",
	{"deleting_failed", "fail"}:   "error",
}

// The 13 states of A1 and the 11 events of A2, written out by hand too.
var (
	seedStates = []volume.State{
		"pending", "creating", "creating_failed", "available", "attaching", "attaching_failed", "attached",
		"detaching", "detaching_failed", "deleting", "deleting_failed", "deleted", "error",
	}
	seedEvents = []volume.Event{
		"create", "ready", "attach", "attached", "detach", "detached", "delete", "deleted", "error", "retry", "fail",
	}
)

// someFacts is every combination of what guards look at.
var someFacts = []struct {
	name  string
	facts fsm.Facts
}{
	{"record detached", fsm.Facts{}},
	{"record attached", fsm.Facts{RecordAttached: true}},
	{"backend absent", fsm.Facts{Observed: &fsm.Observation{}}},
	{"backend detached", fsm.Facts{Observed: &fsm.Observation{Present: true}}},
	{"backend attached", fsm.Facts{Observed: &fsm.Observation{Present: true, Attachments: volume.Attachments{{Node: "n1"}}}}},
	{"absent, delete", fsm.Facts{Observed: &fsm.Observation{}, RecordOnly: volume.RecordOnlyDelete}},
	{"absent, ignore", fsm.Facts{Observed: &fsm.Observation{}, RecordOnly: volume.RecordOnlyIgnore}},
	{"another's", fsm.Facts{Observed: &fsm.Observation{ID: "default.db-01.9"}}},
	{"believed detached", fsm.Facts{Believed: true, Observed: &fsm.Observation{Present: true}}},
	{"believed attached", fsm.Facts{Believed: true, Observed: &fsm.Observation{Present: true, Attachments: volume.Attachments{{Node: "n1"}}}}},
	{"on a stranger", fsm.Facts{Stranger: true, Observed: &fsm.Observation{Present: true, Attachments: volume.Attachments{{Node: "n1"}}}}},
	{"both attached", fsm.Facts{RecordAttached: true, Observed: &fsm.Observation{Present: true, Attachments: volume.Attachments{{Node: "n1"}}}}},
}

type nextFunc func(volume.State, volume.Event, fsm.Facts) (volume.State, error)

// checkMatrix compares a machine with A3 under all facts and returns what is wrong.
func checkMatrix(next nextFunc) (valid, refused int, faults []string) {
	for _, state := range seedStates {
		for _, event := range seedEvents {
			want, isValid := validPairs[pair{state, event}]
			if isValid {
				valid++
			} else {
				refused++
				want = state
			}
			for _, f := range someFacts {
				got, err := next(state, event, f.facts)
				if got != want || isValid != (err == nil) || err != nil && !errors.Is(err, volume.ErrInvalidTransition) {
					faults = append(faults, fmt.Sprintf("%s in %s (%s): got %s, %v, want %s, valid %v", event, state, f.name, got, err, want, isValid))
				}
			}
		}
	}
	return valid, refused, faults
}

func TestMatrix(t *testing.T) {
	valid, refused, faults := checkMatrix(fsm.Next)
	if len(faults) > 0 {
		t.Errorf("the table departs from A3:\n%s", strings.Join(faults, "\n"))
	}
	if valid != 20 || refused != 123 {
		t.Errorf("got %d valid and %d refused pairs, want 20 and 123", valid, refused)
	}
	if !slices.Equal(volume.States()[:13], seedStates) || !slices.Equal(volume.Events()[:11], seedEvents) {
		t.Errorf("got %v and %v, want those of A1 and A2 first", volume.States(), volume.Events())
	}
}

// TestMatrix_SeesAPlantedViolation bends the machine at one place at a time.
func TestMatrix_SeesAPlantedViolation(t *testing.T) {
	plant := func(at pair, to volume.State, err error) nextFunc {
		return func(from volume.State, event volume.Event, facts fsm.Facts) (volume.State, error) {
			if (pair{from, event}) == at {
				return to, err
			}
			return fsm.Next(from, event, facts)
		}
	}
	tests := []struct {
		name string
		next nextFunc
	}{
		{"valid pair refused", plant(pair{"available", "attach"}, "available", volume.ErrInvalidTransition)},
		{"valid pair leads elsewhere", plant(pair{"available", "attach"}, "attached", nil)},
		{"invalid pair accepted", plant(pair{"attached", "attach"}, "attaching", nil)},
		{"invalid pair accepted in place", plant(pair{"attached", "attached"}, "attached", nil)},
		{"refused with the state changed", plant(pair{"attached", "attach"}, "error", volume.ErrInvalidTransition)},
		{"refused with another error", plant(pair{"attached", "attach"}, "attached", volume.ErrInternal)},
	}
	for _, test := range tests {
		if _, _, faults := checkMatrix(test.next); len(faults) == 0 {
			t.Errorf("%s: not seen", test.name)
		}
	}
}

func TestNext_UnknownStateAndEvent(t *testing.T) {
	for range 2 { // asking must not teach the table anything
		for _, p := range []pair{{"", "create"}, {"else", "create"}, {"pending", ""}, {"pending", "else"}, {"pending", "rejected"}} {
			got, err := fsm.Next(p.from, p.event, fsm.Facts{})
			if got != p.from || !errors.Is(err, volume.ErrInvalidTransition) {
				t.Errorf("%q in %q: got %q, %v, want it refused", p.event, p.from, got, err)
			}
		}
	}
}

func TestNext_NamesAnUnmetGuard(t *testing.T) {
	_, err := fsm.Next(volume.StateError, volume.EventReconciled, fsm.Facts{})
	rejected, ok := errors.AsType[*fsm.RejectedError](err)
	if !ok || !slices.Contains(rejected.Unmet, "backendAbsent") || !strings.Contains(err.Error(), "backendAbsent") {
		t.Errorf("got %v, want a RejectedError that names the first guard", err)
	}
}

// TestCanTransition holds it against Next: valid for some facts.
func TestCanTransition(t *testing.T) {
	for _, state := range volume.States() {
		for _, event := range append(volume.Events(), volume.EventRejected) {
			want := slices.ContainsFunc(someFacts, func(f struct {
				name  string
				facts fsm.Facts
			},
			) bool {
				_, err := fsm.Next(state, event, f.facts)
				return err == nil
			})
			if got := fsm.CanTransition(state, event); got != want {
				t.Errorf("%s in %s: got %v, want %v", event, state, got, want)
			}
		}
	}
}

// TestNext_Concurrent: one machine answers all goroutines; the race detector watches.
func TestNext_Concurrent(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			if _, _, faults := checkMatrix(fsm.Next); len(faults) > 0 {
				t.Error(faults)
			}
		})
	}
}

func TestRejectedError(t *testing.T) {
	s := in(t, volume.StateAttached)
	_, err := s.decide(s.usual(volume.VerbAttach))
	rejected, ok := errors.AsType[*fsm.RejectedError](err)
	if !ok || rejected.Key != dbKey || rejected.State != volume.StateAttached || rejected.Verb != volume.VerbAttach {
		t.Fatalf("got %#v", err)
	}
	if want := "attach volume default.db-01 in state attached: attached to node n1: invalid_transition"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, volume.FailedPrecondition) || errors.Is(err, volume.Busy) || volume.CodeOf(err) != volume.ErrInvalidTransition {
		t.Errorf("got code %s and class %s", volume.CodeOf(err), volume.ClassOf(err))
	}
	if volume.ClassOf(err).Retryable() {
		t.Error("got a refusal that retries")
	}
}
