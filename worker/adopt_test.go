package worker_test

import (
	"context"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

func adopt(name string, args volume.Args) commands.Request {
	return commands.Request{Key: key(name), Verb: volume.VerbAdopt, Args: args}
}

// unrecorded makes an object without a record, as if the records of its life were lost.
func (s *system) unrecorded(name string, generation uint64, size volume.Bytes) backends.Ref {
	s.t.Helper()
	ref := backends.Ref{Key: key(name), ID: volume.NewID(key(name), generation)}
	s.must(s.backend.Driver.Create(s.ctx, ref, size))
	return ref
}

func TestAdopt_Orphan_BecomesAVolume(t *testing.T) {
	s := start(t)
	ref := s.unrecorded("v", 7, 3*volume.MiB)
	request := adopt("v", volume.Args{})
	request.ID = "adopt-v"
	reply := s.do(request)
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	if record := s.record("v"); record.ID != ref.ID || record.Size != 3*volume.MiB || record.Generation != 1 || record.CreatedAt.IsZero() || record.Backend != "local" {
		t.Errorf("got %+v", record)
	}
	if again := s.do(request); !again.Repeat || again.Outcome != reply.Outcome || again.VolumeID != reply.VolumeID {
		t.Errorf("again: got %+v, want %+v", again, reply)
	}
	s.wantReply(s.do(adopt("v", volume.Args{})), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	// It is one like any other from now on.
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("v", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("v", volume.EventAdopted, volume.EventRejected, volume.EventAttach, volume.EventAttached,
		volume.EventDetach, volume.EventDetached, volume.EventDelete, volume.EventDeleted)
}

func TestAdopt_HeldWithSnapshots_TakesThemIn(t *testing.T) {
	s := start(t)
	ref := s.unrecorded("v", 1, sMiB)
	_, err := s.backend.Driver.Attach(s.ctx, ref, "n4", volume.ReadWrite)
	s.must(err)
	for _, name := range []volume.SnapshotName{"monday", "tuesday"} {
		_, err := s.backend.Driver.CreateSnapshot(s.ctx, ref, name)
		s.must(err)
	}
	s.wantReply(s.do(adopt("v", volume.Args{ID: ref.ID})), volume.Succeeded, volume.StateAttached, "")
	s.wantSnapshots("v", "monday", "tuesday")
	s.wantEntries("v@monday", "v@tuesday")
	if record := s.record("v"); nodesOf(record) != "n4" {
		t.Errorf("got it on %q, want n4", nodesOf(record))
	}
	s.wantReply(s.clone("copy", "v@monday"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.deleteSnapshot("v", "tuesday"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.deleteSnapshot("v", "monday"), volume.Rejected, volume.StateAttached, volume.ErrSnapshotInUse)
}

func TestAdopt_Refused_LeavesNothing(t *testing.T) {
	s := start(t)
	ref := s.unrecorded("v", 7, volume.MiB)
	_, err := s.backend.Driver.CreateSnapshot(s.ctx, ref, "monday")
	s.must(err)
	s.create("live", volume.MiB)
	for name, test := range map[string]struct {
		request commands.Request
		code    volume.Code
	}{
		"absent":         {adopt("nothing", volume.Args{}), volume.ErrBackendNotFound},
		"another id":     {adopt("v", volume.Args{ID: "default.v.8"}), volume.ErrPreconditionFailed},
		"exists":         {adopt("live", volume.Args{}), volume.ErrVolumeExists},
		"no backend":     {adopt("v", volume.Args{Backend: "tape"}), volume.ErrUnknownBackend},
		"wrong state":    {commands.Request{Key: key("v"), Verb: volume.VerbAdopt, Preconditions: volume.Preconditions{IfState: volume.StateDeleted}}, volume.ErrPreconditionFailed},
		"another's name": {adopt("v", volume.Args{ID: "default.w.7"}), volume.ErrPreconditionFailed},
	} {
		for _, dry := range []bool{true, false} {
			test.request.ValidateOnly = dry
			if reply := s.do(test.request); reply.Outcome != volume.Rejected || codeOf(reply) != test.code {
				t.Errorf("%s, dry run %t: got %s %+v, want %s", name, dry, reply.Outcome, reply.Failure, test.code)
			}
		}
	}
	request := adopt("v", volume.Args{})
	request.ValidateOnly = true
	if reply := s.do(request); reply.Outcome != volume.Valid {
		t.Errorf("dry run: got %+v", reply)
	}
	if record := s.record("v"); record.Exists() || record.Generation != 0 {
		t.Errorf("got a record %+v", record)
	}
	s.wantEntries()
}

// A backend that does not answer is no backend that has nothing.
func TestAdopt_Unreachable_IsRefused(t *testing.T) {
	s := start(t)
	s.unrecorded("v", 7, volume.MiB)
	s.backend.hook(func(context.Context, string, backends.Ref) error {
		return backends.Errorf(volume.Unavailable, "no route")
	}, nil)
	if reply := s.do(adopt("v", volume.Args{})); codeOf(reply) != volume.ErrBackendUnavailable {
		t.Errorf("got %+v, want %s", reply.Failure, volume.ErrBackendUnavailable)
	}
}

// gone makes a tombstone of a volume of which the backend still has everything: it was hidden
// from a reconcile whose policy then deleted the record.
func (s *system) gone(name string) {
	s.t.Helper()
	s.backend.hook(func(_ context.Context, call string, ref backends.Ref) error {
		if call == "get" && ref.Key == key(name) {
			return backends.Errorf(volume.NotFound, "not mounted")
		}
		return nil
	}, nil)
	s.wantReply(s.verb(name, volume.VerbReconcile), volume.Succeeded, volume.StateDeleted, "")
	s.backend.hook(nil, nil)
}

func deletesWhatIsGone(c *worker.Config) {
	c.RecordOnly = map[string]volume.RecordOnly{"local": volume.RecordOnlyDelete}
}

func TestAdopt_Tombstone_SameLifeGoesOn(t *testing.T) {
	s := start(t, deletesWhatIsGone)
	s.do(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Labels: volume.Labels{"app": "db"}}})
	before := s.record("v")
	s.gone("v")
	s.wantReply(s.do(adopt("v", volume.Args{})), volume.Succeeded, volume.StateAvailable, "")
	after := s.record("v")
	if after.ID != before.ID || after.Labels["app"] != "db" || !after.CreatedAt.Equal(before.CreatedAt) || after.Drift != nil {
		t.Errorf("got %+v, want that of %+v", after, before)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDrifted, volume.EventAdopted)
}

// A worker that was replaced cannot change what is adopted: it is fenced before the object is
// looked at, and a create of an earlier life is refused after it.
func TestAdopt_ByAnotherWorker_FencesTheFormerOwner(t *testing.T) {
	s := prepare(t, deletesWhatIsGone)
	first := s.config
	first.ID = "first"
	stop := s.startAnother(first)
	s.create("v", volume.MiB)
	s.gone("v")
	stale := s.ref("v")
	s.must(stop())
	s.startWorker()
	s.wantReply(s.do(adopt("v", volume.Args{})), volume.Succeeded, volume.StateAvailable, "")
	if record := s.record("v"); record.Owner.Epoch <= stale.Epoch || record.Owner.Fencing {
		t.Errorf("owner: got %+v, want an epoch above %d, and the backend told", record.Owner, stale.Epoch)
	}
	if err := s.backend.Driver.Delete(s.ctx, stale); volume.ClassOf(err) != volume.Aborted {
		t.Errorf("late delete: got %v, want it fenced", err)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDrifted, volume.EventAdopted)
}

// The store still knows what a clone is made of, by its id.
func TestAdopt_Clone_KeepsItsSource(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	from := s.ref("db-01")
	to := backends.Ref{Key: key("view"), ID: "default.view.5"}
	s.must(s.backend.Driver.Clone(s.ctx, from, "s1", to, sMiB))
	_, err := s.store().CreateView(s.ctx, "default", "view", snapshots.SnapshotKey("db-01", "s1"), string(to.ID), nil)
	s.must(err)
	s.wantReply(s.do(adopt("view", volume.Args{})), volume.Succeeded, volume.StateAvailable, "")
	if record := s.record("view"); record.Source.String() != "db-01@s1" || !record.ReadOnly || record.ID != to.ID {
		t.Errorf("got %+v", record)
	}
	s.wantEntries("db-01@s1", "view < db-01@s1")
	s.wantReply(s.verb("view", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
}

// What the store has of an earlier life is in nobody's way.
func TestAdopt_EntriesOfAnEarlierLife_Go(t *testing.T) {
	s := start(t)
	ref := s.unrecorded("v", 3, sMiB)
	_, err := s.backend.Driver.CreateSnapshot(s.ctx, ref, "tuesday")
	s.must(err)
	_, err = s.store().CreateSnapshot(s.ctx, "default", snapshots.SnapshotKey("v", "monday"), "default.v.1", nil, snapshots.Usage{})
	s.must(err)
	s.wantReply(s.do(adopt("v", volume.Args{})), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("v@tuesday")
	s.wantSnapshots("v", "tuesday")
}
