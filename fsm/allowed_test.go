package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestAllowed_EveryTriple_AgreesWithNext(t *testing.T) {
	for _, from := range volume.States() {
		for _, event := range volume.Events() {
			reachable := map[volume.State]bool{}
			for _, f := range someFacts {
				if to, err := fsm.Next(from, event, f.facts); err == nil {
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
