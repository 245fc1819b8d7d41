package provision_test

import (
	"testing"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
)

// TestApply_Replicas_ZeroKeeps: what exists with three replicas keeps them if nobody says how many.
func TestApply_Replicas_ZeroKeeps(t *testing.T) {
	js := natstest.StartCluster(t, 3).JetStream(t)
	if report := apply(t, js, provision.Options{Replicas: 3}); len(report.Created) != 5 {
		t.Fatalf("got %+v, want all created", report)
	}
	for _, options := range []provision.Options{{}, {Replicas: 3}, {Update: true}} {
		if report := apply(t, js, options); len(report.Existing) != 5 || len(report.Differences) != 0 {
			t.Errorf("%+v: got %+v, want no difference", options, report)
		}
	}
	report := apply(t, js, provision.Options{Replicas: 1})
	if len(report.Differences) != 5 || report.Fatal() != nil {
		t.Errorf("got %+v, want five differences, none of them fatal", report)
	}
	if got := configOf(t, js, events.StreamName).Replicas; got != 3 {
		t.Errorf("got %d replicas, want 3", got)
	}
}
