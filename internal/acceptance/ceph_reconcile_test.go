//go:build ceph

package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/internal/reconciletest"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// policies are those of the backends of a reconciler; empty is none at all.
var policies = append(volume.RecordOnlyPolicies(), "")

// reconciler is a server over a place for each policy of record_only.
type reconciler struct {
	places  map[volume.RecordOnly]*place
	drivers map[volume.RecordOnly]backends.Driver
	client  *commands.Client
	js      jetstream.JetStream
}

func newReconciler(t *testing.T) *reconciler {
	t.Helper()
	r := &reconciler{places: map[volume.RecordOnly]*place{}, drivers: map[volume.RecordOnly]backends.Driver{}}
	cluster := cephtest.Start(t)
	file := "default_backend: ceph-\nbackends:\n"
	for _, policy := range policies {
		p := newPlace(t, cluster)
		r.places[policy], r.drivers[policy] = p, p.driver(t)
		file += fmt.Sprintf("  ceph-%s: {driver: ceph, pool: %s, namespace: %s, user: %s, conf: %s, keyring: %s", policy, p.Pool, p.Namespace, p.User, p.Conf, p.Keyring)
		if policy != "" {
			file += ", record_only: " + string(policy)
		}
		file += "}\n"
	}
	path := filepath.Join(t.TempDir(), "jetvol.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--config", path)
	r.client = s.client(t)
	_, r.js = s.connect(t)
	return r
}

// craft stores the record of a row and makes the cluster have what it says.
func (r *reconciler) craft(t *testing.T, row reconciletest.Row) volume.Key {
	t.Helper()
	key := volume.Key{Project: "default", Name: row.Volume()}
	record, err := row.Record(key, "ceph-"+string(row.Policy))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.NewVolumes(r.js).Create(t.Context(), key.String(), record); err != nil {
		t.Fatal(err)
	}
	if err := row.Place(t.Context(), r.drivers[row.Policy], record); err != nil {
		t.Fatal(err)
	}
	return key
}

func (r *reconciler) record(t *testing.T, key volume.Key) volume.Record {
	t.Helper()
	entry, err := kv.NewVolumes(r.js).ByKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Value
}

// last returns the volume's last event of that name.
func (r *reconciler) last(t *testing.T, key volume.Key, event volume.Event) (last volume.Transition) {
	t.Helper()
	for stored, err := range events.Read(t.Context(), r.js, events.Filter{Project: key.Project, Volume: key.Name, Event: event}) {
		if err != nil {
			t.Fatal(err)
		}
		last = stored.Data
	}
	return last
}

// The rows of the requirement's table over RBD, with what a worker that died has left of those
// under way.
func TestCeph_Reconcile_EveryRowOfA8(t *testing.T) {
	r := newReconciler(t)
	for _, row := range reconciletest.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			key := r.craft(t, row)
			reply := do(t, r.client, commands.Request{Key: key, Verb: volume.VerbReconcile, Args: row.Args, Actor: "test"})
			r.wantRow(t, row, key, reply)
			if !row.Quiet() {
				return
			}
			before := r.record(t, key)
			wantReply(t, do(t, r.client, commands.Request{Key: key, Verb: volume.VerbReconcile, Actor: "test"}), volume.Succeeded, before.State, "")
			if after := r.record(t, key); r.last(t, key, "").Event != volume.EventReconciled || !after.Drift.Same(before.Drift) {
				t.Errorf("again: got event %s and drift %q, want reconciled and %q", r.last(t, key, "").Event, after.Drift, before.Drift)
			}
		})
	}
}

