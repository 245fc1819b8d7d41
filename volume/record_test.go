package volume_test

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

func TestState_InProgressAndFailed(t *testing.T) {
	settled := map[volume.State]bool{
		volume.StatePending: true, volume.StateAvailable: true, volume.StateAttached: true,
		volume.StateDeleted: true, volume.StateError: true,
	}
	failed := map[volume.State]bool{
		volume.StateCreatingFailed: true, volume.StateAttachingFailed: true, volume.StateDetachingFailed: true,
		volume.StateDeletingFailed: true, volume.StateExtendingFailed: true,
		volume.StateEvictingFailed: true, volume.StateSnapshottingFailed: true, volume.StatePruningFailed: true,
		volume.StateRestoringFailed: true, volume.StateFlatteningFailed: true,
	}
	for _, state := range volume.States() {
		if got, want := state.InProgress(), !settled[state]; got != want {
			t.Errorf("state %s: got in progress %v, want %v", state, got, want)
		}
		if got, want := state.Failed(), failed[state]; got != want {
			t.Errorf("state %s: got failed %v, want %v", state, got, want)
		}
	}
}

func TestRecord_Exists(t *testing.T) {
	tests := []struct {
		name   string
		record volume.Record
		want   bool
	}{
		{"never was", volume.Record{State: volume.StatePending}, false},
		{"deleted", volume.Record{ID: "default.db-01.1", State: volume.StateDeleted}, false},
		{"pending", volume.Record{ID: "default.db-01.1", State: volume.StatePending}, true},
		{"broken", volume.Record{ID: "default.db-01.1", State: volume.StateError}, true},
	}
	for _, test := range tests {
		if got := test.record.Exists(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestRecord_Outcome(t *testing.T) {
	record := volume.Record{Outcomes: []volume.Outcome{{CommandID: "a", Generation: 1}, {CommandID: "b", Generation: 2}}}
	if got, ok := record.Outcome("b"); !ok || got.Generation != 2 {
		t.Errorf("got %+v, %v, want the outcome of b", got, ok)
	}
	if got, ok := record.Outcome("c"); ok || got != (volume.Outcome{}) {
		t.Errorf("got %+v, %v, want no outcome", got, ok)
	}
}

func TestTransition_Same_OnlyOfOneDecision(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	one := volume.Transition{ID: "default.v/1", CommandID: "c-1", CommandSequence: 7, Time: at, Previous: "a"}
	for name, test := range map[string]struct {
		change func(*volume.Transition)
		want   bool
	}{
		"as it was read back": {func(t *volume.Transition) { t.Time = at.Local() }, true},
		"another generation":  {func(t *volume.Transition) { t.ID = "default.v/2" }, false},
		"another command":     {func(t *volume.Transition) { t.CommandID = "c-2" }, false},
		"sent again":          {func(t *volume.Transition) { t.CommandSequence = 8 }, false},
		"decided again":       {func(t *volume.Transition) { t.Time = at.Add(1) }, false},
		"what is no event":    {func(t *volume.Transition) { *t = volume.Transition{} }, false},
	} {
		other := one
		test.change(&other)
		if got := one.Same(other); got != test.want || other.Same(one) != got {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}
