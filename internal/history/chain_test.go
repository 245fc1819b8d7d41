package history

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

var (
	monday  = volume.Args{Snapshot: "monday"}
	friday  = volume.Args{Snapshot: "friday"}
	ofOther = volume.Args{Source: volume.SnapshotKey{Volume: "other", Snapshot: "sunday"}}
)

// chained is a history of a clone, its snapshots and its restores.
func chained() []call {
	available := func(c call) call { c.volume, c.state = first, volume.StateAvailable; return c }
	attached := func(c call) call { c.volume, c.state = first, volume.StateAttached; return c }
	succeeded, failed, rejected := volume.Succeeded, volume.Failed, volume.Rejected
	return []call{
		{id: "c00", verb: volume.VerbCreate, args: ofOther, from: 1, to: 2, outcome: rejected, code: volume.ErrSnapshotNotFound},
		available(call{id: "c01", verb: volume.VerbCreate, args: ofOther, from: 3, to: 4, outcome: succeeded, generation: 2}),
		// Two of one name at the same time.
		available(call{id: "c02", verb: volume.VerbSnapshot, args: monday, from: 5, to: 7, outcome: succeeded, generation: 4}),
		available(call{id: "c03", verb: volume.VerbSnapshot, args: monday, from: 5, to: 7, outcome: rejected, code: volume.ErrSnapshotExists, generation: 4}),
		available(call{id: "c04", verb: volume.VerbDelete, from: 8, to: 9, outcome: rejected, code: volume.ErrHasSnapshots, generation: 4}),
		available(call{id: "c05", verb: volume.VerbDeleteSnapshot, args: friday, from: 8, to: 9, outcome: rejected, code: volume.ErrSnapshotNotFound, generation: 4}),
		available(call{id: "c06", verb: volume.VerbDeleteSnapshot, args: monday, from: 8, to: 9, outcome: rejected, code: volume.ErrSnapshotInUse, generation: 4}),
		// One that was given up may be there; its delete shows that it is.
		available(call{id: "c07", verb: volume.VerbSnapshot, args: friday, from: 10, to: 11, outcome: failed, code: volume.ErrBackendUnavailable, generation: 7}),
		available(call{id: "c08", verb: volume.VerbDeleteSnapshot, args: friday, from: 12, to: 13, outcome: succeeded, generation: 9}),
		// A restore that was cancelled leaves it half restored, until another one ends, which
		// has told of its progress.
		available(call{id: "c09", verb: volume.VerbRestore, args: monday, from: 14, to: 16, outcome: failed, code: volume.ErrCancelled, generation: 12}),
		available(call{id: "c10", verb: volume.VerbCancel, args: volume.Args{Target: "c09"}, from: 15, to: 16, outcome: succeeded, generation: 12}),
		available(call{id: "c11", verb: volume.VerbAttach, args: n1, from: 17, to: 18, outcome: rejected, code: volume.ErrHalfRestored, generation: 12}),
		available(call{id: "c12", verb: volume.VerbRestore, args: monday, from: 19, to: 20, outcome: succeeded, generation: 15}),
		attached(call{id: "c13", verb: volume.VerbAttach, args: n1, from: 21, to: 22, outcome: succeeded, generation: 17}),
		attached(call{id: "c14", verb: volume.VerbRestore, args: monday, from: 23, to: 24, outcome: rejected, code: volume.ErrInvalidTransition, generation: 17}),
		attached(call{id: "c15", verb: volume.VerbFlatten, from: 25, to: 26, outcome: succeeded, generation: 19}),
		attached(call{id: "c16", verb: volume.VerbFlatten, from: 27, to: 28, outcome: rejected, code: volume.ErrNotAClone, generation: 19}),
		attached(call{id: "c17", verb: volume.VerbDeleteSnapshot, args: monday, from: 29, to: 30, outcome: succeeded, generation: 21}),
		available(call{id: "c18", verb: volume.VerbDetach, from: 31, to: 32, outcome: succeeded, generation: 23}),
		{id: "c19", verb: volume.VerbDelete, from: 33, to: 34, outcome: succeeded, volume: first, state: volume.StateDeleted, generation: 25},
		// The source is being deleted.
		{id: "c20", verb: volume.VerbCreate, args: ofOther, from: 35, to: 36, outcome: rejected, code: volume.ErrBackendBusy, volume: first, state: volume.StateDeleted, generation: 25},
	}
}

