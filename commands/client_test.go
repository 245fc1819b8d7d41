package commands_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func createRequest(id volume.CommandID) commands.Request {
	return commands.Request{Key: db01, Verb: volume.VerbCreate, Args: volume.Args{Size: volume.GiB}, ID: id}
}

// startService returns a connection to a server that has the command stream.
func startService(t testing.TB) *nats.Conn {
	t.Helper()
	nc := startConnected(t)
	createStream(t, nc, commands.StreamConfig(1))
	return nc
}

func TestClient_Do_ReturnsTheAnswer(t *testing.T) {
	nc := startService(t)
	got := make(chan delivery, 1)
	startWorker(t, nc, func(d delivery) { got <- d; succeed(t, nc)(d) })

	request := createRequest("order-1")
	request.Actor, request.TraceParent = "zoe", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	reply, err := newClient(t, nc).Do(testContext(t), request)
	if err != nil || reply.CommandID != "order-1" || reply.State != volume.StateAvailable || reply.Generation != 2 || reply.Repeat {
		t.Errorf("got %+v and %v", reply, err)
	}
	want := volume.Command{ID: "order-1", Key: db01, Verb: volume.VerbCreate, Args: request.Args, Actor: "zoe", Sequence: 1, TraceParent: request.TraceParent}
	if command := receive(t, got).envelope.Command; !equalCommands(command, want) {
		t.Errorf("got %+v, want %+v", command, want)
	}
}

func TestClient_Verbs(t *testing.T) {
	nc := startService(t)
	got := make(chan delivery, 1)
	startWorker(t, nc, func(d delivery) { got <- d; succeed(t, nc)(d) })
	client, ctx := newClient(t, nc), testContext(t)
	monday := volume.SnapshotKey{Volume: "db-00", Snapshot: "monday"}
	for _, test := range []struct {
		verb volume.Verb
		args volume.Args
		call func() (commands.Reply, error)
	}{
		{volume.VerbCreate, volume.Args{Size: 1, Backend: "local"}, func() (commands.Reply, error) {
			return client.Create(ctx, db01, volume.Args{Size: 1, Backend: "local"})
		}},
		{volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}, func() (commands.Reply, error) { return client.Attach(ctx, db01, "n1", "") }},
		{volume.VerbDetach, volume.Args{Node: "n1"}, func() (commands.Reply, error) { return client.Detach(ctx, db01, "n1") }},
		{volume.VerbResize, volume.Args{Size: 2}, func() (commands.Reply, error) { return client.Resize(ctx, db01, 2) }},
		{volume.VerbReconcile, volume.Args{}, func() (commands.Reply, error) { return client.Reconcile(ctx, db01) }},
		{volume.VerbNodeGone, volume.Args{Node: "n1", Reason: "lost power"}, func() (commands.Reply, error) { return client.NodeGone(ctx, db01, "n1", "lost power") }},
		{volume.VerbCancel, volume.Args{Target: "order-1"}, func() (commands.Reply, error) { return client.Cancel(ctx, db01, "order-1") }},
		{volume.VerbUnmanage, volume.Args{Name: "web-disk"}, func() (commands.Reply, error) { return client.Unmanage(ctx, db01, "web-disk") }},
		{volume.VerbAdopt, volume.Args{Backend: "ceph-ssd", Image: "web-disk"}, func() (commands.Reply, error) {
			return client.AdoptImage(ctx, db01, "ceph-ssd", "web-disk")
		}},
		{volume.VerbSnapshot, volume.Args{Snapshot: "monday", Labels: volume.Labels{"kept": "30d"}}, func() (commands.Reply, error) {
			return client.Snapshot(ctx, db01, "monday", volume.Labels{"kept": "30d"})
		}},
		{volume.VerbDeleteSnapshot, volume.Args{Snapshot: "monday"}, func() (commands.Reply, error) { return client.DeleteSnapshot(ctx, db01, "monday") }},
		{volume.VerbRestore, volume.Args{Snapshot: "monday"}, func() (commands.Reply, error) { return client.Restore(ctx, db01, "monday") }},
		{volume.VerbCreate, volume.Args{Source: monday, ReadOnly: true}, func() (commands.Reply, error) { return client.Clone(ctx, db01, monday, 0, true) }},
		{volume.VerbCreate, volume.Args{Source: monday, Size: 2}, func() (commands.Reply, error) { return client.Clone(ctx, db01, monday, 2, false) }},
		{volume.VerbFlatten, volume.Args{}, func() (commands.Reply, error) { return client.Flatten(ctx, db01) }},
		{volume.VerbDelete, volume.Args{}, func() (commands.Reply, error) { return client.Delete(ctx, db01) }},
	} {
		reply, err := test.call()
		command := receive(t, got).envelope.Command
		want := volume.Command{ID: reply.CommandID, Key: db01, Verb: test.verb, Args: test.args, Sequence: command.Sequence}
		if err != nil || !equalCommands(command, want) {
			t.Errorf("%s: got %+v and %v, want %+v", test.verb, command, err, want)
		}
	}
}

