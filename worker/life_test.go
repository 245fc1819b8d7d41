package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func TestWorker_WholeLife_ThreeWitnessesAgree(t *testing.T) {
	s := start(t)
	s.wantReply(s.create("db-01", 64*volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantBackend(s.record("db-01"))
	s.wantReply(s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 96 * volume.MiB}}),
		volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("db-01", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 128 * volume.MiB}}),
		volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantBackend(s.record("db-01"))
	s.wantReply(s.verb("db-01", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("db-01",
		volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventExtend, volume.EventExtended, volume.EventDetach, volume.EventDetached,
		volume.EventExtend, volume.EventExtended, volume.EventReconciled, volume.EventDelete, volume.EventDeleted)
}

func TestWorker_DeletedName_LivesAgainAndGenerationsGoOn(t *testing.T) {
	s := start(t)
	first := s.create("again", volume.MiB)
	s.verb("again", volume.VerbDelete)
	second := s.create("again", 2*volume.MiB)
	s.wantReply(second, volume.Succeeded, volume.StateAvailable, "")
	if first.VolumeID == second.VolumeID || second.Generation != 6 {
		t.Errorf("second life: id %s after %s, generation %d, want another id and 6", second.VolumeID, first.VolumeID, second.Generation)
	}
	s.wantWitnesses("again", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
		volume.EventRecreate, volume.EventReady)
}

// The original set the owner before it checked the transition: a refused attach showed
// the intruder as owner.
func TestWorker_RefusedAttach_LeavesTheOwner(t *testing.T) {
	s := start(t)
	s.create("held", volume.MiB)
	s.attach("held", "owner")
	s.wantReply(s.attach("held", "intruder"), volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition)
	if _, held := s.record("held").Attachments.Of("owner"); !held {
		t.Errorf("owner after a refused attach: got %s", s.record("held").Attachments)
	}
	s.wantWitnesses("held", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached, volume.EventRejected)
}

func TestWorker_AttachRace_OneWinner(t *testing.T) {
	s := start(t)
	s.create("race", volume.MiB)
	for range 20 {
		winners := s.race(2, func(i int) commands.Reply { return s.attach("race", volume.Node(fmt.Sprintf("n%d", i))) }, volume.ErrInvalidTransition)
		if winners != 1 {
			t.Fatalf("winners of a race of two attaches: got %d, want 1", winners)
		}
		s.wantBackend(s.record("race"))
		s.wantReply(s.verb("race", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	}
}

// Losers of the original's create race got an internal error.
func TestWorker_CreateRace_LosersAreToldThatItExists(t *testing.T) {
	s := start(t)
	for round := range 20 {
		name := fmt.Sprintf("race-%d", round)
		if winners := s.race(8, func(int) commands.Reply { return s.create(name, volume.MiB) }, volume.ErrVolumeExists); winners != 1 {
			t.Fatalf("winners of a race of eight creates: got %d, want 1", winners)
		}
	}
}

// race runs n commands at once and returns how many succeeded; the others must have
// been refused with the code.
func (s *system) race(n int, command func(int) commands.Reply, code volume.Code) int {
	s.t.Helper()
	replies := make([]commands.Reply, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { replies[i] = command(i) })
	}
	all.Wait()
	winners := 0
	for _, reply := range replies {
		if reply.Outcome == volume.Succeeded {
			winners++
		} else if reply.Failure == nil || reply.Failure.Code != code {
			s.t.Errorf("loser: got %+v, want %s", reply.Failure, code)
		}
	}
	return winners
}

func TestWorker_CommandsOfOneVolume_RunInPublishOrder(t *testing.T) {
	s := start(t)
	s.create("ordered", volume.MiB)
	var ids []volume.CommandID
	for i := range 60 {
		request := commands.Request{Key: key("ordered"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}}
		if i%2 == 1 {
			request = commands.Request{Key: key("ordered"), Verb: volume.VerbDetach}
		}
		ids = append(ids, s.publish(request).CommandID)
	}
	s.awaitEvent("ordered", ofCommand(ids[len(ids)-1]))
	var got []volume.CommandID
	for _, e := range s.events("ordered")[2:] {
		if e.Final {
			got = append(got, e.CommandID)
			if e.Event == volume.EventRejected {
				t.Errorf("command %s was refused: out of order", e.CommandID)
			}
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("order of effects: got %v, want %v", got, ids)
	}
}

func TestWorker_SlowVolume_BlocksNoOther(t *testing.T) {
	s := start(t)
	entered, release := s.gate("create", "slow")
	slow := s.publish(commands.Request{Key: key("slow"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitCall(entered)
	for i := range 64 { // of every partition some
		s.wantReply(s.create(fmt.Sprintf("quick-%d", i), volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	}
	close(release)
	s.awaitEvent("slow", ofCommand(slow.CommandID))
	s.wantWitnesses("slow", volume.EventCreate, volume.EventReady)
}

func unavailable(times int) func(context.Context, string, backends.Ref) error {
	return func(_ context.Context, call string, _ backends.Ref) error {
		if call == "get" {
			return nil
		}
		if times--; times >= 0 {
			return backends.Errorf(volume.Unavailable, "pool is away")
		}
		return nil
	}
}

func TestWorker_BackendUnavailable_RetriesAndShowsEachAttempt(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.Retry = fsm.DefaultRetryPolicy() })
	s.backend.hook(unavailable(2), nil)
	s.wantReply(s.create("flaky", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	all := s.events("flaky")
	for i, wait := range []time.Duration{500 * time.Millisecond, time.Second} {
		failed, retried := all[1+2*i], all[2+2*i]
		if failed.To != volume.StateCreatingFailed || failed.Attempt != i+1 || failed.Failure.Code != volume.ErrBackendUnavailable {
			t.Errorf("failed attempt %d: got %+v", i+1, failed)
		}
		if got := failed.NextRetryAt.Sub(failed.Time); got != wait {
			t.Errorf("wait after attempt %d: got %s, want %s", i+1, got, wait)
		}
		if retried.Time.Before(failed.NextRetryAt) || retried.Attempt != i+2 {
			t.Errorf("attempt %d began at %s, not after %s", retried.Attempt, retried.Time, failed.NextRetryAt)
		}
	}
	s.wantWitnesses("flaky", volume.EventCreate, volume.EventError, volume.EventRetry, volume.EventError, volume.EventRetry, volume.EventReady)
}

func TestWorker_AttemptsExhausted_EndInError_AndReconcileLeadsOut(t *testing.T) {
	s := start(t)
	s.backend.hook(unavailable(3), nil)
	reply := s.create("broken", volume.MiB)
	s.wantReply(reply, volume.Failed, volume.StateError, volume.ErrBackendUnavailable)
	if !reply.Retryable {
		t.Error("an unavailable backend should be told as retryable")
	}
	s.wantReply(s.verb("broken", volume.VerbReconcile), volume.Succeeded, volume.StatePending, "")
	s.wantReply(s.create("broken", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("broken", volume.EventCreate, volume.EventError, volume.EventRetry, volume.EventError, volume.EventRetry,
		volume.EventError, volume.EventFail, volume.EventReconciled, volume.EventCreate, volume.EventReady)
}

func TestWorker_FinalBackendError_IsNotRetried(t *testing.T) {
	s := start(t)
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "create" {
			return backends.Errorf(volume.ResourceExhausted, "disk full")
		}
		return nil
	}, nil)
	s.wantReply(s.create("full", volume.MiB), volume.Failed, volume.StateError, volume.ErrBackendExhausted)
	s.wantReply(s.verb("full", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("full", volume.EventCreate, volume.EventError, volume.EventFail, volume.EventDiscard, volume.EventDeleted)
}

// A refused transition never retries and never reaches the backend.
func TestWorker_Refusals_ReachNoBackend(t *testing.T) {
	s := start(t)
	s.create("settled", volume.MiB)
	generation := uint64(99)
	for name, c := range map[string]struct {
		request commands.Request
		code    volume.Code
	}{
		"missing":      {commands.Request{Key: key("missing"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}}, volume.ErrVolumeNotFound},
		"exists":       {commands.Request{Key: key("settled"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}, volume.ErrVolumeExists},
		"transition":   {commands.Request{Key: key("settled"), Verb: volume.VerbDetach}, volume.ErrInvalidTransition},
		"size":         {commands.Request{Key: key("settled"), Verb: volume.VerbResize, Args: volume.Args{Size: volume.KiB}}, volume.ErrInvalidSize},
		"backend":      {commands.Request{Key: key("nowhere"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Backend: "tape"}}, volume.ErrUnknownBackend},
		"state":        {commands.Request{Key: key("settled"), Verb: volume.VerbDelete, Preconditions: volume.Preconditions{IfState: volume.StateAttached}}, volume.ErrPreconditionFailed},
		"generation":   {commands.Request{Key: key("settled"), Verb: volume.VerbDelete, Preconditions: volume.Preconditions{IfGeneration: &generation}}, volume.ErrPreconditionFailed},
		"deadline":     {commands.Request{Key: key("settled"), Verb: volume.VerbDelete, Preconditions: volume.Preconditions{Deadline: time.Unix(1, 0).UTC()}}, volume.ErrDeadlineExceeded},
		"cancel":       {commands.Request{Key: key("settled"), Verb: volume.VerbCancel}, volume.ErrNothingToCancel},
		"other cancel": {commands.Request{Key: key("settled"), Verb: volume.VerbCancel, Args: volume.Args{Target: "nobody"}}, volume.ErrNothingToCancel},
	} {
		t.Run(name, func(t *testing.T) {
			reply := s.do(c.request)
			if reply.Outcome != volume.Rejected || reply.Failure == nil || reply.Failure.Code != c.code || reply.Retryable {
				t.Errorf("reply: got %+v %+v, want rejected with %s", reply, reply.Failure, c.code)
			}
			event := s.awaitEvent(string(c.request.Key.Name), ofCommand(reply.CommandID))
			if event.Event != volume.EventRejected || event.Failure.Code != c.code {
				t.Errorf("event: got %s %+v", event.Event, event.Failure)
			}
		})
	}
	if calls := s.backend.callsOf(key("settled")); !slices.Equal(calls, []string{"create"}) {
		t.Errorf("backend calls: got %v, want the create only", calls)
	}
	if record := s.record("settled"); record.Generation != 2 {
		t.Errorf("generation after refusals: got %d, want 2", record.Generation)
	}
}

func TestWorker_ValidateOnly_ChangesNothing(t *testing.T) {
	s := start(t)
	only := volume.Preconditions{ValidateOnly: true}
	reply := s.do(commands.Request{Key: key("dry"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, Preconditions: only})
	if reply.Outcome != volume.Valid {
		t.Errorf("valid create: got %s %+v", reply.Outcome, reply.Failure)
	}
	reply = s.do(commands.Request{Key: key("dry"), Verb: volume.VerbDelete, Preconditions: only})
	if reply.Outcome != volume.Rejected || reply.Failure.Code != volume.ErrVolumeNotFound {
		t.Errorf("delete of nothing: got %s %+v", reply.Outcome, reply.Failure)
	}
	if got := s.events("dry"); len(got) != 0 {
		t.Errorf("events after validate_only: got %v", got)
	}
}
