package worker_test

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestWorker_Cancel_EndsARunningCall(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	entered, _ := s.gate("attach", "v")
	attach := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "slow"})
	s.awaitCall(entered)
	s.wantReply(s.verb("v", volume.VerbCancel), volume.Succeeded, volume.StateAvailable, "")
	if e := s.awaitEvent("v", ofCommand(attach.CommandID)); e.Event != volume.EventCancelled || e.To != volume.StateAvailable || e.Failure.Code != volume.ErrCancelled {
		t.Errorf("last event of the cancelled attach: %+v", e)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventError, volume.EventCancelled)
}

func TestWorker_CancelledCreate_IsPendingAndNoDeadEnd(t *testing.T) {
	s := start(t)
	entered, _ := s.gate("create", "v")
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"})
	s.awaitCall(entered)
	s.backend.hook(nil, nil)
	reply := s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: "c1"}})
	s.wantReply(reply, volume.Succeeded, volume.StatePending, "")
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventCancelled, volume.EventCreate, volume.EventReady)
}

func TestWorker_Cancel_EndsAWaitForRetry(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.Retry.InitialWait, c.Retry.MaxWait = time.Hour, time.Hour })
	s.backend.hook(unavailable(1), nil)
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"})
	s.awaitEvent("v", ofEvent(volume.EventError))
	s.wantReply(s.verb("v", volume.VerbCancel), volume.Succeeded, volume.StatePending, "")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventError, volume.EventCancelled, volume.EventDiscard, volume.EventDeleted)
}

func TestWorker_Cancel_ReachesACommandStillInTheQueue(t *testing.T) {
	s := start(t)
	entered, release := s.gate("create", "v")
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitCall(entered)
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "regretted"})
	cancelled := make(chan commands.Reply, 1)
	go func() {
		cancelled <- s.do(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: "regretted"}, ID: "cancel-1"})
	}()
	s.awaitPending(3)
	close(release)
	s.wantReply(<-cancelled, volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventRejected)
}

// awaitPending waits until the worker holds n commands: the server's count of those
// delivered and not acknowledged.
func (s *system) awaitPending(n int) {
	s.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		held := 0
		for info := range s.consumers() {
			held += info
		}
		if held >= n {
			return
		}
		if s.ctx.Err() != nil {
			s.t.Fatal("the commands did not reach the worker")
		}
	}
}

func (s *system) consumers() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		stream, err := s.js.Stream(s.ctx, commands.StreamName)
		s.must(err)
		for info := range stream.ListConsumers(s.ctx).Info() {
			if !yield(info.NumAckPending) {
				return
			}
		}
	}
}
