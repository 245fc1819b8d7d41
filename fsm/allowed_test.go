package fsm_test

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestAllowed_EveryTriple_AgreesWithNext(t *testing.T) {
	seen := []fsm.Facts{{}, {RecordAttached: true}, {Observed: &fsm.Observation{}}, {Observed: &fsm.Observation{Present: true}}, {
		Observed: &fsm.Observation{Present: true, Attachments: volume.Attachments{{Node: "n1"}}},
	}}
	for _, facts := range slices.Clone(seen) {
		believed := facts
		believed.Believed = true
		stranger := facts
		stranger.Stranger = true
		seen = append(seen, believed, stranger)
		for _, policy := range volume.RecordOnlyPolicies() {
			facts.RecordOnly = policy
			seen = append(seen, facts)
		}
	}
	for _, from := range volume.States() {
		for _, event := range volume.Events() {
			reachable := map[volume.State]bool{}
			for _, facts := range seen {
				if to, err := fsm.Next(from, event, facts); err == nil {
					reachable[to] = true
				}
			}
			for _, to := range volume.States() {
				if got := fsm.Allowed(from, event, to); got != reachable[to] {
					t.Errorf("%s --%s--> %s: got %v, want %v", from, event, to, got, reachable[to])
				}
			}
		}
	}
}