func TestClient_Do_FailedCommand_IsAnErrorWithReply(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, func(d delivery) {
		failure := volume.NewFailure(volume.Errorf(volume.ErrVolumeExists, "create volume %s: it exists", d.envelope.Key))
		answer(t, nc, d.envelope, volume.Outcome{Result: volume.Rejected, State: volume.StateAttached, Failure: failure}, false)
	})
	reply, err := newClient(t, nc).Create(testContext(t), db01, volume.Args{Size: 1})
	if !errors.Is(err, volume.ErrVolumeExists) || !errors.Is(err, volume.AlreadyExists) {
		t.Errorf("got error %v, want %v", err, volume.ErrVolumeExists)
	}
	if reply.Outcome != volume.Rejected || reply.State != volume.StateAttached {
		t.Errorf("got %+v, want the rejection", reply)
	}
}

func TestClient_Do_Progress_OnlyThisCommandsEventsInOrder(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, func(d delivery) {
		tell := func(key volume.Key, id volume.CommandID, event volume.Event, generation uint64) {
			data := volume.Transition{Key: key, CommandID: id, Event: event, Generation: generation}
			publishJSON(t, nc, "volume.event."+key.String()+"."+string(event), map[string]any{"specversion": "1.0", "type": "x", "data": data})
		}
		tell(db01, "another", volume.EventDeleted, 1)
		tell(db01, d.envelope.ID, volume.EventCreate, 2)
		tell(volume.Key{Project: "default", Name: "db-02"}, d.envelope.ID, volume.EventCreate, 1)
		publishJSON(t, nc, "volume.event.default.db-01.junk", "junk")
		tell(db01, d.envelope.ID, volume.EventReady, 3)
		succeed(t, nc)(d)
	})
	var events []volume.Event
	request := createRequest("order-1")
	request.Progress = func(event commands.ProgressEvent) {
		if event.Transition.CommandID != "order-1" || event.Event != event.Transition.Event {
			t.Errorf("got %+v", event)
		}
		events = append(events, event.Event)
	}
	if _, err := newClient(t, nc).Do(testContext(t), request); err != nil {
		t.Error(err)
	}
	if want := []volume.Event{volume.EventCreate, volume.EventReady}; !slices.Equal(events, want) {
		t.Errorf("got %v, want %v", events, want)
	}
}

func TestClient_Do_ManyAtOnce_EachGetsItsOwnAnswer(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, succeed(t, nc))
	client, ctx := newClient(t, nc), testContext(t)
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			key := volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("v%d", i))}
			reply, err := client.Do(ctx, commands.Request{Key: key, Verb: volume.VerbDelete, ID: volume.CommandID(fmt.Sprintf("order-%d", i))})
			if err != nil || reply.Key() != key || reply.CommandID != volume.CommandID(fmt.Sprintf("order-%d", i)) {
				t.Errorf("volume %s: got %+v and %v", key, reply, err)
			}
		})
	}
	group.Wait()
}

