package query

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

var (
	testKey = volume.Key{Project: "default", Name: "db-01"}
	testNow = time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
)

// settled is an available volume that nothing is wrong with.
func settled() volume.Record {
	return volume.Record{
		Key: testKey, ID: volume.NewID(testKey, 1), State: volume.StateAvailable, Generation: 2,
		Spec: volume.Spec{Size: volume.GiB, Backend: "ceph"}, Owner: volume.Owner{Worker: "w1", Instance: "i1", Epoch: 1},
	}
}

// detaching is a volume that is being taken from node n1, at its second attempt.
func detaching(failure *volume.Failure) volume.Record {
	r := settled()
	r.State = volume.StateDetaching
	r.Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadWrite}}
	r.Op = &volume.Op{
		CommandID: "c-1", Verb: volume.VerbDetach, Attempt: 2, StartedAt: testNow.Add(-5 * time.Second), Failure: failure,
	}
	return r
}

func waiting(failure *volume.Failure) volume.Record {
	r := detaching(failure)
	r.State, r.Op.NextRetryAt = volume.StateDetachingFailed, testNow.Add(1500*time.Millisecond)
	return r
}

// refused is a settled volume whose last command was refused.
func refused(failure volume.Failure) volume.Record {
	r := settled()
	r.Outcomes = []volume.Outcome{{CommandID: "c-0", Verb: volume.VerbDelete, Result: volume.Rejected, Failure: &failure}}
	return r
}

func blocked(kind volume.BlockerKind, names ...string) volume.Failure {
	failure := volume.Failure{Code: volume.ErrHasSnapshots, Class: volume.FailedPrecondition, Message: "blocked"}
	for _, name := range names {
		failure.BlockedBy = append(failure.BlockedBy, volume.Blocker{Kind: kind, Name: name})
	}
	return failure
}

func with(r volume.Record, change func(*volume.Record)) volume.Record {
	change(&r)
	return r
}

// lives is the lease of worker w1, which takes the commands of the volume.
func lives() []ownership.Lease {
	return []ownership.Lease{{Worker: "w1", Instance: "i1", Partitions: []int{partitionOf(testKey)}}}
}

