package worker_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/reconciletest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// craft stores the record of a row and makes the backend have what it says.
func (s *system) craft(t *testing.T, row reconciletest.Row) string {
	t.Helper()
	name := string(row.Volume())
	record, err := row.Record(key(name), backendOf(row.Policy))
	must(t, err)
	_, err = s.records.Create(s.ctx, record.Key.String(), record)
	must(t, err)
	must(t, row.Place(s.ctx, s.backend.Driver, record))
	return name
}

func backendOf(policy volume.RecordOnly) string { return "local-" + string(policy) }

// withPolicies gives the worker the same directory as four backends: one for each policy, and
// one that says nothing.
func withPolicies(c *worker.Config) {
	c.RecordOnly = map[string]volume.RecordOnly{}
	for _, policy := range append(volume.RecordOnlyPolicies(), "") {
		c.Backends[backendOf(policy)] = c.Backends["local"]
		c.RecordOnly[backendOf(policy)] = policy
	}
}

// TestWorker_Reconcile_EveryRowOfA8: the rows of the requirement's table on the local backend,
// with what a worker that died has left of those under way.
func TestWorker_Reconcile_EveryRowOfA8(t *testing.T) {
	s := prepare(t, withPolicies)
	for _, row := range reconciletest.Rows() {
		s.craft(t, row)
	}
	s.startWorker()
	for _, row := range reconciletest.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			reply := s.do(commands.Request{Key: key(string(row.Volume())), Verb: volume.VerbReconcile, Args: row.Args})
			s.wantRow(t, row, reply)
			if row.Quiet() {
				s.wantQuiet(t, string(row.Volume()))
			}
		})
	}
}

// wantRow checks where a reconcile has led.
func (s *system) wantRow(t *testing.T, row reconciletest.Row, reply commands.Reply) {
	t.Helper()
	if got := codeOf(reply); got != row.Failed {
		t.Fatalf("reply: got %q (%+v), want %q", got, reply.Failure, row.Failed)
	}
	record := s.record(string(row.Volume()))
	drift := row.Drift(record.Key)
	if record.State != row.To || record.Op != nil || record.Drift.String() != drift || nodesOf(record) != row.Node {
		t.Errorf("got %s on %q, drift %q, op %v, want %s on %q, drift %q", record.State, nodesOf(record), record.Drift, record.Op, row.To, row.Node, drift)
	}
	last := s.lastOf(string(row.Volume()), row.Event)
	if last.Event != row.Event || last.To != row.To || row.Event == volume.EventDrifted && !strings.Contains(last.Reason, drift) {
		t.Errorf("got event %s to %s, reason %q, want %s to %s", last.Event, last.To, last.Reason, row.Event, row.To)
	}
	if row.Comparable() {
		s.wantBackend(record)
	}
}

// wantQuiet checks that a second reconcile finds nothing new and changes nothing.
func (s *system) wantQuiet(t *testing.T, name string) {
	t.Helper()
	before := s.record(name)
	if reply := s.verb(name, volume.VerbReconcile); reply.Outcome != volume.Succeeded || reply.State != before.State {
		t.Fatalf("again: got %+v", reply)
	}
	after := s.record(name)
	if last := s.lastOf(name, ""); last.Event != volume.EventReconciled || after.Generation != before.Generation+1 {
		t.Errorf("again: got event %s, want reconciled", last.Event)
	}
	if before.Drift != nil && (!after.Drift.Same(before.Drift) || !after.Drift.FoundAt.Equal(before.Drift.FoundAt)) {
		t.Errorf("again: got drift %+v, want %+v", after.Drift, before.Drift)
	}
}

func codeOf(reply commands.Reply) volume.Code {
	if reply.Failure == nil {
		return ""
	}
	return reply.Failure.Code
}

func nodesOf(record volume.Record) string {
	var names []string
	for _, one := range record.Attachments {
		names = append(names, string(one.Node))
	}
	return strings.Join(names, " ")
}