func TestCheck_ChainedHistory_NoFault(t *testing.T) {
	if result := mustCheck(t, chained()); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
	// The other end of the snapshot that was given up: it is not there.
	calls := chained()
	calls[8].outcome, calls[8].code, calls[8].generation = volume.Rejected, volume.ErrSnapshotNotFound, 7
	for i := range calls[9:] {
		calls[9+i].generation -= 2
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("without the snapshot: got %v, want none", result.Faults)
	}
}

func TestCheck_View_IsOnlyRead(t *testing.T) {
	view := ofOther
	view.ReadOnly = true
	calls := chained()[1:2]
	calls[0].args = view
	again := calls[0]
	for i, one := range []struct {
		verb volume.Verb
		args volume.Args
	}{
		{volume.VerbAttach, n1},
		{volume.VerbSnapshot, monday},
		{volume.VerbResize, volume.Args{Size: 9 * volume.MiB}},
	} {
		refused := again
		refused.id, refused.verb, refused.args = volume.CommandID('d'+rune(i)), one.verb, one.args
		refused.from, refused.to, refused.outcome, refused.code = 10+2*i, 11+2*i, volume.Rejected, volume.ErrReadOnlyVolume
		calls = append(calls, refused)
	}
	if result := mustCheck(t, calls); len(result.Faults) > 0 {
		t.Errorf("got %v, want none", result.Faults)
	}
	for i := range calls[1:] {
		wrong := append([]call{}, calls...)
		wrong[1+i].outcome, wrong[1+i].code, wrong[1+i].generation = volume.Succeeded, "", 4
		if wrong[1+i].verb == volume.VerbAttach {
			wrong[1+i].state = volume.StateAttached
		}
		if result := mustCheck(t, wrong[:2+i]); len(result.Faults) != 1 {
			t.Errorf("%s of a view: got %v, want one fault", wrong[1+i].verb, result.Faults)
		}
	}
}

func TestCheck_ChainedHistory_PlantedViolation_IsFound(t *testing.T) {
	rejected := func(calls []call, n int, code volume.Code) {
		calls[n].outcome, calls[n].code, calls[n].state = volume.Rejected, code, calls[n-1].state
		calls[n].generation = calls[n-1].generation
	}
	succeeded := func(calls []call, n int) {
		calls[n].outcome, calls[n].code, calls[n].generation = volume.Succeeded, "", calls[n-1].generation+2
	}
	for _, test := range []struct {
		name  string
		upTo  int // calls that there are
		plant func(calls []call)
	}{
		{"two snapshots of one name", 4, func(calls []call) { succeeded(calls, 3) }},
		{"a snapshot existed that was never made", 3, func(calls []call) { rejected(calls, 2, volume.ErrSnapshotExists) }},
		{"a volume with a snapshot was deleted", 5, func(calls []call) {
			succeeded(calls, 4)
			calls[4].state = volume.StateDeleted
		}},
		{"a volume without snapshots had some", 20, func(calls []call) { rejected(calls, 19, volume.ErrHasSnapshots) }},
		{"a snapshot was lost", 6, func(calls []call) { calls[5].args = monday }},
		{"a snapshot was deleted that never was", 6, func(calls []call) { succeeded(calls, 5) }},
		{"a snapshot that never was has clones", 7, func(calls []call) { calls[6].args = friday }},
		{"a deleted snapshot was restored", 13, func(calls []call) { calls[12].args = friday }},
		{"a half restored volume was attached", 14, func(calls []call) { rejected(calls, 12, volume.ErrInvalidTransition) }},
		{"a whole volume was half restored", 14, func(calls []call) { rejected(calls, 13, volume.ErrHalfRestored) }},
		{"an attached volume was restored", 15, func(calls []call) { succeeded(calls, 14) }},
		{"it was flattened twice", 17, func(calls []call) { succeeded(calls, 16) }},
		{"a clone was none", 16, func(calls []call) { rejected(calls, 15, volume.ErrNotAClone) }},
		{"a snapshot detached the volume", 18, func(calls []call) { calls[17].state = volume.StateAvailable }},
		{"the source was not looked up for an empty volume", 1, func(calls []call) { calls[0].args = mib }},
	} {
		t.Run(test.name, func(t *testing.T) {
			calls := chained()[:test.upTo]
			test.plant(calls)
			if result := mustCheck(t, calls); len(result.Faults) != 1 || !strings.Contains(result.Faults[0].Detail, "no order") {
				t.Errorf("got %v, want one fault", result.Faults)
			}
		})
	}
}