func TestClient_Do_WrongAnswers_Ignored(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, func(d delivery) {
		publishJSON(t, nc, d.envelope.Reply, "junk")
		publishJSON(t, nc, d.envelope.Reply+"x", commands.Reply{CommandID: d.envelope.ID, Outcome: volume.Failed})
		publishJSON(t, nc, d.envelope.Reply, commands.Reply{CommandID: "another", Outcome: volume.Failed})
		succeed(t, nc)(d)
		publishJSON(t, nc, d.envelope.Reply, commands.Reply{CommandID: d.envelope.ID, Outcome: volume.Failed})
	})
	reply, err := newClient(t, nc).Do(testContext(t), createRequest("order-1"))
	if err != nil || reply.Outcome != volume.Succeeded {
		t.Errorf("got %+v and %v", reply, err)
	}
}

// The same command asked for twice is carried out once: the second call gets the stored
// answer, even within the stream's dedupe window, in which its first message is dropped.
func TestClient_Do_SameIDAgain_GetsTheFirstAnswer(t *testing.T) {
	nc := startService(t)
	startWorker(t, nc, succeed(t, nc))
	client := newClient(t, nc)
	for _, repeat := range []bool{false, true} {
		reply, err := client.Do(testContext(t), createRequest("order-1"))
		if err != nil || reply.Repeat != repeat {
			t.Errorf("got %+v and %v, want repeat %v", reply, err, repeat)
		}
	}
}

func TestClient_Publish_ReturnsTheReceipt(t *testing.T) {
	nc := startService(t)
	got := make(chan delivery, 2)
	startWorker(t, nc, func(d delivery) { got <- d })
	client := newClient(t, nc)
	receipt, err := client.Publish(testContext(t), createRequest(""))
	if err != nil || receipt.CommandID == "" || receipt.Sequence != 1 || receipt.Duplicate {
		t.Errorf("got %+v and %v", receipt, err)
	}
	if envelope := receive(t, got).envelope; envelope.ID != receipt.CommandID || envelope.Sequence != 1 || envelope.Reply != "" {
		t.Errorf("got %+v, want %+v without a reply subject", envelope, receipt)
	}
}

func TestClient_InvalidRequest_PublishesNothing(t *testing.T) {
	nc := startConnected(t)
	stream := createStream(t, nc, commands.StreamConfig(1))
	client := newClient(t, nc)
	for name, test := range map[string]struct {
		request commands.Request
		code    error
	}{
		"name":     {commands.Request{Key: volume.Key{Project: "default", Name: "../../etc"}, Verb: volume.VerbDelete}, volume.ErrInvalidName},
		"verb":     {commands.Request{Key: db01, Verb: "rename"}, volume.ErrUnknownVerb},
		"snapshot": {commands.Request{Key: db01, Verb: volume.VerbSnapshot, Args: volume.Args{Snapshot: "Monday"}}, volume.ErrInvalidName},
		"size":     {commands.Request{Key: db01, Verb: volume.VerbCreate}, volume.ErrInvalidSize},
		"id":       {commands.Request{Key: db01, Verb: volume.VerbDelete, ID: "seq-1"}, volume.ErrInvalidCommandID},
	} {
		if _, err := client.Do(testContext(t), test.request); !errors.Is(err, test.code) {
			t.Errorf("do with wrong %s: got %v, want %v", name, err, test.code)
		}
		if _, err := client.Publish(testContext(t), test.request); !errors.Is(err, test.code) {
			t.Errorf("publish with wrong %s: got %v, want %v", name, err, test.code)
		}
	}
	if info, err := stream.Info(testContext(t)); err != nil || info.State.LastSeq != 0 {
		t.Errorf("got %+v and %v, want an empty stream", info, err)
	}
}

func TestNew_RefusesOptionsWithoutSense(t *testing.T) {
	nc := startConnected(t)
	for _, option := range []commands.Option{commands.WithResendAfter(0), commands.WithPublishTimeout(-time.Second), commands.WithUnavailableAfter(0)} {
		if _, err := commands.New(nc, option); !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("got %v, want %v", err, volume.ErrInvalidArgument)
		}
	}
	nc.Close()
	if _, err := commands.New(nc); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want %v", err, nats.ErrConnectionClosed)
	}
}

func TestClient_Do_ContextEnded_PublishesNothing(t *testing.T) {
	nc := startService(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newClient(t, nc).Do(ctx, createRequest(""))
	if _, pending := errors.AsType[*commands.PendingError](err); pending || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v and nothing pending", err, context.Canceled)
	}
}
