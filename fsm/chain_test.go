package fsm_test

import (
	"reflect"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// aboutSnapshots are the verbs that a volume in use takes too, each with what it leaves.
var aboutSnapshots = []volume.Verb{volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbFlatten}

// TestSnapshots_ReturnToWhereTheyBegan: done or given up, by what the record knows.
func TestSnapshots_ReturnToWhereTheyBegan(t *testing.T) {
	for _, state := range []volume.State{volume.StateAvailable, volume.StateAttached} {
		for _, verb := range aboutSnapshots {
			for name, end := range map[string]func(*story) fsm.Decision{
				"done":      (*story).succeed,
				"given up":  func(s *story) fsm.Decision { s.fail(errBroken); return s.giveUp() },
				"no answer": func(s *story) fsm.Decision { s.fail(errCancel); return s.giveUp() },
			} {
				t.Run(string(state)+"/"+string(verb)+"/"+name, func(t *testing.T) {
					s := cloneIn(t, state)
					before := s.record
					s.begin(verb)
					decision := end(s)
					if r := s.record; r.State != state || !reflect.DeepEqual(r.Attachments, before.Attachments) || r.Size != before.Size {
						t.Errorf("got %s of %s on %s, want %s of %s on %s", r.State, r.Size, r.Attachments, state, before.Size, before.Attachments)
					}
					if decision.Outcome.State != state || (decision.Outcome.Result == volume.Succeeded) != (name == "done") {
						t.Errorf("got %+v", decision.Outcome)
					}
				})
			}
		}
	}
}

func TestFlatten_EndsTheSharing_OnlyIfItIsDone(t *testing.T) {
	s := cloneIn(t, volume.StateFlattening)
	s.fail(errBroken)
	if s.giveUp(); s.record.Source != source {
		t.Errorf("given up: got source %q, want %s", s.record.Source, source)
	}
	s.begin(volume.VerbFlatten)
	s.fail(errCancel)
	if s.settle(present(volume.GiB, nil)); s.record.Source != source {
		t.Errorf("cancelled: got source %q, want %s", s.record.Source, source)
	}
	if s.run(volume.VerbFlatten); !s.record.Source.IsZero() {
		t.Errorf("done: got source %s, want none", s.record.Source)
	}
}

func TestSnapshots_AreCounted(t *testing.T) {
	counted := func(n int) fsm.Observation {
		seen := present(volume.GiB, nil)
		seen.Snapshots = &n
		return seen
	}
	gone := counted(0)
	gone.Present = false
	for _, test := range []struct {
		name string
		had  int
		tell func(*story)
		want int
	}{
		{"made", 0, func(s *story) { s.run(volume.VerbSnapshot) }, 1},
		{"made another", 7, func(s *story) { s.run(volume.VerbSnapshot) }, 8},
		{"deleted", 2, func(s *story) { s.run(volume.VerbDeleteSnapshot) }, 1},
		{"deleted one that was not counted", 0, func(s *story) { s.run(volume.VerbDeleteSnapshot) }, 0},
		{"not made", 2, func(s *story) { s.begin(volume.VerbSnapshot); s.fail(errBroken); s.giveUp() }, 2},
		{"not deleted", 2, func(s *story) { s.begin(volume.VerbDeleteSnapshot); s.fail(errBroken); s.giveUp() }, 2},
		{"restored", 2, func(s *story) { s.run(volume.VerbRestore) }, 2},
		{"cancelled, counted", 2, func(s *story) { s.begin(volume.VerbSnapshot); s.fail(errCancel); s.settle(counted(3)) }, 3},
		{"cancelled, not counted", 2, func(s *story) { s.begin(volume.VerbSnapshot); s.fail(errCancel); s.settle(present(1, nil)) }, 2},
		{"cancelled, volume lost", 2, func(s *story) { s.begin(volume.VerbSnapshot); s.fail(errCancel); s.settle(absent) }, 2},
		{"refused, counted", 2, func(s *story) { s.begin(volume.VerbDeleteSnapshot); s.fail(errHeld); s.settle(counted(1)) }, 1},
		{"reconciled, counted", 2, func(s *story) { s.reconcile(counted(5)) }, 5},
		{"reconciled, none left", 2, func(s *story) { s.reconcile(counted(0)) }, 0},
		{"reconciled, not counted", 2, func(s *story) { s.reconcile(present(volume.GiB, nil)) }, 2},
		{"reconciled, volume lost", 2, func(s *story) { s.reconcile(absent) }, 2},
		{"reconciled, volume lost, counted", 2, func(s *story) { s.reconcile(gone) }, 0},
		{"reconciled, volume lost, twice", 2, func(s *story) { s.reconcile(absent); s.reconcile(absent) }, 0},
		{"reconciled, lost and found", 2, func(s *story) { s.reconcile(absent); s.reconcile(counted(2)) }, 2},
		{"node gone, counted", 2, func(s *story) { s.begin(volume.VerbNodeGone); s.evicted(counted(4)) }, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := in(t, volume.StateAvailable)
			s.record.Snapshots = test.had
			test.tell(s)
			if told := s.told[len(s.told)-1].Spec.Snapshots; s.record.Snapshots != test.want || told != test.want {
				t.Errorf("got %d, told %d, want %d", s.record.Snapshots, told, test.want)
			}
		})
	}
}

