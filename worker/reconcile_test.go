package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// a8 is one row of requirement A8: a record and what the backend has of it, crafted, and how
// both are after a reconcile.
type a8 struct {
	name   string
	record func(*crafted)
	has    string // what the backend is made to have; see craft.object
	// policy is the backend of the volume.
	policy volume.RecordOnly
	args   volume.Args

	to     volume.State
	event  volume.Event // the last but for the one of a reconcile that only looks
	drift  string
	node   string
	failed volume.Code // of the reconcile itself
}

// crafted is a record in the making.
type crafted struct {
	t      *testing.T
	record volume.Record
	id     int
}

func (c *crafted) decide(f func(volume.Record, time.Time) (fsm.Decision, error)) *crafted {
	c.t.Helper()
	decision, err := f(c.record, time.Now().UTC())
	must(c.t, err)
	c.record = decision.Record
	return c
}

// begin takes up a command whose message is in no stream any more.
func (c *crafted) begin(verb volume.Verb, args volume.Args) *crafted {
	c.t.Helper()
	c.id++
	command := volume.Command{ID: volume.CommandID(fmt.Sprintf("lost-%d", c.id)), Key: c.record.Key, Verb: verb, Args: args, Backend: string(c.record.Backend)}
	if command.Backend == "" {
		command.Backend = c.record.Labels["backend"]
	}
	return c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		r.Outbox = nil // they count as published
		return fsm.Decide(r, command, now)
	})
}

func (c *crafted) succeed() *crafted {
	c.t.Helper()
	return c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Succeed(r, &volume.Attachment{Node: r.Op.Args.Node, Mode: r.Op.Args.Mode}, now)
	})
}

func (c *crafted) fail(class volume.Class) *crafted {
	c.t.Helper()
	return c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Fail(r, volume.BackendError(class), quickRetry(), now)
	})
}

func (c *crafted) giveUp() *crafted { c.t.Helper(); return c.decide(fsm.GiveUp) }

func toNode(node volume.Node) volume.Args { return volume.Args{Node: node, Mode: volume.ReadWrite} }

// How a record gets into the states of the table.
func isCreating(c *crafted)  { c.begin(volume.VerbCreate, volume.Args{Size: volume.MiB}) }
func isAvailable(c *crafted) { isCreating(c); c.succeed() }
func isAttaching(c *crafted) { isAvailable(c); c.begin(volume.VerbAttach, toNode("n1")) }
func isAttached(c *crafted)  { isAttaching(c); c.succeed() }
func isDetaching(c *crafted) { isAttached(c); c.begin(volume.VerbDetach, volume.Args{}) }
func isDeleting(c *crafted)  { isAvailable(c); c.begin(volume.VerbDelete, volume.Args{}) }

func hasFailed(before func(*crafted)) func(*crafted) {
	return func(c *crafted) { before(c); c.fail(volume.Unavailable) }
}

func isError(c *crafted)       { isDetaching(c); c.fail(volume.Internal).giveUp() }
func isErrorUnheld(c *crafted) { isCreating(c); c.fail(volume.Internal).giveUp() }