var advised = []struct {
	name   string
	record volume.Record
	leases []ownership.Lease
	queue  uint64
	dead   uint64
	want   []string // the situations told, in order
	says   string   // in the first one's text
	run    string   // the first one's command
}{
	{"settled", settled(), lives(), 0, 0, []string{"settled"}, "nothing is under way", ""},
	{"settled without workers", settled(), nil, 0, 0, []string{"settled"}, "", ""},
	{"running", detaching(nil), lives(), 0, 0, []string{"running"}, "worker w1 is at it, attempt 2, for 5s", "jetvol volume cancel default.db-01"},
	{"running, progress", with(detaching(nil), func(r *volume.Record) {
		r.Outbox = []volume.Transition{{Progress: &volume.Progress{Done: 3, Total: 8}}}
	}), lives(), 0, 0, []string{"running"}, "3 of 8 done", "jetvol volume cancel default.db-01"},
	{
		"waits", waiting(&volume.Failure{Code: volume.ErrBackendBusy}), lives(), 0, 0,
		[]string{"waiting_retry"},
		"attempt 2 of 3 failed with backend_busy, the next one follows in 1.5s", "jetvol volume cancel default.db-01",
	},
	{
		"wait is over", with(waiting(nil), func(r *volume.Record) { r.Op.NextRetryAt = testNow }), lives(), 0, 0,
		[]string{"waiting_retry"},
		"the next one is due", "jetvol volume cancel default.db-01",
	},
	{
		"backend does not answer", waiting(&volume.Failure{Code: volume.ErrBackendUnavailable}), lives(), 0, 0,
		[]string{"waiting_retry", "backend_unavailable"},
		"", "jetvol volume cancel default.db-01",
	},
	{
		"backend did not answer", refused(volume.Failure{Code: volume.ErrBackendUnavailable, Message: "down"}), lives(), 0, 0,
		[]string{"backend_unavailable", "rejected"},
		"backend ceph does not answer", "jetvol backends",
	},
	{
		"owner gone, partition taken", detaching(nil),
		[]ownership.Lease{{Worker: "w2", Instance: "i2", Partitions: []int{partitionOf(testKey)}}},
		0, 0,
		[]string{"owner_dead"},
		"worker w1, which began it, is gone; worker w2 has taken over", "jetvol -p default events --volume db-01 --follow",
	},
	{
		"owner started again", detaching(nil),
		[]ownership.Lease{{Worker: "w1", Instance: "i2", Partitions: []int{partitionOf(testKey)}}},
		0, 0,
		[]string{"owner_dead"},
		"", "jetvol -p default events --volume db-01 --follow",
	},
	{
		"owner gone, partition free", detaching(nil),
		[]ownership.Lease{{Worker: "w2", Instance: "i2"}},
		0, 0,
		[]string{"owner_dead"},
		"a live worker takes over partition", "jetvol -p default events --volume db-01 --follow",
	},
	{"no worker", detaching(nil), nil, 2, 0, []string{"no_worker"}, "no worker lives", "jetvol worker"},
	{"no worker, only queued", settled(), nil, 1, 0, []string{"no_worker"}, "no worker lives", "jetvol worker"},
	{
		"fencing", with(detaching(nil), func(r *volume.Record) { r.Owner.Fencing = true }), lives(), 0, 0,
		[]string{"fencing"},
		"worker w1 has taken over and fences the former owner at backend ceph", "",
	},
	{"partition unowned", settled(), []ownership.Lease{{Worker: "w2"}}, 1, 0, []string{"partition_unowned", "queued"}, "nobody takes the commands", "jetvol workers"},
	{"queued", settled(), lives(), 1, 0, []string{"queued"}, "1 command waits to be taken", "jetvol -p default events --volume db-01 --follow"},
	{"queued behind", detaching(nil), lives(), 4, 0, []string{"running", "queued"}, "", "jetvol volume cancel default.db-01"},
	{
		"watcher", waiting(new(blocked(volume.BlockedByWatcher, "client.4123"))), lives(), 0, 0,
		[]string{"waiting_retry", "blocked_by_watcher"},
		"",
		"jetvol volume cancel default.db-01",
	},
	{
		"watcher, given up", refused(blocked(volume.BlockedByWatcher, "client.4123")), lives(), 0, 0,
		[]string{"blocked_by_watcher"},
		"a client still has the volume open (client.4123)", `jetvol volume node-gone default.db-01 --node NODE --reason "…"`,
	},
	{"held", refused(blocked(volume.BlockedByNode, "n7", "n8")), lives(), 0, 0, []string{"blocked_by_node"}, "held by n7, n8", "jetvol volume detach default.db-01 --node n7"},
	{
		"snapshots", refused(blocked(volume.BlockedBySnapshot, "a", "b", "c", "d", "e", "f", "g")), lives(), 0, 0,
		[]string{"blocked_by_snapshot"},
		"a, b, c, d, e, and 2 more", "jetvol snapshot delete default.db-01@a",
	},
	{"children", refused(blocked(volume.BlockedByChild, "db-02")), lives(), 0, 0, []string{"blocked_by_child"}, "the clones db-02", "jetvol -p default volume flatten db-02"},
	{"error", with(settled(), func(r *volume.Record) { r.State = volume.StateError }), lives(), 0, 0, []string{"error"}, "reconcile", "jetvol volume reconcile default.db-01"},
	{"pending", with(settled(), func(r *volume.Record) { r.State = volume.StatePending }), lives(), 0, 0, []string{"pending"}, "", "jetvol volume create default.db-01 --size 1GiB"},
	{"create refused", with(settled(), func(r *volume.Record) {
		r.State, r.Generation, r.Spec = volume.StatePending, 0, volume.Spec{}
	}), lives(), 0, 0, []string{"never_created"}, "no such volume", "jetvol volume create default.db-01 --size SIZE"},
	{
		"half restored", with(settled(), func(r *volume.Record) { r.HalfRestored = "monday" }), lives(), 0, 0,
		[]string{"half_restored"},
		"half that of snapshot monday", "jetvol snapshot restore default.db-01@monday",
	},
	{"drifted", with(settled(), func(r *volume.Record) {
		r.Drift = &volume.Drift{Differences: []volume.Difference{{Kind: volume.DriftSize, Wanted: "1GiB", Actual: "2GiB"}}}
	}), lives(), 0, 0, []string{"drifted"}, "size: wanted 1GiB, actual 2GiB", "jetvol drift show default.db-01"},
	{
		"rejected", refused(volume.Failure{Code: volume.ErrInvalidTransition, Message: "no"}), lives(), 0, 0,
		[]string{"rejected"},
		"the last command, delete c-0, was rejected: no", "",
	},
	{orphanRow, settled(), lives(), 0, 0, []string{"orphan"}, "default.db-01.7, 1GiB, at backend ceph", "jetvol drift show default.db-01"},
	{"dead letters", settled(), lives(), 0, 3, []string{"dead_letters"}, "", "jetvol dead list"},
	{"deleted", with(settled(), func(r *volume.Record) { r.State = volume.StateDeleted }), lives(), 0, 0, []string{"deleted"}, "", "jetvol volume create default.db-01 --size SIZE"},
}