func (r *reconciler) wantRow(t *testing.T, row reconciletest.Row, key volume.Key, reply commands.Reply) {
	t.Helper()
	if row.Failed != "" {
		wantReply(t, reply, volume.Rejected, row.To, row.Failed)
	} else {
		wantReply(t, reply, volume.Succeeded, row.To, "")
	}
	record, drift := r.record(t, key), row.Drift(key)
	if record.State != row.To || record.Op != nil || record.Drift.String() != drift {
		t.Errorf("got %s, drift %q, op %v, want %s, drift %q", record.State, record.Drift, record.Op, row.To, drift)
	}
	var nodes []string
	for _, one := range record.Attachments {
		nodes = append(nodes, string(one.Node))
	}
	if got := strings.Join(nodes, " "); got != row.Node {
		t.Errorf("got it on %q, want %q", got, row.Node)
	}
	if last := r.last(t, key, row.Event); last.Event != row.Event || last.To != row.To {
		t.Errorf("got event %q to %q, want %s to %s", last.Event, last.To, row.Event, row.To)
	}
	if row.Comparable() && record.Exists() && record.State != volume.StatePending {
		object, err := r.drivers[row.Policy].Get(t.Context(), key)
		if err != nil || object.ID != record.ID || object.Size != record.Size || object.Attachments.String() != record.Attachments.String() {
			t.Errorf("the cluster has %+v, %v, the record is %+v", object, err, record.Spec)
		}
	}
}

// The first row: a cluster that does not answer is none that has nothing.
func TestCeph_Reconcile_Unreachable_ChangesNothing(t *testing.T) {
	p := newPlace(t, cephtest.StartOwn(t))
	f := newTrial(t, p)
	wantReply(t, f.create(t, "v"), volume.Succeeded, volume.StateAvailable, "")
	p.cluster.Freeze(t, cephtest.OSD)
	wantReply(t, f.do(t, "v", volume.VerbReconcile, volume.Args{}), volume.Rejected, volume.StateAvailable, volume.ErrBackendUnavailable)
	wantReply(t, f.do(t, "other", volume.VerbAdopt, volume.Args{}), volume.Rejected, "", volume.ErrBackendUnavailable)
}

// An image of which the records are lost, with a holder and snapshots, is a volume again.
func TestCeph_Reconcile_Adopt_TakesTheImageIn(t *testing.T) {
	s, p := startCeph(t)
	client, driver := s.client(t), p.driver(t)
	_, js := s.connect(t)
	key := volume.Key{Project: "default", Name: "lost"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 7)}
	snapshotter := driver.(backends.Snapshotter)
	for _, err := range []error{
		driver.Create(t.Context(), ref, 8*volume.MiB),
		second(driver.Attach(t.Context(), ref, "node-4", volume.ReadOnly)),
		second(snapshotter.CreateSnapshot(t.Context(), ref, "monday")),
		second(snapshotter.CreateSnapshot(t.Context(), ref, "tuesday")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	adopt := commands.Request{Key: key, Verb: volume.VerbAdopt, Args: volume.Args{ID: ref.ID}, Actor: "test"}
	dry := adopt
	dry.ValidateOnly = true
	if reply := do(t, client, dry); reply.Outcome != volume.Valid {
		t.Errorf("dry run: got %+v", reply)
	}
	wantReply(t, do(t, client, adopt), volume.Succeeded, volume.StateAttached, "")
	record, seen := readWitnessesOf(t, js, driver, key)
	for _, fault := range disagreements(record, seen.events, seen.object) {
		t.Error(fault)
	}
	if record.ID != ref.ID || record.Snapshots != 2 || record.Generation != 1 {
		t.Errorf("got %+v", record)
	}
	for _, step := range []commands.Request{
		{Verb: volume.VerbDetach},
		{Verb: volume.VerbRestore, Args: volume.Args{Snapshot: "monday"}},
		{Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: "monday"}},
		{Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: "tuesday"}},
	} {
		step.Key, step.Actor = key, "test"
		wantReply(t, do(t, client, step), volume.Succeeded, volume.StateAvailable, "")
	}
	wantReply(t, do(t, client, commands.Request{Key: key, Verb: volume.VerbDelete, Actor: "test"}), volume.Succeeded, volume.StateDeleted, "")
	p.wantNoOrphans(t, js)
}

func second[T any](_ T, err error) error { return err }
