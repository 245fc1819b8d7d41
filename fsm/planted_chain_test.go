package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// cleanChain is the life of a clone with snapshots, half a restore and a flattening.
func cleanChain(t *testing.T) []fsm.Decision {
	t.Helper()
	s := newStory(t)
	s.make = cloned
	decisions := []fsm.Decision{
		s.begin(volume.VerbCreate), s.succeed(), // 0, 1
		s.begin(volume.VerbSnapshot), s.fail(errDown), s.retry(), s.succeed(), // 2 to 5
		s.begin(volume.VerbRestore), s.progress(volume.Progress{Done: 1, Total: 2}), s.fail(errBroken), s.giveUp(), // 6 to 9
		s.reconcile(present(volume.GiB, nil)), // 10
	}
	refused := s.usual(volume.VerbAttach)
	_, why := s.decide(refused)
	return append(decisions,
		s.reject(refused, why),                   // 11
		s.begin(volume.VerbRestore), s.succeed(), // 12, 13
		s.begin(volume.VerbFlatten), s.progress(volume.Progress{Done: 2, Total: 2}), s.succeed(), // 14 to 16
		s.begin(volume.VerbDeleteSnapshot), s.succeed(), // 17, 18
		s.begin(volume.VerbAttach), s.succeed(), // 19, 20
		s.begin(volume.VerbSnapshot), s.succeed(), // 21, 22
		s.begin(volume.VerbDeleteSnapshot), s.fail(errBroken), s.giveUp()) // 23 to 25
}

// editSpec changes the volume in a decision and in all that follow, and in their events.
func editSpec(decisions []fsm.Decision, from int, change func(*volume.Spec)) {
	for i := range decisions[from:] {
		d := &decisions[from+i]
		change(&d.Record.Spec)
		edit(d, func(e *volume.Transition) { e.Spec = d.Record.Spec })
	}
}

func TestChainChecker_SeesAPlantedViolation(t *testing.T) {
	if err := firstFault(cleanChain(t)); err != nil {
		t.Fatalf("got %v of a clean run", err)
	}
	spec := func(from int, change func(*volume.Spec)) func([]fsm.Decision) {
		return func(d []fsm.Decision) { editSpec(d, from, change) }
	}
	event := func(at int, change func(*volume.Transition)) func([]fsm.Decision) {
		return func(d []fsm.Decision) { edit(&d[at], change) }
	}
	plants := map[string]func([]fsm.Decision){
		"fewer snapshots than none":         spec(18, func(s *volume.Spec) { s.Snapshots -= 2 }),
		"no clone without being flattened":  spec(5, func(s *volume.Spec) { s.Source = volume.SnapshotKey{} }),
		"clone of another":                  spec(5, func(s *volume.Spec) { s.Source.Snapshot = "other" }),
		"still a clone when flattened":      spec(16, func(s *volume.Spec) { s.Source = source }),
		"a view of late":                    spec(5, func(s *volume.Spec) { s.ReadOnly = true }),
		"half restored without a restore":   spec(5, func(s *volume.Spec) { s.HalfRestored = "monday" }),
		"half restored from another":        spec(7, func(s *volume.Spec) { s.HalfRestored = "tuesday" }),
		"half restored and given back":      spec(10, func(s *volume.Spec) { s.HalfRestored = "" }),
		"half restored when it was refused": spec(11, func(s *volume.Spec) { s.HalfRestored = "" }),
		"half restored and restored":        spec(13, func(s *volume.Spec) { s.HalfRestored = "monday" }),
		"half restored and attached":        event(12, func(e *volume.Transition) { e.Event = volume.EventAttach }),
		"snapshot without a name":           event(2, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{ID: e.Snapshot.ID, Size: e.Snapshot.Size} }),
		"snapshot without an id":            event(2, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{Name: "monday", Size: volume.GiB} }),
		"snapshot with the volume's id": event(2, func(e *volume.Transition) {
			e.Snapshot = &volume.Snapshot{Name: "monday", ID: e.VolumeID, Size: volume.GiB}
		}),
		"snapshot of another size":       event(2, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{Name: "monday", ID: e.Snapshot.ID, Size: 1} }),
		"restore without a snapshot":     event(6, func(e *volume.Transition) { e.Snapshot = nil }),
		"restore with an id":             event(6, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{Name: "monday", ID: "x", Size: volume.GiB} }),
		"end without the snapshot":       event(5, func(e *volume.Transition) { e.Snapshot = nil }),
		"retry under another id":         event(4, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{Name: "monday", ID: "x", Size: volume.GiB} }),
		"attach that tells of one":       event(19, func(e *volume.Transition) { e.Snapshot = &volume.Snapshot{Name: "monday"} }),
		"progress untold":                event(15, func(e *volume.Transition) { e.Progress = nil }),
		"progress told by another event": event(16, func(e *volume.Transition) { e.Progress = &volume.Progress{} }),
		"progress that fails":            event(15, func(e *volume.Transition) { e.Failure = &volume.Failure{} }),
	}
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			decisions := cleanChain(t)
			plant(decisions)
			if err := firstFault(decisions); err == nil {
				t.Error("not seen")
			}
		})
	}
}
