package nodes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
)

func gone(id volume.CommandID) nodes.GoneRequest {
	return nodes.GoneRequest{Node: "n1", Reason: "rack 4 lost power", ID: id, Actor: "alice"}
}

func TestGone_ManyVolumes_TakesAllOfTheNodeAndNoOthers(t *testing.T) {
	s := start(t)
	keys := s.many(20, "n1")
	shared, others := key("shared"), volume.Key{Project: "billing", Name: "ledger"}
	s.attached(shared, "n1", "n2")
	s.attached(others, "n2")
	report, err := s.nodes.Gone(s.ctx, gone("req-1"))
	s.must(err)
	if got, want := len(report.Taken), len(keys)+1; got != want {
		t.Errorf("volumes taken: got %d, want %d", got, want)
	}
	if left := s.held("n1"); len(left) != 0 {
		t.Errorf("held by n1: got %+v, want none", left)
	}
	for _, k := range keys {
		if got := s.record(k).State; got != volume.StateAvailable {
			t.Errorf("%s: got %s, want available", k, got)
		}
	}
	if left := s.held("n2"); len(left) != 2 || left[0].Key != others || left[1].Key != shared {
		t.Errorf("held by n2: got %+v, want %s and %s", left, others, shared)
	}
	// To say it again is no failure: there is nothing left to do.
	report, err = s.nodes.Gone(s.ctx, gone("req-2"))
	if err != nil || len(report.Taken) != 0 {
		t.Errorf("repeated: got %+v and %v, want nothing done", report.Taken, err)
	}
}

func TestGone_InvalidRequest_SendsNothing(t *testing.T) {
	s := start(t)
	s.attached(key("v"), "n1")
	for name, change := range map[string]func(*nodes.GoneRequest){
		"no reason":    func(r *nodes.GoneRequest) { r.Reason = "" },
		"blank reason": func(r *nodes.GoneRequest) { r.Reason = " " },
		"no node":      func(r *nodes.GoneRequest) { r.Node = "" },
		"no id":        func(r *nodes.GoneRequest) { r.ID = "" },
		"long id":      func(r *nodes.GoneRequest) { r.ID = volume.CommandID(strings.Repeat("x", nodes.MaxIDLength+1)) },
		"project":      func(r *nodes.GoneRequest) { r.Project = "a.b" },
	} {
		request := gone("req-1")
		change(&request)
		_, err := s.nodes.Gone(s.ctx, request)
		if _, typed := errors.AsType[*volume.Error](err); !typed || !errors.Is(err, volume.InvalidArgument) {
			t.Errorf("%s: got %v, want a volume.Error of class %s", name, err, volume.InvalidArgument)
		}
	}
	if got := s.told(key("v"), volume.EventEvict) + s.told(key("v"), volume.EventRejected); got != 0 {
		t.Errorf("events: got %d, want none", got)
	}
}

func TestGone_OneProject_LeavesTheOthers(t *testing.T) {
	s := start(t)
	ours, theirs := key("v"), volume.Key{Project: "billing", Name: "v"}
	s.attached(ours, "n1")
	s.attached(theirs, "n1")
	request := gone("req-1")
	request.Project = "billing"
	_, err := s.nodes.Gone(s.ctx, request)
	s.must(err)
	if left := s.held("n1"); len(left) != 1 || left[0].Key != ours {
		t.Errorf("held by n1: got %+v, want %s", left, ours)
	}
}

// A caller that dies half-way and asks again with the same id has everything done once.
func TestGone_GivenUpAndRepeated_EvictsEachVolumeOnce(t *testing.T) {
	s := start(t)
	keys := s.many(12, "n1")
	release := make(chan struct{})
	var entered atomic.Int32
	half := make(chan struct{})
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if n := entered.Add(1); call == "evict" && n > 6 {
			if n == 7 {
				close(half)
			}
			<-release
		}
		return nil
	})
	ctx, giveUp := context.WithCancel(s.ctx)
	go func() { <-half; giveUp() }()
	_, err := s.nodes.Gone(ctx, gone("req-1"))
	if pending, ok := errors.AsType[*commands.PendingError](err); !ok || !strings.HasPrefix(string(pending.CommandID), "req-1/1/") {
		t.Errorf("given up: got %v, want a pending command req-1/1", err)
	}
	close(release)
	s.backend.hook(nil)
	_, err = s.nodes.Gone(s.ctx, gone("req-1"))
	s.must(err)
	for _, k := range keys {
		if got := s.told(k, volume.EventEvicted); got != 1 {
			t.Errorf("%s: got evicted %d times, want once", k, got)
		}
	}
}

