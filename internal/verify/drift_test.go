package verify

import (
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// look ends a command that is decided by what the backend has. A volume that is gone is
// deleted if the command has the id `gone`.
func (h *history) look(command volume.Command) fsm.Decision {
	h.t.Helper()
	if command.ID == "gone" {
		command.RecordOnly = volume.RecordOnlyDelete
	}
	decision, err := fsm.Reconcile(h.record, command, h.seen(), h.now)
	if command.Verb == volume.VerbAdopt {
		spec := volume.Spec{Size: h.object.Size, Attachments: h.object.Attachments, Snapshots: len(h.kept)}
		decision, err = fsm.Adopt(h.record, command, h.object.ID, spec, h.now)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return decision
}

// driftedRun is a volume that grew by itself, and is marked for that.
func driftedRun(t *testing.T) Evidence {
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.object.Size = 2 * volume.MiB
	h.command("c2", volume.VerbReconcile, volume.Args{})
	h.command("c3", volume.VerbReconcile, volume.Args{}) // as before
	return h.rest()
}

// adoptedRun is a volume that was gone, and came back with a snapshot that nobody made.
func adoptedRun(t *testing.T) Evidence {
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	away := h.object
	h.object = nil
	h.command("gone", volume.VerbReconcile, volume.Args{})
	h.object = away
	h.kept = append(h.kept, backends.Snapshot{Name: "found", Size: volume.MiB})
	h.entries = append(h.entries, Entry{
		Project: db01.Project, SnapshotKey: volume.SnapshotKey{Volume: db01.Name, Snapshot: "found"}, Kind: Committed,
		ID: "default.db-01.4@found", Size: volume.MiB,
	})
	h.command("c2", volume.VerbAdopt, volume.Args{})
	h.command("c3", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
	return h.rest()
}

// strangeRun is an attach of a volume that is on a node that nobody asked for.
func strangeRun(t *testing.T) Evidence {
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.object.Attachments = volume.Attachments{{Node: "n9", Mode: volume.ReadWrite}}
	h.refused("c2", volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
	return h.rest()
}

func TestAll_Drift_NoFault(t *testing.T) {
	for name, run := range map[string]func(*testing.T) Evidence{"drifted": driftedRun, "adopted": adoptedRun, "strange": strangeRun} {
		if faults := All(run(t)); len(faults) > 0 {
			t.Errorf("%s: got faults in a clean run:\n%s", name, lines(faults))
		}
	}
}

// A mark excuses what it tells, and nothing else; an adopted volume has what it says.
func TestDrift_PlantedViolation_IsFound(t *testing.T) {
	for name, test := range map[string]struct {
		run   func(*testing.T) Evidence
		check Check
		plant func(*Evidence)
		says  string
	}{
		"not marked": {driftedRun, Backend, func(e *Evidence) {
			e.changeRecord(func(r *volume.Record) { r.Drift = nil })
		}, "record has size 1MiB, backend 2MiB"},
		"marked for something else": {driftedRun, Backend, func(e *Evidence) {
			e.changeRecord(func(r *volume.Record) {
				r.Drift = &volume.Drift{Differences: []volume.Difference{{Kind: volume.DriftNode, Actual: "n1"}}}
			})
		}, "record has size 1MiB, backend 2MiB"},
		"another's in its place, marked for its size": {driftedRun, Backend, func(e *Evidence) {
			e.Objects[0].ID = "default.db-01.77"
		}, "record has id default.db-01.1"},
		"gone, marked for its size": {driftedRun, Backend, func(e *Evidence) { e.Objects = nil }, "backend has 0 objects"},
		"held, marked for its size": {driftedRun, Backend, func(e *Evidence) {
			e.Objects[0].Attachments = volume.Attachments{{Node: "n9", Mode: volume.ReadWrite}}
		}, "record has attachments"},
		"an event that does not tell the mark": {driftedRun, Records, func(e *Evidence) {
			e.Transitions[e.event("c3", 0)].Spec.Drift = nil
		}, "record has spec"},
		"a drift in a state that has none": {driftedRun, Generations, func(e *Evidence) {
			e.Transitions[e.event("c2", 0)].Event = volume.EventAdopted
		}, "has no adopted from available"},
		"adopted with more snapshots than are entered": {adoptedRun, Chains, func(e *Evidence) {
			e.changeRecord(func(r *volume.Record) { r.Snapshots++ })
		}, "record has 2 snapshots, 1 are entered"},
		"adopted with a snapshot that is not entered": {adoptedRun, Chains, func(e *Evidence) { e.Entries = nil }, "backend has snapshot found"},
		"adopted, half restored by nothing": {adoptedRun, Lineage, func(e *Evidence) {
			e.spec("c3", 1).HalfRestored = "found"
		}, `half restored "found"`},
		"an attach that found a stranger is told as done": {strangeRun, Answers, func(e *Evidence) {
			e.command("c2").Answers[0].Outcome = volume.Succeeded
		}, "answer succeeded"},
		"a reconcile that found a drift is told as failed": {driftedRun, Answers, func(e *Evidence) {
			e.command("c2").Answers[0].Outcome = volume.Failed
		}, "answer failed"},
	} {
		t.Run(name, func(t *testing.T) {
			e := test.run(t)
			test.plant(&e)
			wantFound(t, test.check(e), "", test.says)
		})
	}
}

// refused ends the operation that args begin by the backend's refusal.
func (h *history) refused(id volume.CommandID, verb volume.Verb, args volume.Args) {
	h.t.Helper()
	h.sequence++
	h.must(fsm.Decide(h.record, h.request(id, verb, args), h.tick()))
	h.must(fsm.Fail(h.record, volume.BackendError(volume.FailedPrecondition), fsm.DefaultRetryPolicy(), h.tick()))
	decision, err := fsm.Settle(h.record, h.seen(), h.tick())
	h.must(decision, err)
	h.answer(id, verb, decision)
}