// lastOf returns the volume's last event of that name, or of any if it is empty.
func (s *system) lastOf(name string, event volume.Event) (last volume.Transition) {
	s.t.Helper()
	for _, t := range s.events(name) {
		if event == "" || t.Event == event {
			last = t
		}
	}
	return last
}

// TestWorker_Reconcile_Unreachable_ChangesNothing is the first row: whatever the state. What is
// under way goes on when the backend is back.
func TestWorker_Reconcile_Unreachable_ChangesNothing(t *testing.T) {
	s := prepare(t, withPolicies)
	for _, row := range reconciletest.Rows() {
		s.craft(t, row)
	}
	s.startWorker()
	s.backend.hook(func(context.Context, string, backends.Ref) error {
		return backends.Errorf(volume.Unavailable, "no route to host")
	}, nil)
	for _, row := range reconciletest.Rows() {
		name := string(row.Volume())
		before := s.record(name)
		reply := s.verb(name, volume.VerbReconcile)
		s.wantReply(reply, volume.Rejected, before.State, volume.ErrBackendUnavailable)
		if after := s.record(name); after.State != before.State || after.Generation != before.Generation || !reflect.DeepEqual(after.Op, before.Op) || after.Drift != nil {
			t.Errorf("%s: got %s at %d, operation %+v, want it unchanged", row.Name, after.State, after.Generation, after.Op)
		}
	}
	s.backend.hook(nil, nil)
	for _, row := range reconciletest.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			s.wantRow(t, row, s.do(commands.Request{Key: key(string(row.Volume())), Verb: volume.VerbReconcile, Args: row.Args}))
		})
	}
}

// A cancelled attach of a volume that another node holds: see fsm.Settle.
func TestWorker_CancelledAttach_HeldElsewhere_IsDrifted(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	_, err := s.backend.Driver.Attach(s.ctx, s.ref("v"), "n9", volume.ReadWrite)
	must(t, err)
	entered, _ := s.gate("attach", "v")
	attach := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}})
	s.awaitCall(entered)
	s.wantReply(s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel}), volume.Succeeded, volume.StateError, "")
	last := s.awaitEvent("v", ofCommand(attach.CommandID))
	if last.Event != volume.EventDrifted || last.Failure == nil || last.Failure.Code != volume.ErrCancelled || last.Spec.Drift.String() != "node: wanted n1, actual n9" {
		t.Errorf("got %s, %+v, drift %q", last.Event, last.Failure, last.Spec.Drift)
	}
	s.backend.hook(nil, nil)
	// It stays so until somebody decides.
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateError, "")
	s.wantReply(s.do(commands.Request{Key: key("v"), Verb: volume.VerbReconcile, Args: volume.Args{Believe: volume.BelieveBackend}}), volume.Succeeded, volume.StateAttached, "")
	if record := s.record("v"); nodesOf(record) != "n9" || record.Drift != nil {
		t.Errorf("got it on %q, drift %q, want n9 and none", nodesOf(record), record.Drift)
	}
}

// What a command proves is not marked as drifted any more, and nothing else.
func TestWorker_Success_DisprovesDrift(t *testing.T) {
	s := prepare(t, withPolicies)
	larger, held := s.craft(t, reconciletest.Named("available, larger")), s.craft(t, reconciletest.Named("available, on a node"))
	s.startWorker()
	for _, name := range []string{larger, held} {
		s.verb(name, volume.VerbReconcile)
		if s.record(name).Drift == nil {
			t.Fatalf("%s: no drift", name)
		}
	}
	s.wantReply(s.attach(larger, "n1"), volume.Succeeded, volume.StateAttached, "")
	if drift := s.record(larger).Drift.String(); drift != "size: wanted 1MiB, actual 2MiB" {
		t.Errorf("after an attach: got drift %q", drift)
	}
	resize := commands.Request{Key: key(larger), Verb: volume.VerbResize, Args: volume.Args{Size: 2 * volume.MiB}}
	s.wantReply(s.do(resize), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.attach(held, "n3"), volume.Succeeded, volume.StateAttached, "")
	for _, name := range []string{larger, held} {
		if record := s.record(name); record.Drift != nil {
			t.Errorf("%s: got drift %q, want none", name, record.Drift)
		}
	}
}