func TestGone_OneFails_OthersAreTakenAndARepeatTriesAgain(t *testing.T) {
	s := start(t)
	keys := s.many(5, "n1")
	s.backend.hook(func(_ context.Context, call string, ref backends.Ref) error {
		if call == "evict" && ref.Key == keys[2] {
			return volume.Internal
		}
		return nil
	})
	_, err := s.nodes.Gone(s.ctx, gone("req-1"))
	failure, ok := errors.AsType[*nodes.HeldError](err)
	if !ok || len(failure.Held) != 1 || failure.Held[0].Key != keys[2] || !errors.Is(err, volume.ErrBackendInternal) {
		t.Errorf("got %v, want %s held because the backend failed", err, keys[2])
	}
	if left := s.held("n1"); len(left) != 1 || left[0].State != volume.StateError {
		t.Errorf("held by n1: got %+v, want one volume in error", left)
	}
	s.backend.hook(nil)
	report, err := s.nodes.Gone(s.ctx, gone("req-1"))
	s.must(err)
	if len(report.Taken) != 1 || !strings.HasPrefix(string(report.Taken[0].Reply.CommandID), "req-1/2/") {
		t.Errorf("repeated: got %+v, want %s taken by req-1/2", report.Taken, keys[2])
	}
}

func TestGone_VolumeBeingAttached_IsTakenToo(t *testing.T) {
	s := start(t)
	s.attached(key("v"))
	entered := make(chan struct{})
	s.backend.hook(func(ctx context.Context, call string, _ backends.Ref) error {
		if call != "attach" {
			return nil
		}
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	var attach sync.WaitGroup
	attach.Go(func() {
		if _, err := s.client.Attach(s.ctx, key("v"), "n1", volume.ReadWrite); !errors.Is(err, volume.ErrCancelled) {
			t.Errorf("attach: got %v, want %v", err, volume.ErrCancelled)
		}
	})
	<-entered
	if held := s.held("n1"); len(held) != 1 || !held[0].Attaching || held[0].Mode != volume.ReadWrite {
		t.Errorf("held by n1: got %+v, want one volume on its way", held)
	}
	_, err := s.nodes.Gone(s.ctx, gone("req-1"))
	s.must(err)
	attach.Wait()
	if got := s.record(key("v")).State; got != volume.StateAvailable {
		t.Errorf("got %s, want available", got)
	}
}

func TestGone_NodeAttachesAgain_IsTakenAgainAndThenTold(t *testing.T) {
	s := start(t)
	s.attached(key("v"), "n1")
	again := func(times int) nodes.GoneRequest {
		request := gone(volume.CommandID(rune('a' + times)))
		request.Told = func(nodes.Taken) {
			if times--; times >= 0 {
				_, err := s.client.Attach(s.ctx, key("v"), "n1", volume.ReadWrite)
				s.must(err)
			}
		}
		return request
	}
	report, err := s.nodes.Gone(s.ctx, again(1))
	if err != nil || len(report.Taken) != 1 || !strings.HasPrefix(string(report.Taken[0].Reply.CommandID), "b/2/") {
		t.Errorf("once: got %+v and %v, want it taken in the second round", report.Taken, err)
	}
	_, err = s.client.Attach(s.ctx, key("v"), "n1", volume.ReadWrite)
	s.must(err)
	_, err = s.nodes.Gone(s.ctx, again(20))
	if failure, ok := errors.AsType[*nodes.HeldError](err); !ok || len(failure.Held) != 1 {
		t.Errorf("always: got %v, want that it is still held", err)
	}
}

func TestGone_UnreadableRecordAndVolumeInError_AreTold(t *testing.T) {
	s := start(t)
	s.attached(key("v"), "n1")
	s.attached(key("doubt"))
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "attach" {
			return volume.Internal
		}
		return nil
	})
	if _, err := s.client.Attach(s.ctx, key("doubt"), "n1", volume.ReadWrite); !errors.Is(err, volume.ErrBackendInternal) {
		t.Fatalf("attach: got %v, want %v", err, volume.ErrBackendInternal)
	}
	s.backend.hook(nil)
	_, err := s.js.Publish(s.ctx, "$KV.volumes.default.broken", []byte("not a record"))
	s.must(err)
	report, err := s.nodes.Gone(s.ctx, gone("req-1"))
	if err == nil || !strings.Contains(err.Error(), "default.broken") {
		t.Errorf("got %v, want the record that cannot be read", err)
	}
	if len(report.Taken) != 1 || !slices.Equal(report.Doubtful, []volume.Key{key("doubt")}) {
		t.Errorf("got %+v, want v taken and doubt in doubt", report)
	}
}
