package fsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestDecide_CreateOfAClone(t *testing.T) {
	const gib = volume.GiB
	own := volume.SnapshotKey{Volume: dbKey.Name, Snapshot: "gold"}
	tests := []struct {
		name string
		args volume.Args
		want volume.Code
		size volume.Bytes
	}{
		{"of the snapshot's size", volume.Args{Source: source}, "", gib},
		{"of the same size, said", volume.Args{Source: source, Size: gib}, "", gib},
		{"larger", volume.Args{Source: source, Size: gib + 1}, "", gib + 1},
		{"of the greatest size", volume.Args{Source: source, Size: volume.MaxSize}, "", volume.MaxSize},
		{"view", volume.Args{Source: source, ReadOnly: true}, "", gib},
		{"view of the same size, said", volume.Args{Source: source, ReadOnly: true, Size: gib}, "", gib},

		{"smaller", volume.Args{Source: source, Size: gib - 1}, volume.ErrInvalidSize, 0},
		{"of less than nothing", volume.Args{Source: source, Size: -1}, volume.ErrInvalidSize, 0},
		{"too large", volume.Args{Source: source, Size: volume.MaxSize + 1}, volume.ErrInvalidSize, 0},
		{"view, smaller", volume.Args{Source: source, ReadOnly: true, Size: gib - 1}, volume.ErrInvalidSize, 0},
		{"view, larger", volume.Args{Source: source, ReadOnly: true, Size: gib + 1}, volume.ErrInvalidSize, 0},
		{"view of nothing", volume.Args{ReadOnly: true, Size: gib}, volume.ErrInvalidArgument, 0},
		{"of itself", volume.Args{Source: own}, volume.ErrInvalidArgument, 0},
		{"neither size nor source", volume.Args{}, volume.ErrInvalidSize, 0},
	}
	for _, state := range []volume.State{volume.StatePending, volume.StateDeleted} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s/%s", state, test.name), func(t *testing.T) {
				s := in(t, state)
				_, err := s.decide(s.command(volume.VerbCreate, test.args))
				wantCode(t, err, test.want)
				if r := s.record; err == nil && (r.Size != test.size || r.Source != test.args.Source || r.ReadOnly != test.args.ReadOnly) {
					t.Errorf("got %s of %q, read only %t, want %s of %q, %t", r.Size, r.Source, r.ReadOnly, test.size, test.args.Source, test.args.ReadOnly)
				}
			})
		}
	}
}

// wantCode wants an error with the code, or none.
func wantCode(t *testing.T, err error, want volume.Code) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && volume.CodeOf(err) != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestDecide_NewLife_ForgetsTheChainOfTheOldOne: also what a tombstone still says.
func TestDecide_NewLife_ForgetsTheChainOfTheOldOne(t *testing.T) {
	s := cloneIn(t, volume.StateDeleted)
	s.record.Snapshots, s.record.HalfRestored, s.record.ReadOnly = 3, "monday", true
	s.make = volume.Args{Size: volume.GiB}
	s.run(volume.VerbCreate)
	if r := s.record; !r.Source.IsZero() || r.ReadOnly || r.Snapshots != 0 || r.HalfRestored != "" {
		t.Errorf("got %+v, want nothing of it", r.Spec)
	}
}

// chains are volumes whose snapshots, or whose being one, stand in the way of something.
var chains = map[string]func(*volume.Record){
	"plain":             func(*volume.Record) {},
	"clone":             func(r *volume.Record) { r.Source = source },
	"view":              func(r *volume.Record) { r.Source, r.ReadOnly = source, true },
	"flattened view":    func(r *volume.Record) { r.ReadOnly = true },
	"one snapshot":      func(r *volume.Record) { r.Snapshots = 1 },
	"nearly full":       func(r *volume.Record) { r.Snapshots = volume.MaxSnapshots - 1 },
	"full":              func(r *volume.Record) { r.Snapshots = volume.MaxSnapshots },
	"half restored":     func(r *volume.Record) { r.Snapshots, r.HalfRestored = 1, "monday" },
	"half, no snapshot": func(r *volume.Record) { r.HalfRestored = "monday" },
}

// chainVerdicts is what becomes of each verb for such a volume that is available: the event
// that begins, or the code of the refusal.
const chainVerdicts = `
volume          delete         attach            read              resize            snapshot            delete_snapshot  restore           flatten  unmanage
plain           delete         attach            attach            extend            snapshot            prune            restore           not_a_clone  delete
clone           delete         attach            attach            extend            snapshot            prune            restore           flatten  is_a_clone
view            delete         read_only_volume  attach            read_only_volume  read_only_volume    prune            read_only_volume  flatten  is_a_clone
flattened_view  delete         read_only_volume  attach            read_only_volume  read_only_volume    prune            read_only_volume  not_a_clone  delete
one_snapshot    has_snapshots  attach            attach            extend            snapshot            prune            restore           not_a_clone  has_snapshots
nearly_full     has_snapshots  attach            attach            extend            snapshot            prune            restore           not_a_clone  has_snapshots
full            has_snapshots  attach            attach            extend            too_many_snapshots  prune            restore           not_a_clone  has_snapshots
half_restored   has_snapshots  half_restored     half_restored     half_restored     half_restored       prune            restore           not_a_clone  has_snapshots
half,_no_snapshot delete         half_restored     half_restored     half_restored     half_restored       prune            restore           not_a_clone  half_restored
`