// orphanRow is the one situation that the record tells nothing of.
const orphanRow = "orphan"

func TestAdvice_EveryRow_ToldInItsSituationOnly(t *testing.T) {
	told := map[string]bool{}
	for _, c := range advised {
		t.Run(c.name, func(t *testing.T) {
			s := situation{Explanation: explained(testKey, c.record, fsm.DefaultRetryPolicy()), record: c.record, workers: len(c.leases), now: testNow}
			s.lookAt(c.leases)
			s.QueueTotal, s.DeadLetters = c.queue, c.dead
			if c.name == orphanRow {
				s.Orphan = &Orphan{Backend: "ceph", ObjectID: "default.db-01.7", Size: volume.GiB}
			}
			var names []string
			advice := s.advise()
			for _, one := range advice {
				names = append(names, one.Situation)
				told[one.Situation] = true
				if one.Text == "" || strings.Contains(one.Text+one.Command, "%!") {
					t.Errorf("%s: %q, %q", one.Situation, one.Text, one.Command)
				}
			}
			if !slices.Equal(names, c.want) {
				t.Fatalf("got %v, want %v", names, c.want)
			}
			if !strings.Contains(advice[0].Text, c.says) || advice[0].Command != c.run {
				t.Errorf("got %q, %q, want it to say %q and %q", advice[0].Text, advice[0].Command, c.says, c.run)
			}
		})
	}
	for _, r := range rules {
		if !told[r.name] {
			t.Errorf("row %s is never told", r.name)
		}
	}
}

// Every state of the machine has a name for what its operation needs next.
func TestOperationOf_EveryStateInProgress_HasAStep(t *testing.T) {
	for _, state := range volume.States() {
		r := detaching(nil)
		r.State = state
		if state.Failed() {
			r.Op.NextRetryAt = testNow
		}
		if got := operationOf(r, fsm.DefaultRetryPolicy()); state.InProgress() && got.Step == "" {
			t.Errorf("%s: no step", state)
		}
	}
	if got := operationOf(waiting(nil), fsm.DefaultRetryPolicy()); got.Step != StepWait || got.MaxAttempts != 3 {
		t.Errorf("got %+v, want step %s of 3 attempts", got, StepWait)
	}
}
