package verify

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// entry returns where the entry stands.
func (e *Evidence) entry(key volume.SnapshotKey) *Entry {
	at := slices.IndexFunc(e.Entries, func(entry Entry) bool { return entry.SnapshotKey == key })
	return &e.Entries[at]
}

func (e *Evidence) without(key volume.SnapshotKey) {
	e.Entries = slices.DeleteFunc(e.Entries, func(entry Entry) bool { return entry.SnapshotKey == key })
}

// spec returns what the n-th event of a command says of the volume.
func (e *Evidence) spec(id volume.CommandID, n int) *volume.Spec {
	return &e.Transitions[e.event(id, n)].Spec
}

var (
	cloned       = volume.SnapshotKey{Volume: "db-01"}
	clonedFriday = volume.SnapshotKey{Volume: "db-01", Snapshot: "friday"}
	elsewhere    = volume.Key{Project: "default", Name: "x"}
)

// chainPlants are violations that only snapshots and clones show.
var chainPlants = []struct {
	name  string
	check Check
	plant func(*Evidence)
	want  Class
	says  string
}{
	{"a snapshot was made twice", Lineage, func(e *Evidence) {
		e.Transitions[e.event("d2", 0)].Snapshot.Name = "tuesday"
	}, Doubled, "snapshot tuesday begins and is there"},
	{"a snapshot has another's id", Lineage, func(e *Evidence) {
		snapshot := *e.Transitions[e.event("d2", 0)].Snapshot
		snapshot.ID = "default.db-01.1"
		e.Transitions[e.event("d2", 0)].Snapshot = &snapshot
	}, Disagreement, "has id default.db-01.1"},
	{"a snapshot ended as another", Lineage, func(e *Evidence) {
		snapshot := *e.Transitions[e.event("d2", 1)].Snapshot
		snapshot.ID = "default.db-01.1"
		e.Transitions[e.event("d2", 1)].Snapshot = &snapshot
	}, Disagreement, "it began with"},
	{"a snapshot that was never made is deleted", Lineage, func(e *Evidence) {
		e.Transitions[e.event("d1", 0)].Snapshot.Name = "never"
	}, Disagreement, "snapshot never, which there is not"},
	{"a snapshot is not counted", Lineage, func(e *Evidence) { e.spec("d2", 1).Snapshots-- }, Disagreement, "1 snapshots, want 2"},
	{"a deleted snapshot is still counted", Lineage, func(e *Evidence) { e.spec("b4", 1).Snapshots++ }, Disagreement, "2 snapshots, want 1"},
	{"a snapshot is about none", Lineage, func(e *Evidence) { e.Transitions[e.event("d2", 0)].Snapshot = nil }, Lost, "of no snapshot"},
	{"a delete is about no snapshot", Lineage, func(e *Evidence) { e.Transitions[e.event("d1", 0)].Snapshot = nil }, Lost, "of no snapshot"},
	{"a volume with snapshots was deleted", Lineage, func(e *Evidence) {
		e.Transitions[e.event("b6", 0)].Event = volume.EventDelete
	}, Disagreement, "deleted with 1 snapshots"},
	{"the source was forgotten", Lineage, func(e *Evidence) { e.spec("d2", 1).Source = volume.SnapshotKey{} }, Disagreement, `a clone of "", want "base@monday"`},
	{"a flattened volume was no clone", Lineage, func(e *Evidence) {
		e.Transitions[e.event("b6", 0)].Event = volume.EventFlatten
	}, Disagreement, "it is no clone"},
	{"a half restored volume does not say so", Lineage, func(e *Evidence) { e.spec("c6", 1).HalfRestored = "" }, Disagreement, `want "tuesday"`},
	{"a whole volume is told as half restored", Lineage, func(e *Evidence) { e.spec("c9", 1).HalfRestored = "tuesday" }, Disagreement, `half restored "tuesday", want ""`},
	{"a half restored volume was attached", Lineage, func(e *Evidence) {
		e.Transitions[e.event("c8", 0)].Event = volume.EventAttach
	}, Disagreement, "whose restore of tuesday did not end"},
	{"a restore gave another size", Lineage, func(e *Evidence) { e.spec("c9", 1).Size = 2 * volume.MiB }, Disagreement, "restored to size 2MiB"},
	{"a view is written", Lineage, func(e *Evidence) {
		e.spec("c3", 1).ReadOnly = true
		e.spec("c3", 1).Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadWrite}}
	}, Disagreement, "read only, held by node n1"},

	{"the store finds itself broken", Chains, func(e *Evidence) { e.Broken = []string{"index x"} }, Disagreement, "store: index x"},
	{"a quota counts wrong", Ledgers, func(e *Evidence) { e.Quotas = []string{"project p"} }, Disagreement, "quota: project p"},
	{"two entries have one id", Chains, func(e *Evidence) { e.entry(clonedFriday).ID = e.entry(cloned).ID }, Doubled, "have the id"},
	{"a child without its parent", Chains, func(e *Evidence) { e.without(monday) }, Lost, "its parent base@monday is not there"},
	{"a parent that is no snapshot", Chains, func(e *Evidence) { e.entry(monday).Kind = Active }, Disagreement, "its parent base@monday is active"},
	{"a mark stayed", Chains, func(e *Evidence) { e.entry(monday).Removing = true }, Stuck, "base@monday is marked"},
	{"a clone is not entered", Chains, func(e *Evidence) { e.without(cloned) }, Lost, "which is not entered"},
	{"a volume is entered that is no clone", Chains, func(e *Evidence) {
		e.Entries = append(e.Entries, Entry{Project: "default", SnapshotKey: volume.SnapshotKey{Volume: "base"}, Kind: Active, ID: "default.base.1"})
	}, Disagreement, "record is no clone"},
	{"a clone is entered under another parent", Chains, func(e *Evidence) { e.entry(cloned).Parent = clonedFriday }, Disagreement, `entered as one of "db-01@friday"`},
	{"a clone is entered as a view", Chains, func(e *Evidence) { e.entry(cloned).Kind = View }, Disagreement, "entered as view"},
	{"a clone of another life is entered", Chains, func(e *Evidence) { e.entry(cloned).ID = "default.db-01.99" }, Disagreement, "entered as default.db-01.99"},
	{"a snapshot is not entered", Chains, func(e *Evidence) { e.without(clonedFriday) }, Lost, "snapshot friday was told"},
	{"a snapshot is entered that never was", Chains, func(e *Evidence) {
		stranger := *e.entry(clonedFriday)
		stranger.Snapshot, stranger.ID = "never", "default.db-01.98"
		e.Entries = append(e.Entries, stranger)
	}, Disagreement, "by the events there is none"},
	{"a snapshot is entered as a clone", Chains, func(e *Evidence) { e.entry(clonedFriday).Kind = View }, Disagreement, "friday is entered as view"},
	{"a snapshot is entered with another id", Chains, func(e *Evidence) { e.entry(clonedFriday).ID = "default.db-01.97" }, Disagreement, "friday is entered with id"},
	{"a snapshot is entered with another size", Chains, func(e *Evidence) { e.entry(clonedFriday).Size++ }, Disagreement, "friday is entered with size"},
	{"a snapshot has another parent than its volume", Chains, func(e *Evidence) {
		e.entry(clonedFriday).Parent = volume.SnapshotKey{}
	}, Disagreement, `friday has parent ""`},
	{"the record counts another number", Chains, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Snapshots++ })
	}, Disagreement, "record has 3 snapshots, 2 are entered"},
	{"an orphan: the backend has a snapshot that is not entered", Chains, func(e *Evidence) {
		e.Snapshots[db01] = append(e.Snapshots[db01], backends.Snapshot{Name: "never"})
	}, Disagreement, "backend has snapshot never"},
	{"a ghost: the backend lacks a snapshot", Chains, func(e *Evidence) { e.Snapshots[db01] = e.Snapshots[db01][1:] }, Lost, "the backend does not have it"},
	{"the backend has another size", Chains, func(e *Evidence) { e.Snapshots[db01][0].Size++ }, Disagreement, "backend has snapshot tuesday of size"},
	{"the data file of a snapshot is missing", Chains, func(e *Evidence) { delete(e.Files.Snapshots[db01], "friday") }, Disagreement, "friday of size 1MiB, the data file has 0"},
	{"a data file of no snapshot", Chains, func(e *Evidence) { e.Files.Snapshots[db01]["never"] = 1 }, Disagreement, "data file of snapshot never"},
	{"the backend shares with another snapshot", Chains, func(e *Evidence) { e.Files.Parents[db01] = clonedFriday }, Disagreement, "shares content with db-01@friday"},
	{"the backend shares and the record does not say so", Chains, func(e *Evidence) { e.Files.Parents[base] = clonedFriday }, Disagreement, "shares content with db-01@friday"},
	{"a volume that is gone is entered", Chains, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.State = volume.StateDeleted })
	}, Disagreement, "volume is deleted, db-01 is entered"},
	{"a snapshot of a volume that never was", Chains, func(e *Evidence) {
		e.Snapshots[elsewhere] = []backends.Snapshot{{Name: "never"}}
	}, Disagreement, "without a record, backend has its snapshot never"},
	{"a data file of a snapshot of a volume that never was", Chains, func(e *Evidence) {
		e.Files.Snapshots[elsewhere] = map[volume.SnapshotName]volume.Bytes{"never": 1}
	}, Disagreement, "without a record, there is a data file"},

	{"a restore that succeeded left its copy", Backend, func(e *Evidence) {
		e.Files.Restored = map[volume.Key]volume.Bytes{db01: volume.MiB}
	}, Disagreement, "copy for a restore"},
	{"a copy for a restore without an object", Backend, func(e *Evidence) {
		e.Files.Restored = map[volume.Key]volume.Bytes{elsewhere: volume.MiB}
	}, Disagreement, "copy for a restore"},

	{"a snapshot was made twice at the backend", Effects, func(e *Evidence) {
		e.Effects = append(e.Effects, e.Effects[e.effect("d2")])
	}, Doubled, "it is there: true"},
	{"what was not there was removed", Effects, func(e *Evidence) {
		e.Effects[e.effect("c2")].Change = fsm.ActionDeleteSnapshot
	}, Doubled, "delete_snapshot of snapshot tuesday"},
	{"a snapshot was made and nobody journaled it", Effects, func(e *Evidence) {
		lost := e.effect("b2")
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "snapshot monday of default.base.1 succeeded without"},
	{"a snapshot was deleted and nobody journaled it", Effects, func(e *Evidence) {
		lost := e.effect("b4")
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "delete_snapshot of default.base.1 succeeded without"},
	{"another snapshot was deleted", Effects, func(e *Evidence) { e.Effects[e.effect("b4")].Snapshot = "monday" }, Doubled, "in no operation"},
	{"a snapshot was deleted that nobody had given up", Effects, func(e *Evidence) {
		e.Effects = append(e.Effects, Effect{Time: e.Effects[len(e.Effects)-1].Time, Change: fsm.ActionDeleteSnapshot, ID: e.Records[db01].ID, Snapshot: "tuesday"})
	}, Doubled, "in no operation"},
	{"a snapshot has another size", Effects, func(e *Evidence) { e.Effects[e.effect("b2")].Size++ }, Disagreement, "command b2: snapshot of size"},
	{"a restore gave another size to the backend", Effects, func(e *Evidence) { e.Effects[e.effect("c9")].Size++ }, Disagreement, "restore to"},
	{"a clone was made of something else", Effects, func(e *Evidence) {
		e.Effects[e.effect("c1")].Source = clonedFriday
	}, Disagreement, `created from "db-01@friday"`},
}

func TestChecks_PlantedViolationOfChains_IsFound(t *testing.T) {
	for _, test := range chainPlants {
		t.Run(test.name, func(t *testing.T) {
			e := chainRun(t)
			test.plant(&e)
			wantFound(t, test.check(e), test.want, test.says)
		})
	}
}
