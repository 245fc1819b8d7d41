package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// stage stores what a worker that died would have left behind: a command that nobody
// acknowledged, and a record at some point of it.
func (s *system) stage(request commands.Request, record func(volume.Command) volume.Record) {
	s.t.Helper()
	receipt := s.publish(request)
	command := volume.Command{
		ID: receipt.CommandID, Key: request.Key, Verb: request.Verb, Args: request.Args,
		Preconditions: request.Preconditions, Sequence: receipt.Sequence, Backend: "local",
	}
	staged := record(command)
	for i := range staged.Outbox { // as the worker that died would have
		var err error
		staged.EventHash, err = events.Chain(&staged.Outbox[i], staged.EventHash)
		s.must(err)
	}
	_, err := s.records.Create(s.ctx, request.Key.String(), staged)
	s.must(err)
}

func pending(name string) volume.Record {
	return volume.Record{SchemaVersion: volume.SchemaVersion, Key: key(name), State: volume.StatePending}
}

func TestWorker_FindsOperationBegun_RollsForward(t *testing.T) {
	for name, advance := range map[string]func(*testing.T, volume.Record) volume.Record{
		"creating":          func(_ *testing.T, r volume.Record) volume.Record { return r },
		"failed, to retry":  func(t *testing.T, r volume.Record) volume.Record { return failed(t, r, volume.Unavailable) },
		"failed, to settle": func(t *testing.T, r volume.Record) volume.Record { return failed(t, r, volume.ErrCancelled) },
		"failed, to give up": func(t *testing.T, r volume.Record) volume.Record {
			return failed(t, r, volume.ResourceExhausted)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := prepare(t)
			request := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"}
			s.stage(request, func(command volume.Command) volume.Record {
				decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
				must(t, err)
				return advance(t, decision.Record) // its events were never published
			})
			s.startWorker()
			s.awaitEvent("v", ofCommand("c1"))
			reply := s.do(request)
			if !reply.Repeat || reply.State.InProgress() {
				t.Errorf("reply: %+v", reply)
			}
			want := map[string][]volume.Event{
				"creating":           {volume.EventCreate, volume.EventReady},
				"failed, to retry":   {volume.EventCreate, volume.EventError, volume.EventRetry, volume.EventReady},
				"failed, to settle":  {volume.EventCreate, volume.EventError, volume.EventCancelled},
				"failed, to give up": {volume.EventCreate, volume.EventError, volume.EventFail},
			}[name]
			s.wantWitnesses("v", want...)
		})
	}
}

func failed(t *testing.T, r volume.Record, why error) volume.Record {
	t.Helper()
	if class, ok := why.(volume.Class); ok {
		why = volume.BackendError(class)
	}
	decision, err := fsm.Fail(r, why, quickRetry(), time.Now().UTC())
	must(t, err)
	return decision.Record
}

func TestWorker_FindsBackendDone_DoesNotDoItTwice(t *testing.T) {
	s := prepare(t)
	request := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"}
	s.stage(request, func(command volume.Command) volume.Record {
		decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
		must(t, err)
		must(t, s.backend.Driver.Create(s.ctx, backends.Ref{Key: key("v"), ID: decision.Record.ID}, volume.MiB))
		return decision.Record
	})
	s.startWorker()
	s.awaitEvent("v", ofCommand("c1"))
	s.wantReply(s.do(request), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}

func TestWorker_FindsCommandAnsweredButNotAcked_PublishesTheRestOnce(t *testing.T) {
	s := prepare(t)
	request := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"}
	s.stage(request, func(command volume.Command) volume.Record {
		decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
		must(t, err)
		must(t, s.backend.Driver.Create(s.ctx, backends.Ref{Key: key("v"), ID: decision.Record.ID}, volume.MiB))
		decision, err = fsm.Succeed(decision.Record, nil, time.Now().UTC())
		must(t, err)
		return decision.Record // two events in the outbox, none on the stream
	})
	s.startWorker()
	s.wantReply(s.do(request), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}

func TestWorker_FindsOperationWhoseCommandIsGone_EndsItFirst(t *testing.T) {
	s := prepare(t)
	command := volume.Command{ID: "lost", Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, Backend: "local"}
	decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
	must(t, err)
	_, err = s.records.Create(s.ctx, key("v").String(), decision.Record)
	must(t, err)
	s.startWorker()
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}

func TestWorker_LostCompareAndSet_ReloadsAndDecidesAgain(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call != "attach" {
			return nil
		}
		s.backend.hook(nil, nil)
		entry, err := s.records.ByKey(s.ctx, key("v")) // another owner touches the record meanwhile
		if err == nil {
			_, err = s.records.CompareAndSet(s.ctx, key("v").String(), entry.Value, entry.Revision)
		}
		return err
	}, nil)
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}

