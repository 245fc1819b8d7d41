package query_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

func (w *world) explain(name string) query.Explanation {
	w.t.Helper()
	explained, err := w.client.Explain(w.ctx, query.ExplainRequest{Project: "default", Volume: volume.Name(name)})
	if err != nil {
		w.t.Fatal(err)
	}
	return explained
}

func situations(e query.Explanation) []string {
	var names []string
	for _, one := range e.Advice {
		names = append(names, one.Situation)
	}
	return names
}

func TestExplain_OperationQueueAndOwner_AreTold(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.command("other", volume.VerbDelete, "x", "")
	decided := w.command("db-01", volume.VerbDetach, "c-1", "")
	r := record("db-01")
	r.State, r.CommandSequence = volume.StateDetachingFailed, decided
	r.Owner = volume.Owner{Worker: "w1", Instance: "i1", Epoch: 3}
	r.Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadWrite}}
	r.Op = &volume.Op{
		CommandID: "c-1", Verb: volume.VerbDetach, Attempt: 1, StartedAt: time.Now().UTC(), NextRetryAt: time.Now().UTC().Add(time.Hour),
		Failure: &volume.Failure{
			Code: volume.ErrBackendBusy, Class: volume.Busy, Message: "watched",
			BlockedBy: []volume.Blocker{{Kind: volume.BlockedByWatcher, Name: "client.1"}},
		},
	}
	w.put(r)
	w.join("w1", "i1", everyPartition()...)
	w.command("db-01", volume.VerbAttach, "c-2", `{"node":"n2"}`)
	w.command("db-01", volume.VerbDelete, "", "")
	w.command("db-01", volume.VerbResize, "c-4", `not JSON`)
	w.command("db-010", volume.VerbDelete, "y", "")

	got := w.explain("db-01")
	if got.State != volume.StateDetachingFailed || !slices.Equal(got.Nodes, []string{"n1"}) || got.Consistency != query.Leader {
		t.Errorf("got %+v", got)
	}
	if o := got.Owner; !o.Alive || o.Worker != "w1" || o.Epoch != 3 || o.PartitionOwner != "w1" {
		t.Errorf("owner: got %+v", o)
	}
	if op := got.Operation; op == nil || op.Verb != volume.VerbDetach || op.Step != query.StepWait || op.Attempt != 1 ||
		op.MaxAttempts != 3 || op.LastError.Code != volume.ErrBackendBusy || op.NextRetryAt.IsZero() {
		t.Errorf("operation: got %+v", op)
	}
	var queue []string
	for _, one := range got.Queue {
		queue = append(queue, fmt.Sprint(one.Verb, " ", one.CommandID, " ", one.Actor))
		if one.Sequence <= decided || one.Age < 0 || one.StoredAt.IsZero() {
			t.Errorf("queue: got %+v", one)
		}
	}
	if len(queue) != 3 || queue[0] != "attach c-2 tester" || !strings.HasPrefix(queue[1], "delete seq-") || queue[2] != "resize c-4 tester" || got.QueueTotal != 3 {
		t.Errorf("queue: got %q of %d", queue, got.QueueTotal)
	}
	if want := []string{"waiting_retry", "blocked_by_watcher", "queued"}; !slices.Equal(situations(got), want) {
		t.Errorf("advice: got %v, want %v", situations(got), want)
	}
	// The node that holds it stands in the command that would help.
	if command := got.Advice[1].Command; !strings.Contains(command, "--node n1") {
		t.Errorf("got %q, want node n1 in it", command)
	}
}

func TestExplain_LongQueue_ShowsTheFirstAndCountsAll(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.put(record("db-01"))
	for i := range 50 {
		w.command("db-01", volume.VerbReconcile, fmt.Sprintf("c-%d", i), "")
	}
	got := w.explain("db-01")
	if len(got.Queue) != query.MaxQueue || got.QueueTotal != 50 || got.Queue[0].CommandID != "c-0" || got.Queue[19].CommandID != "c-19" {
		t.Errorf("got %d of %d", len(got.Queue), got.QueueTotal)
	}
	if want := []string{"no_worker"}; !slices.Equal(situations(got), want) {
		t.Errorf("advice: got %v, want %v", situations(got), want)
	}
}

func TestExplain_NoRecord_CommandsAndDeadLettersAreTold(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	request := query.ExplainRequest{Project: "default", Volume: "db-01"}
	if _, err := w.client.Explain(w.ctx, request); !errors.Is(err, volume.ErrVolumeNotFound) {
		t.Errorf("nothing stored: got %v, want %v", err, volume.ErrVolumeNotFound)
	}
	dead := commands.DeadSubject(commands.Address{Key: key("db-01"), Verb: volume.VerbCreate})
	if _, err := w.js.Publish(w.ctx, dead, []byte("x")); err != nil {
		t.Fatal(err)
	}
	w.command("db-01", volume.VerbCreate, "c-1", `{"size":"1GiB"}`)
	got := w.explain("db-01")
	if got.State != "" || got.ID != "" || got.DeadLetters != 1 || got.QueueTotal != 1 || got.Owner.Worker != "" {
		t.Errorf("got %+v", got)
	}
	if want := []string{"no_worker", "dead_letters"}; !slices.Equal(situations(got), want) {
		t.Errorf("advice: got %v, want %v", situations(got), want)
	}
}

// The partition that is told is the one that the server chose.
func TestExplain_Partition_IsTheServers(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	stream, err := w.js.Stream(w.ctx, commands.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		name := fmt.Sprintf("db-%d", i)
		stored, err := stream.GetMsg(w.ctx, w.command(name, volume.VerbDelete, "", ""))
		if err != nil {
			t.Fatal(err)
		}
		address, err := commands.ParseSubject(stored.Subject)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.explain(name); got.Owner.Partition != address.Partition || got.QueueTotal != 1 {
			t.Errorf("%s: got partition %d and %d waiting, want %d and 1", name, got.Owner.Partition, got.QueueTotal, address.Partition)
		}
	}
}

// A command that the client library does not give out is counted.
func TestExplain_MessageThatTheLibraryKeeps_IsCounted(t *testing.T) {
	w := newWorld(t)
	w.serve(w.nc, "w1")
	w.put(record("db-01"))
	w.command("db-01", volume.VerbReconcile, "c-1", "")
	m := nats.NewMsg(commands.Subject(key("db-01"), volume.VerbDelete))
	m.Header.Set("Status", "503")
	if err := w.nc.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	w.command("db-01", volume.VerbReconcile, "c-3", "")
	if got := w.explain("db-01"); got.QueueTotal != 3 || len(got.Queue) == 0 || got.Queue[0].CommandID != "c-1" {
		t.Errorf("got %+v", got)
	}
}