func TestDecide_WhatAChainAllows(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(chainVerdicts), "\n")
	if got, want := len(rows)-1, len(chains); got != want {
		t.Fatalf("got %d rows, want %d", got, want)
	}
	verbs := strings.Fields(rows[0])[1:]
	for _, row := range rows[1:] {
		columns := strings.Fields(row)
		name := strings.ReplaceAll(columns[0], "_", " ")
		for i, verb := range verbs {
			t.Run(name+"/"+verb, func(t *testing.T) {
				s := in(t, volume.StateAvailable)
				chains[name](&s.record)
				command := s.usual(volume.Verb(verb))
				if verb == "read" {
					command = s.command(volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadOnly})
				}
				decision, err := s.decide(command)
				if got := verdict(decision, err); got != columns[i+1] {
					t.Fatalf("got %s (%v), want %s", got, err, columns[i+1])
				}
				if err != nil && volume.ClassOf(err) != volume.FailedPrecondition {
					t.Errorf("got class %s, want %s", volume.ClassOf(err), volume.FailedPrecondition)
				}
			})
		}
	}
}

// TestDecide_WithSnapshots_IsDeletedFromNoState: a pending or broken one, either.
func TestDecide_WithSnapshots_IsDeletedFromNoState(t *testing.T) {
	for _, make := range []func() *story{
		func() *story { return in(t, volume.StateError) },
		func() *story { s := in(t, volume.StateCreating); s.fail(errCancel); s.settle(absent); return s },
	} {
		s := make()
		s.record.Snapshots = 2
		_, err := s.decide(s.usual(volume.VerbDelete))
		wantCode(t, err, volume.ErrHasSnapshots)
		s.record.Snapshots = 0
		_, err = s.decide(s.usual(volume.VerbDelete))
		wantCode(t, err, "")
	}
}

func TestDecide_Attached(t *testing.T) {
	readers := func(change func(*volume.Record)) *story {
		s := readBy(t, "n1")
		change(&s.record)
		return s
	}
	reader := volume.Args{Node: "n2", Mode: volume.ReadOnly}
	for name, test := range map[string]struct {
		story *story
		verb  volume.Verb
		args  volume.Args
		want  volume.Code
	}{
		"view, one more reader":          {readers(chains["view"]), volume.VerbAttach, reader, ""},
		"half restored, one more reader": {readers(chains["half restored"]), volume.VerbAttach, reader, volume.ErrHalfRestored},
		"half restored, detach":          {readers(chains["half restored"]), volume.VerbDetach, volume.Args{}, ""},
		"half restored, snapshot":        {readers(chains["half restored"]), volume.VerbSnapshot, volume.Args{Snapshot: "monday"}, volume.ErrHalfRestored},
		"half restored, node gone":       {readers(chains["half restored"]), volume.VerbNodeGone, volume.Args{Node: "n1", Reason: "dead"}, ""},
		"view, snapshot":                 {readers(chains["view"]), volume.VerbSnapshot, volume.Args{Snapshot: "monday"}, volume.ErrReadOnlyVolume},
		"view, flatten":                  {readers(chains["view"]), volume.VerbFlatten, volume.Args{}, ""},
		"plain, flatten":                 {readers(chains["plain"]), volume.VerbFlatten, volume.Args{}, volume.ErrNotAClone},
		"full, snapshot":                 {readers(chains["full"]), volume.VerbSnapshot, volume.Args{Snapshot: "monday"}, volume.ErrTooManySnapshots},
		"full, delete one":               {readers(chains["full"]), volume.VerbDeleteSnapshot, volume.Args{Snapshot: "monday"}, ""},
		"held, restore":                  {readers(chains["one snapshot"]), volume.VerbRestore, volume.Args{Snapshot: "monday"}, volume.ErrInvalidTransition},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.story.decide(test.story.command(test.verb, test.args))
			wantCode(t, err, test.want)
		})
	}
}

func TestDecide_Refusals_SayWhatIsInTheWay(t *testing.T) {
	for _, test := range []struct {
		chain string
		verb  volume.Verb
		want  string
	}{
		{"one snapshot", volume.VerbDelete, "delete volume default.db-01 in state available: snapshots of it: 1; delete them first: has_snapshots"},
		{"view", volume.VerbResize, "resize volume default.db-01 in state available: it is a view of base-01@gold: read_only_volume"},
		{"view", volume.VerbAttach, "attach volume default.db-01 in state available: it is a view of base-01@gold: attach it with mode read-only: read_only_volume"},
		{"flattened view", volume.VerbResize, "resize volume default.db-01 in state available: it is read only: read_only_volume"},
		{"flattened view", volume.VerbAttach, "attach volume default.db-01 in state available: it is read only: attach it with mode read-only: read_only_volume"},
		{"half restored", volume.VerbAttach, "attach volume default.db-01 in state available: " +
			"the restore of snapshot monday did not end: restore it, or another one, again: half_restored"},
	} {
		s := in(t, volume.StateAvailable)
		chains[test.chain](&s.record)
		if _, err := s.decide(s.usual(test.verb)); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.chain, err, test.want)
		}
	}
}

// TestRejectedError_Blockers: what stands in the way reaches the event and the answer.
func TestRejectedError_Blockers(t *testing.T) {
	s := in(t, volume.StateAvailable)
	s.record.Snapshots = 1
	command := s.usual(volume.VerbDelete)
	_, err := s.decide(command)
	rejected, ok := errors.AsType[*fsm.RejectedError](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	want := volume.Blocker{Kind: volume.BlockedBySnapshot, Name: "monday"}
	rejected.By = []volume.Blocker{want}
	decision := s.reject(command, rejected)
	for name, failure := range map[string]*volume.Failure{"event": decision.Transition.Failure, "answer": decision.Outcome.Failure} {
		if len(failure.BlockedBy) != 1 || failure.BlockedBy[0] != want {
			t.Errorf("%s: got %+v, want %+v", name, failure.BlockedBy, want)
		}
	}
}