func TestWorker_RecordDeletedByHand_GoesOnFromTheLastEvent(t *testing.T) {
	s := start(t)
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-v"}
	first := s.do(create)
	must(t, s.stop())
	bucket, err := s.js.KeyValue(s.ctx, "volumes")
	must(t, err)
	must(t, bucket.Purge(s.ctx, key("v").String()))
	s.startWorker()
	s.wantSame(create, first)
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantSame(create, first)
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}

// A server that is killed after a tombstone has expired may show the record before it again.
func TestWorker_OlderRecordIsBack_GoesOnFromTheLastEvent(t *testing.T) {
	s := start(t)
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-v"}
	first := s.do(create)
	entered, release := s.gate("delete", "v")
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "delete-v"})
	s.awaitCall(entered)
	bucket, err := s.js.KeyValue(s.ctx, "volumes")
	must(t, err)
	older, err := bucket.Get(s.ctx, key("v").String())
	must(t, err)
	close(release)
	s.awaitEvent("v", ofCommand("delete-v"))
	must(t, s.stop())
	_, err = bucket.Put(s.ctx, key("v").String(), older.Value())
	must(t, err)
	s.startWorker()
	s.wantSame(create, first)
	s.wantReply(s.create("v", 2*volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantSame(create, first)
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
		volume.EventRecreate, volume.EventReady)
}

func TestWorker_Drain_HandsBackAWaitAndAnotherWorkerGoesOn(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.Retry.InitialWait, c.Retry.MaxWait = time.Second, time.Second })
	s.backend.hook(unavailable(1), nil)
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitEvent("v", ofEvent(volume.EventError))
	must(t, s.stop())
	if state := s.record("v").State; state != volume.StateCreatingFailed {
		t.Fatalf("state after the drain: got %s, want %s", state, volume.StateCreatingFailed)
	}
	s.config.ID = "worker-2"
	s.startWorker()
	if e := s.awaitEvent("v", ofCommand(receipt.CommandID)); e.Worker != "worker-2" {
		t.Errorf("worker of the last event: got %s", e.Worker)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventRetry, volume.EventReady)
}

func TestWorker_Drain_LetsARunningCallEnd(t *testing.T) {
	s := start(t)
	entered, release := s.gate("create", "v")
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDelete}) // behind it: handed back
	s.awaitCall(entered)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	close(release)
	must(t, <-stopped)
	s.awaitEvent("v", ofEvent(volume.EventCreate))
	if state := s.record("v").State; state == volume.StateCreating {
		t.Errorf("the running call was abandoned: state %s", state)
	}
	s.startWorker()
	s.awaitEvent("v", ofEvent(volume.EventDeleted))
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted)
}

func TestWorker_TakenOver_StopsWithoutHarm(t *testing.T) {
	s := start(t)
	second := s.config
	second.ID = "worker-2"
	stop := s.startAnother(second) // both live, each takes the partitions from the other
	for i := range 32 {
		s.wantReply(s.create(fmt.Sprintf("v%d", i), volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	}
	must(t, stop())
	for i := range 32 {
		s.wantWitnesses(fmt.Sprintf("v%d", i), volume.EventCreate, volume.EventReady)
	}
}

func TestWorker_CallLongerThanAckWait_IsNotDeliveredTwice(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.AckWait = time.Second })
	info := func() jetstream.ConsumerInfo {
		total := jetstream.ConsumerInfo{}
		for i := range commands.Partitions {
			c, err := s.js.Consumer(s.ctx, commands.StreamName, fmt.Sprintf("partition-%d", i))
			must(t, err)
			one, err := c.Info(s.ctx)
			must(t, err)
			total.NumRedelivered += one.NumRedelivered
		}
		return total
	}
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "create" {
			timer := time.NewTimer(2500 * time.Millisecond) // this is the slow backend, not a wait for anything
			<-timer.C
		}
		return nil
	}, nil)
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	if n := info().NumRedelivered; n != 0 {
		t.Errorf("redelivered commands: got %d, want 0", n)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}