// rowsOfA8 are all rows, each state of a row by itself.
func rowsOfA8() []a8 {
	const ghost, stays = "ghost: wanted 1MiB, actual nothing", volume.EventReconciled
	onN9 := "node: wanted n1, actual n9"
	rows := []a8{
		{name: "error, absent", record: isError, has: "nothing", to: volume.StatePending, event: stays},
		{name: "error, present", record: isError, has: "it", to: volume.StateAvailable, event: stays},
		{name: "error, on a node", record: isErrorUnheld, has: "it on n3", to: volume.StateAttached, event: stays, node: "n3"},
		{name: "error, another's", record: isError, has: "another", to: volume.StatePending, event: stays},

		{name: "available, absent, error", record: isAvailable, has: "nothing", policy: volume.RecordOnlyError, to: volume.StateError, event: volume.EventDrifted, drift: ghost},
		{name: "available, absent, delete", record: isAvailable, has: "nothing", policy: volume.RecordOnlyDelete, to: volume.StateDeleted, event: volume.EventDrifted, drift: ghost},
		{name: "available, absent, ignore", record: isAvailable, has: "nothing", policy: volume.RecordOnlyIgnore, to: volume.StateAvailable, event: volume.EventDrifted, drift: ghost},
		{name: "attached, absent, error", record: isAttached, has: "nothing", to: volume.StateError, event: volume.EventDrifted, drift: ghost, node: "n1"},
		{name: "attached, absent, delete", record: isAttached, has: "nothing", policy: volume.RecordOnlyDelete, to: volume.StateDeleted, event: volume.EventDrifted, drift: ghost},
		{name: "attached, absent, ignore", record: isAttached, has: "nothing", policy: volume.RecordOnlyIgnore, to: volume.StateAttached, event: volume.EventDrifted, drift: ghost, node: "n1"},

		{name: "available, larger", record: isAvailable, has: "more", to: volume.StateAvailable, event: volume.EventDrifted, drift: "size: wanted 1MiB, actual 2MiB"},
		{name: "available, on a node", record: isAvailable, has: "it on n3", to: volume.StateAvailable, event: volume.EventDrifted, drift: "node: wanted nothing, actual n3"},
		{name: "attached, on another", record: isAttached, has: "it on n9", to: volume.StateAttached, event: volume.EventDrifted, drift: onN9, node: "n1"},
		{name: "attached, on none", record: isAttached, has: "it", to: volume.StateAttached, event: volume.EventDrifted, drift: "node: wanted n1, actual nothing", node: "n1"},
		{name: "available, another's", record: isAvailable, has: "another", policy: volume.RecordOnlyDelete, to: volume.StateAvailable, event: volume.EventDrifted, drift: "owner: wanted default.NAME.1, actual default.NAME.77"},
		{name: "attached, as recorded", record: isAttached, has: "it on n1", to: volume.StateAttached, event: stays, node: "n1"},

		{name: "available, believed", record: isAvailable, has: "it on n3", args: volume.Args{Believe: volume.BelieveBackend}, to: volume.StateAttached, event: stays, node: "n3"},
		{name: "attached, believed", record: isAttached, has: "more", args: volume.Args{Believe: volume.BelieveBackend}, to: volume.StateAvailable, event: stays},
		{name: "available, absent, believed", record: isAvailable, has: "nothing", args: volume.Args{Believe: volume.BelieveBackend}, to: volume.StateError, event: volume.EventDrifted, drift: ghost},
	}
	inProgress := []a8{
		{name: "creating, absent", record: isCreating, has: "nothing", to: volume.StateAvailable, event: volume.EventReady},
		{name: "creating, present", record: isCreating, has: "it", to: volume.StateAvailable, event: volume.EventReady},
		{name: "attaching, as asked", record: isAttaching, has: "it on n1", to: volume.StateAttached, event: volume.EventAttached, node: "n1"},
		{name: "attaching, elsewhere", record: isAttaching, has: "it on n9", to: volume.StateError, event: volume.EventDrifted, drift: onN9},
		{name: "attaching, not", record: isAttaching, has: "it", to: volume.StateAttached, event: volume.EventAttached, node: "n1"},
		{name: "detaching, not yet", record: isDetaching, has: "it on n1", to: volume.StateAvailable, event: volume.EventDetached},
		{name: "detaching, done", record: isDetaching, has: "it", to: volume.StateAvailable, event: volume.EventDetached},
		{name: "deleting, done", record: isDeleting, has: "nothing", to: volume.StateDeleted, event: volume.EventDeleted, failed: volume.ErrVolumeNotFound},
		{name: "deleting, not yet", record: isDeleting, has: "it", to: volume.StateDeleted, event: volume.EventDeleted, failed: volume.ErrVolumeNotFound},
	}
	for _, row := range inProgress {
		rows = append(rows, row)
		row.name, row.record = strings.Replace(row.name, ",", " failed,", 1), hasFailed(row.record)
		rows = append(rows, row)
	}
	return rows
}

// named returns the volume of a row.
func (row a8) named() string {
	return strings.NewReplacer(", ", "-", " ", "-", "'", "").Replace(row.name)
}

// craft stores the record of a row and makes the backend have what it says.
func (s *system) craft(t *testing.T, row a8) {
	t.Helper()
	name := row.named()
	c := &crafted{t: t, record: pending(name)}
	c.record.Labels = volume.Labels{"backend": backendOf(row.policy)}
	row.record(c)
	_, err := s.records.Create(s.ctx, c.record.Key.String(), c.record)
	must(t, err)
	ref := backends.Ref{Key: c.record.Key, ID: c.record.ID, Epoch: c.record.Owner.Epoch}
	has, node, _ := strings.Cut(row.has, " on ")
	size := volume.MiB
	switch has {
	case "nothing":
		return
	case "more":
		size = 2 * volume.MiB
	case "another":
		ref.ID = volume.NewID(ref.Key, 77)
	}
	must(t, s.backend.Driver.Create(s.ctx, ref, size))
	if node != "" {
		_, err := s.backend.Driver.Attach(s.ctx, ref, volume.Node(node), volume.ReadWrite)
		must(t, err)
	}
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
	for _, row := range rowsOfA8() {
		s.craft(t, row)
	}
	s.startWorker()
	for _, row := range rowsOfA8() {
		t.Run(row.name, func(t *testing.T) {
			reply := s.do(commands.Request{Key: key(row.named()), Verb: volume.VerbReconcile, Args: row.args})
			s.wantRow(t, row, reply)
			s.wantQuiet(t, row)
		})
	}
}

