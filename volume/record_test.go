package volume_test

import (
	"testing"

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