// A volume whose snapshots are not those that it had.
func TestWorker_Reconcile_SnapshotMissing_IsDriftedOnce(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.snapshot("db-01", "s2")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, s.ref("db-01"), "s1"))
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	if last := s.lastOf("db-01", ""); last.Event != volume.EventDrifted || last.Spec.Drift.String() != "snapshots: wanted 2, actual 1" {
		t.Errorf("got %s, drift %q", last.Event, last.Spec.Drift)
	}
	s.wantSnapshots("db-01", "s2")
	s.wantEntries("db-01@s2")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	if last := s.lastOf("db-01", ""); last.Event != volume.EventReconciled || last.Spec.Drift != nil {
		t.Errorf("got %s, drift %q, want reconciled and none", last.Event, last.Spec.Drift)
	}
}

// A volume that is gone, with snapshots and as a clone: its entries go only with its record.
func TestWorker_Reconcile_Gone_EntriesGoWithTheRecord(t *testing.T) {
	for policy, entries := range map[volume.RecordOnly][]string{
		volume.RecordOnlyIgnore: {"db-01@s1", "copy < db-01@s1", "copy@c1 < db-01@s1"},
		volume.RecordOnlyError:  {"db-01@s1", "copy < db-01@s1", "copy@c1 < db-01@s1"},
		volume.RecordOnlyDelete: {"db-01@s1"},
	} {
		t.Run(string(policy), func(t *testing.T) {
			s := start(t, func(c *worker.Config) { c.RecordOnly = map[string]volume.RecordOnly{"local": policy} })
			s.create("db-01", sMiB)
			s.snapshot("db-01", "s1")
			s.clone("copy", "db-01@s1")
			s.snapshot("copy", "c1")
			s.destroy("copy")
			s.verb("copy", volume.VerbReconcile)
			s.wantEntries(entries...)
			record := s.record("copy")
			if policy == volume.RecordOnlyDelete && (record.State != volume.StateDeleted || record.Snapshots != 0) {
				t.Errorf("got %s with %d snapshots", record.State, record.Snapshots)
			}
		})
	}
}

// destroy takes a volume and its snapshots from the backend, behind jetvol's back.
func (s *system) destroy(name string) {
	s.t.Helper()
	record, ref := s.record(name), s.ref(name)
	kept, err := s.backend.Driver.ListSnapshots(s.ctx, ref)
	s.must(err)
	for _, snapshot := range kept {
		s.must(s.backend.Driver.DeleteSnapshot(s.ctx, ref, snapshot.Name))
	}
	for _, one := range record.Attachments {
		s.must(s.backend.Driver.Detach(s.ctx, ref, one.Node))
	}
	s.must(s.backend.Driver.Delete(s.ctx, ref))
}

// A record that a reconcile has deleted expires like any other tombstone.
func TestWorker_Reconcile_DeletedByPolicy_NameMayLiveAgain(t *testing.T) {
	s := start(t, func(c *worker.Config) {
		c.RecordOnly = map[string]volume.RecordOnly{"local": volume.RecordOnlyDelete}
	})
	s.create("v", volume.MiB)
	s.destroy("v")
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateDeleted, "")
	if entry, err := kv.NewVolumes(s.js).ByKey(s.ctx, key("v")); err != nil || entry.Value.Exists() {
		t.Errorf("got %+v, %v, want a tombstone", entry.Value.State, err)
	}
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDrifted, volume.EventRecreate, volume.EventReady)
}

// A reconcile by another worker writes the record before it knows how it ends. The answers of a
// record that was lost are remembered by then.
func TestWorker_Reconcile_RecordLost_RemembersTheAnswers(t *testing.T) {
	s := start(t)
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-v"}
	first := s.do(create)
	must(t, s.stop())
	bucket, err := s.js.KeyValue(s.ctx, "volumes")
	must(t, err)
	must(t, bucket.Purge(s.ctx, key("v").String()))
	s.startWorker()
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantSame(create, first)
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventReconciled)
}
