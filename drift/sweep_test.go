package drift_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// TestSweep_EveryKind_FoundAndQuietAfterwards plants one of each.
func TestSweep_EveryKind_FoundAndQuietAfterwards(t *testing.T) {
	s := start(t)
	s.create("fine", "ghost", "size", "node", "held", "owner")
	s.attach("held", "n1")
	s.must(s.driver.Delete(s.ctx, s.ref("ghost")))
	s.must(s.driver.Resize(s.ctx, s.ref("size"), 2*volume.MiB))
	_, err := s.driver.Attach(s.ctx, s.ref("node"), "n9", volume.ReadWrite)
	s.must(err)
	s.must(s.driver.Detach(s.ctx, s.ref("held"), "n1"))
	s.must(s.driver.Delete(s.ctx, s.ref("owner")))
	stranger := volume.NewID(key("owner"), 99)
	s.must(s.driver.Create(s.ctx, backends.Ref{Key: key("owner"), ID: stranger, Epoch: s.ref("owner").Epoch}, volume.MiB))
	s.orphan("orphan")
	s.create("deleted")
	deleted := s.ref("deleted")
	s.do("deleted", volume.VerbDelete, volume.Args{})
	s.must(s.driver.Create(s.ctx, deleted, volume.MiB)) // it came back after its delete

	report := s.sweep()
	s.settle()
	check := func() {
		t.Helper()
		s.want("fine")
		s.want("ghost", "ghost: wanted 1MiB, actual nothing")
		s.want("size", "size: wanted 1MiB, actual 2MiB")
		s.want("node", "node: wanted nothing, actual n9")
		s.want("held", "node: wanted n1, actual nothing")
		s.want("orphan", "orphan: wanted nothing, actual 2MiB")
		s.want("deleted", "orphan: wanted nothing, actual 1MiB")
		s.want("owner", "owner: wanted "+string(s.record("owner").ID)+", actual "+string(stranger))
	}
	check()
	if report.Volumes != 6 || report.Skipped != 0 || report.Commands != 5 {
		t.Errorf("got %+v, want 6 volumes, 5 commands, nothing skipped", report)
	}
	for name, state := range map[string]volume.State{
		"fine": volume.StateAvailable, "ghost": volume.StateError, "size": volume.StateAvailable, "node": volume.StateAvailable,
		"held": volume.StateAttached, "owner": volume.StateAvailable,
	} {
		if record := s.record(name); record.State != state || (record.Drift != nil) == (name == "fine") {
			t.Errorf("%s: got %s with drift %v, want %s", name, record.State, record.Drift, state)
		}
	}

	before, found := s.trail(), map[string]drift.Finding{}
	for _, name := range []string{"ghost", "size", "orphan"} {
		found[name], _ = s.finding(key(name).String())
	}
	report = s.sweep()
	s.settle()
	if after := s.trail(); after != before || report.Commands != 0 {
		t.Errorf("second sweep: %s, want as before: %s", after, before)
	}
	check()
	for name, first := range found {
		again, _ := s.finding(key(name).String())
		if !again.FoundAt.Equal(first.FoundAt) || !again.SeenAt.After(first.SeenAt) {
			t.Errorf("%s: found %s, seen %s; first %+v", name, again.FoundAt, again.SeenAt, first)
		}
	}
	if got := report.Kinds; got[volume.DriftNode] != 2 || got[volume.DriftOrphan] != 2 || got[volume.DriftSize] != 1 {
		t.Errorf("kinds: got %v", got)
	}
}

func TestSweep_SettledSince_Forgotten(t *testing.T) {
	s := start(t)
	s.create("size", "node")
	s.must(s.driver.Resize(s.ctx, s.ref("size"), 2*volume.MiB))
	_, err := s.driver.Attach(s.ctx, s.ref("node"), "n9", volume.ReadWrite)
	s.must(err)
	id := s.orphan("orphan")
	s.sweep()
	s.settle()

	s.must(s.driver.Detach(s.ctx, s.ref("node"), "n9"))
	s.must(s.driver.Delete(s.ctx, backends.Ref{Key: key("orphan"), ID: id}))
	report := s.sweep()
	s.settle()
	s.want("node")
	s.want("orphan")
	s.want("size", "size: wanted 1MiB, actual 2MiB")
	if record := s.record("node"); record.Drift != nil || report.Commands != 1 {
		t.Errorf("node: got drift %v, %d commands, want none by one command", record.Drift, report.Commands)
	}
}