// wantRow checks where a reconcile has led.
func (s *system) wantRow(t *testing.T, row a8, reply commands.Reply) {
	t.Helper()
	if got := codeOf(reply); got != row.failed {
		t.Fatalf("reply: got %q (%+v), want %q", got, reply.Failure, row.failed)
	}
	record := s.record(row.named())
	drift := strings.ReplaceAll(row.drift, "NAME", row.named())
	if record.State != row.to || record.Op != nil || record.Drift.String() != drift || nodesOf(record) != row.node {
		t.Errorf("got %s on %q, drift %q, op %v, want %s on %q, drift %q", record.State, nodesOf(record), record.Drift, record.Op, row.to, row.node, drift)
	}
	last := s.lastOf(row.named(), row.event)
	if last.Event != row.event || last.To != row.to || row.event == volume.EventDrifted && !strings.Contains(last.Reason, drift) {
		t.Errorf("got event %s to %s, reason %q, want %s to %s", last.Event, last.To, last.Reason, row.event, row.to)
	}
	crafted := row.name == "attached, as recorded" // it does not say how the node reaches the volume
	if row.has != "nothing" && row.has != "another" && row.drift == "" && !crafted {
		s.wantBackend(record)
	}
}

// wantQuiet checks that a second reconcile finds nothing new and changes nothing.
func (s *system) wantQuiet(t *testing.T, row a8) {
	t.Helper()
	before := s.record(row.named())
	if before.State == volume.StatePending || before.State == volume.StateDeleted || before.State == volume.StateError && row.has == "nothing" {
		return // a drift that made it so has done that
	}
	if reply := s.verb(row.named(), volume.VerbReconcile); reply.Outcome != volume.Succeeded || reply.State != before.State {
		t.Fatalf("again: got %+v", reply)
	}
	after := s.record(row.named())
	if last := s.lastOf(row.named(), ""); last.Event != volume.EventReconciled || after.Generation != before.Generation+1 {
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

// TestWorker_Reconcile_Unreachable_ChangesNothing is the first row: whatever the state.
func TestWorker_Reconcile_Unreachable_ChangesNothing(t *testing.T) {
	s := prepare(t)
	states := map[string]func(*crafted){"available": isAvailable, "attached": isAttached, "error": isError}
	for name, record := range states {
		s.craft(t, a8{name: name, record: record, has: "it"})
	}
	s.config.Backends[backendOf("")] = s.config.Backends["local"]
	s.startWorker()
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		return backends.Errorf(volume.Unavailable, "no route to host")
	}, nil)
	for name := range states {
		before := s.record(name)
		reply := s.verb(name, volume.VerbReconcile)
		s.wantReply(reply, volume.Rejected, before.State, volume.ErrBackendUnavailable)
		if after := s.record(name); after.State != before.State || after.Generation != before.Generation || after.Drift != nil {
			t.Errorf("%s: got %s at %d, want it unchanged", name, after.State, after.Generation)
		}
	}
}

// A cancelled attach of a volume that another node holds: see fsm.Settle.
func TestWorker_CancelledAttach_HeldElsewhere_IsDrifted(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	record := s.record("v")
	_, err := s.backend.Driver.Attach(s.ctx, backends.Ref{Key: key("v"), ID: record.ID, Epoch: record.Owner.Epoch}, "n9", volume.ReadWrite)
	must(t, err)
	entered, _ := s.gate("attach", "v")
	attach := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: toNode("n1")})
	<-entered
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
	s.craft(t, a8{name: "smaller", record: isAvailable, has: "more"})
	s.craft(t, a8{name: "held", record: isAvailable, has: "it on n1"})
	s.startWorker()
	for _, name := range []string{"smaller", "held"} {
		s.verb(name, volume.VerbReconcile)
		if s.record(name).Drift == nil {
			t.Fatalf("%s: no drift", name)
		}
	}
	s.wantReply(s.attach("smaller", "n1"), volume.Succeeded, volume.StateAttached, "")
	if drift := s.record("smaller").Drift.String(); drift != "size: wanted 1MiB, actual 2MiB" {
		t.Errorf("after an attach: got drift %q", drift)
	}
	resize := commands.Request{Key: key("smaller"), Verb: volume.VerbResize, Args: volume.Args{Size: 2 * volume.MiB}}
	s.wantReply(s.do(resize), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.attach("held", "n1"), volume.Succeeded, volume.StateAttached, "")
	for _, name := range []string{"smaller", "held"} {
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
	record := s.record("db-01")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}, "s1"))
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
	record := s.record(name)
	ref := backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}
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
