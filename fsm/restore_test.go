package fsm_test

import (
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// keptStory returns a story whose volume is available and has the snapshot monday.
func keptStory(t testing.TB) *story {
	t.Helper()
	s := in(t, volume.StateAvailable)
	s.run(volume.VerbSnapshot)
	return s
}

// TestRestore_WhatMarksTheVolume: an attempt that ended without a refusal may have written
// anything; one that was refused has written nothing.
func TestRestore_WhatMarksTheVolume(t *testing.T) {
	there := present(volume.GiB, nil)
	for name, test := range map[string]struct {
		tell func(*story)
		end  volume.State
		want volume.SnapshotName
	}{
		"succeeded":       {func(s *story) { s.succeed() }, volume.StateAvailable, ""},
		"refused at once": {func(s *story) { s.fail(errHeld); s.settle(there) }, volume.StateAvailable, ""},
		"no such snapshot": {func(s *story) {
			s.fail(volume.Errorf(volume.ErrBackendNotFound, "no snapshot monday here"))
			s.settle(there)
		}, volume.StateAvailable, ""},
		"refused as busy": {func(s *story) {
			s.fail(errBusy)
			s.retry()
			s.fail(errBusy)
			s.retry()
			s.fail(errBusy)
			s.settle(there)
		}, volume.StateAvailable, ""},
		"refused, then done":      {func(s *story) { s.fail(errBusy); s.retry(); s.succeed() }, volume.StateAvailable, ""},
		"failed, then done":       {func(s *story) { s.fail(errDown); s.retry(); s.succeed() }, volume.StateAvailable, ""},
		"broken off, then done":   {func(s *story) { s.record = fsm.Interrupted(s.record); s.succeed() }, volume.StateAvailable, ""},
		"told that nothing went":  {func(s *story) { s.progress(volume.Progress{Total: 9}); s.fail(errHeld); s.settle(there) }, volume.StateAvailable, ""},
		"cancelled in a wait":     {func(s *story) { s.fail(errBusy); s.record = fsm.Cancel(s.record, errCancel); s.settle(there) }, volume.StateAvailable, ""},
		"given up":                {func(s *story) { s.fail(errBroken); s.giveUp() }, volume.StateError, "monday"},
		"given up, unavailable":   {func(s *story) { s.policy.MaxAttempts = 1; s.fail(errDown); s.giveUp() }, volume.StateError, "monday"},
		"cancelled":               {func(s *story) { s.fail(errCancel); s.settle(there) }, volume.StateAvailable, "monday"},
		"cancelled, no answer":    {func(s *story) { s.fail(errCancel); s.giveUp() }, volume.StateError, "monday"},
		"failed, then refused":    {func(s *story) { s.fail(errDown); s.retry(); s.fail(errHeld); s.settle(there) }, volume.StateAvailable, "monday"},
		"failed, then cancelled":  {func(s *story) { s.fail(errDown); s.record = fsm.Cancel(s.record, errCancel); s.settle(there) }, volume.StateAvailable, "monday"},
		"got on, then refused":    {func(s *story) { s.progress(volume.Progress{Done: 1, Total: 9}); s.fail(errHeld); s.settle(there) }, volume.StateAvailable, "monday"},
		"broken off, and refused": {func(s *story) { s.record = fsm.Interrupted(s.record); s.fail(errHeld); s.settle(there) }, volume.StateAvailable, "monday"},
	} {
		t.Run(name, func(t *testing.T) {
			s := keptStory(t)
			s.begin(volume.VerbRestore)
			if s.record.HalfRestored != "" {
				t.Fatalf("got half restored from %s before an attempt", s.record.HalfRestored)
			}
			test.tell(s)
			told := s.told[len(s.told)-1].Spec.HalfRestored
			if r := s.record; r.State != test.end || r.HalfRestored != test.want || told != test.want {
				t.Errorf("got %s, half restored from %q, told %q, want %s, %q", r.State, r.HalfRestored, told, test.end, test.want)
			}
		})
	}
}

// half returns a story whose volume is half restored from monday and available.
func half(t testing.TB) *story {
	t.Helper()
	s := keptStory(t)
	s.begin(volume.VerbRestore)
	s.fail(errCancel)
	s.settle(present(volume.GiB, nil))
	return s
}

func TestRestore_OnlyAnotherOneClearsTheMark(t *testing.T) {
	for name, test := range map[string]struct {
		tell func(*story)
		want volume.SnapshotName
	}{
		"reconciled":          {func(s *story) { s.reconcile(present(volume.GiB, nil)) }, "monday"},
		"snapshot deleted":    {func(s *story) { s.run(volume.VerbDeleteSnapshot) }, "monday"},
		"node gone":           {func(s *story) { s.begin(volume.VerbNodeGone); s.evicted(present(volume.GiB, nil)) }, "monday"},
		"refused restore":     {func(s *story) { s.begin(volume.VerbRestore); s.fail(errHeld); s.settle(present(volume.GiB, nil)) }, "monday"},
		"lost, and come back": {func(s *story) { s.reconcile(absent); s.reconcile(present(volume.GiB, nil)) }, "monday"},
		"restored":            {func(s *story) { s.run(volume.VerbRestore) }, ""},
		"restored another": {func(s *story) {
			s.take(volume.VerbRestore, volume.Args{Snapshot: "sunday"})
			s.succeed()
		}, ""},
		"another one failed": {func(s *story) {
			s.take(volume.VerbRestore, volume.Args{Snapshot: "sunday"})
			s.fail(errCancel)
			s.settle(present(volume.GiB, nil))
		}, "sunday"},
		"created anew": {func(s *story) {
			s.run(volume.VerbDeleteSnapshot)
			s.run(volume.VerbDelete)
			s.run(volume.VerbCreate)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := half(t)
			if test.tell(s); s.record.HalfRestored != test.want {
				t.Errorf("got half restored from %q, want %q", s.record.HalfRestored, test.want)
			}
		})
	}
}

// TestInterrupted_OnlyARestore: nothing else leaves content of two times.
func TestInterrupted_OnlyARestore(t *testing.T) {
	for _, state := range volume.States() {
		s := in(t, state)
		given := withSpareRoom(s.record)
		before := fingerprint(t, given)
		next := fsm.Interrupted(fsm.Interrupted(given))
		if fingerprint(t, given) != before {
			t.Errorf("%s: the record that went in was changed", state)
		}
		marked := state == volume.StateRestoring
		if (next.HalfRestored == "monday") != marked || next.Generation != given.Generation || len(next.Outbox) != len(given.Outbox) {
			t.Errorf("%s: got half restored from %q at generation %d, want it marked %t, without an event", state, next.HalfRestored, next.Generation, marked)
		}
		next.HalfRestored = given.HalfRestored
		if fingerprint(t, next) != before {
			t.Errorf("%s: got another record", state)
		}
	}
}

func TestRestore_GivesTheSizeBack(t *testing.T) {
	s := keptStory(t)
	s.run(volume.VerbResize)
	if grown := s.record.Size; grown != 2*volume.GiB {
		t.Fatalf("got %s, want it grown", grown)
	}
	s.begin(volume.VerbRestore)
	if s.record.Size != 2*volume.GiB {
		t.Errorf("got %s before the backend has it", s.record.Size)
	}
	if s.succeed(); s.record.Size != keptSize || s.told[len(s.told)-1].Spec.Size != keptSize {
		t.Errorf("got %s, want that of the snapshot, %s", s.record.Size, keptSize)
	}
}

// TestRestore_SnapshotOfUnknownSize_KeepsTheSize: no volume is of no size.
func TestRestore_SnapshotOfUnknownSize_KeepsTheSize(t *testing.T) {
	s := keptStory(t)
	command := s.usual(volume.VerbRestore)
	command.SourceSize = 0
	if _, err := s.decide(command); err != nil {
		t.Fatal(err)
	}
	if s.succeed(); s.record.Size != volume.GiB {
		t.Errorf("got %s, want %s", s.record.Size, volume.GiB)
	}
}