// TestSweep_BackendDown_NothingIsConcluded: neither a ghost nor that a finding is no more.
func TestSweep_BackendDown_NothingIsConcluded(t *testing.T) {
	s := start(t)
	s.create("fine", "size")
	s.must(s.driver.Resize(s.ctx, s.ref("size"), 2*volume.MiB))
	s.orphan("orphan")
	s.sweep()
	s.settle()
	before := s.trail()
	s.driver.hook(func(context.Context, string, volume.Key) error {
		return backends.Errorf(volume.Unavailable, "down")
	})
	report := s.sweep()
	s.settle()
	if after := s.trail(); after != before || report.Skipped == 0 || report.Commands != 0 {
		t.Errorf("got %+v and %s, want %s", report, after, before)
	}
	s.want("size", "size: wanted 1MiB, actual 2MiB")
	s.want("orphan", "orphan: wanted nothing, actual 2MiB")
	s.driver.hook(nil)
	if report := s.sweep(); report.Skipped != 0 {
		t.Errorf("backend is back: got %+v", report)
	}
}

// TestSweep_Error_BelievesTheBackendOnce: what was given up is settled, and what drifted
// into error is left to people.
func TestSweep_Error_BelievesTheBackendOnce(t *testing.T) {
	s := start(t)
	s.create("broken", "lost")
	broken := errors.New("broken")
	s.driver.hook(func(_ context.Context, call string, of volume.Key) error {
		if call == "attach" && of == key("broken") {
			return broken
		}
		return nil
	})
	_, _ = s.client.Attach(s.ctx, key("broken"), "n1", volume.ReadWrite)
	if state := s.record("broken").State; state != volume.StateError {
		t.Fatalf("got %s, want error", state)
	}
	s.must(s.driver.Delete(s.ctx, s.ref("lost")))
	for range 3 {
		s.sweep()
		s.settle()
	}
	if state := s.record("broken").State; state != volume.StateAvailable {
		t.Errorf("broken: got %s, want available", state)
	}
	if state := s.record("lost").State; state != volume.StateError {
		t.Errorf("lost: got %s, want error", state)
	}
	s.want("lost", "ghost: wanted 1MiB, actual nothing")
}

// TestSweep_ReconcileRefused_AskedAgain: the refusal leaves the generation as it was, and
// the same id would get the same answer for ever.
func TestSweep_ReconcileRefused_AskedAgain(t *testing.T) {
	s := start(t)
	s.create("size")
	s.enlarge([]string{"size"})
	const looks = 3 // of the sweep; the next one is the worker's
	seen := 0
	s.driver.hook(func(_ context.Context, call string, _ volume.Key) error {
		if call != "get" {
			return nil
		}
		if seen++; seen > looks {
			return backends.Errorf(volume.Unavailable, "down")
		}
		return nil
	})
	if report := s.sweep(); report.Commands != 1 {
		t.Fatalf("got %+v, want one command", report)
	}
	s.settle()
	if counts := s.eventsOf(volume.VerbReconcile); counts["size rejected"] != 1 || s.record("size").Drift != nil {
		t.Fatalf("got events %v, want the reconcile refused", counts)
	}
	s.driver.hook(nil)
	s.sweep()
	s.settle()
	if s.record("size").Drift == nil {
		t.Error("the refused reconcile was not asked for again")
	}
}

// TestSweep_RecordOnlyPolicy_Followed: the sweep has to know what the worker would do, or it
// would ask for it again and again.
func TestSweep_RecordOnlyPolicy_Followed(t *testing.T) {
	for policy, state := range map[volume.RecordOnly]volume.State{
		volume.RecordOnlyError: volume.StateError, volume.RecordOnlyIgnore: volume.StateAvailable, volume.RecordOnlyDelete: volume.StateDeleted,
	} {
		t.Run(string(policy), func(t *testing.T) {
			s := prepare(t)
			policies := map[string]volume.RecordOnly{"local": policy}
			s.work("worker-1", func(c *worker.Config) { c.RecordOnly = policies })
			s.create("ghost")
			s.must(s.driver.Delete(s.ctx, s.ref("ghost")))
			followed := func(o *drift.Options) { o.RecordOnly = policies }
			if report := s.sweep(followed); report.Commands != 1 {
				t.Errorf("got %+v, want one command", report)
			}
			s.settle()
			if got := s.record("ghost").State; got != state {
				t.Errorf("got %s, want %s", got, state)
			}
			before := s.trail()
			if report := s.sweep(followed); report.Commands != 0 || s.trail() != before {
				t.Errorf("again: got %+v and %s, want nothing", report, s.trail())
			}
			if _, found := s.finding(key("ghost").String()); found == (policy == volume.RecordOnlyDelete) {
				t.Errorf("finding: got %t", found)
			}
		})
	}
}