// TestReconcile_LostVolumeWithSnapshots_CanBeDeleted: its snapshots are gone with it, and
// so cannot be deleted first.
func TestReconcile_LostVolumeWithSnapshots_CanBeDeleted(t *testing.T) {
	s := keptStory(t)
	s.reconcile(absent)
	s.reconcile(absent)
	if s.run(volume.VerbDelete); s.record.State != volume.StateDeleted {
		t.Errorf("got %s, want deleted", s.record.State)
	}
}

// TestSnapshot_IDs: each is that of the transition that began it, so that a name that is
// used again is another snapshot.
func TestSnapshot_IDs(t *testing.T) {
	s := in(t, volume.StateAvailable)
	seen := map[volume.ID]bool{s.record.ID: true}
	for range 3 {
		begun := s.begin(volume.VerbSnapshot)
		got := begun.Record.Op.Snapshot
		want := volume.Snapshot{Name: "monday", ID: volume.NewID(dbKey, begun.Record.Generation), Size: volume.GiB}
		if got == nil || *got != want || seen[got.ID] {
			t.Fatalf("got %+v, want %+v and a new id", got, want)
		}
		seen[got.ID] = true
		s.fail(errDown)
		s.retry()
		if end := s.succeed(); *end.Transition.Snapshot != want {
			t.Errorf("got %+v at the end, want %+v", end.Transition.Snapshot, want)
		}
		s.run(volume.VerbDeleteSnapshot)
	}
}

func TestTransition_Snapshot_IsTheOperations(t *testing.T) {
	about := map[volume.Verb]*volume.Snapshot{
		volume.VerbSnapshot:       {Name: "monday", ID: volume.NewID(dbKey, 3), Size: volume.GiB},
		volume.VerbDeleteSnapshot: {Name: "monday", Size: keptSize},
		volume.VerbRestore:        {Name: "monday", Size: keptSize},
	}
	for _, verb := range []volume.Verb{
		volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore,
		volume.VerbFlatten, volume.VerbResize, volume.VerbAttach, volume.VerbNodeGone, volume.VerbDelete,
	} {
		s := cloneIn(t, volume.StateAvailable)
		s.begin(verb)
		s.fail(errCancel)
		s.settle(present(volume.GiB, nil))
		for _, told := range s.told[2:] {
			if !reflect.DeepEqual(told.Snapshot, about[verb]) {
				t.Errorf("%s of %s: got %+v, want %+v", told.Event, verb, told.Snapshot, about[verb])
			}
		}
	}
}

func TestAdvance_Progress_IsToldAndMovesNothing(t *testing.T) {
	for _, state := range []volume.State{volume.StateFlattening, volume.StateRestoring} {
		s := in(t, state)
		s.fail(errDown)
		s.retry()
		given := s.record
		for i := range uint64(3) {
			want := volume.Progress{Done: i, Total: 2}
			d := s.progress(want)
			e := d.Transition
			if e.Event != volume.EventProgress || e.Progress == nil || *e.Progress != want || e.Final || e.Failure != nil || e.Attempt != 2 {
				t.Errorf("%s: got %#v, want the progress %+v of attempt 2", state, e, want)
			}
			if d.Action != fsm.ActionNone || d.Outcome != nil || !d.Stores() {
				t.Errorf("%s: got action %q, outcome %+v", state, d.Action, d.Outcome)
			}
		}
		if r := s.record; r.State != state || r.Generation != given.Generation+3 || !reflect.DeepEqual(r.Op, given.Op) {
			t.Errorf("%s: got %s at %d with op %+v, want it to go on", state, r.State, r.Generation, r.Op)
		}
		if step := fsm.NextStep(s.record); step.Kind != fsm.StepAct {
			t.Errorf("%s: got %+v, want to act", state, step)
		}
		if end := s.succeed(); end.Transition.Progress != nil || end.Outcome.Result != volume.Succeeded {
			t.Errorf("%s: got %+v at the end", state, end.Transition.Progress)
		}
	}
}
