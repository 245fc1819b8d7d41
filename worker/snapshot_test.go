package worker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const sMiB = volume.MiB

func (s *system) snapshot(name string, snapshot volume.SnapshotName) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbSnapshot, Args: volume.Args{Snapshot: snapshot}})
}

func (s *system) deleteSnapshot(name string, snapshot volume.SnapshotName) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: snapshot}})
}

func (s *system) restore(name string, snapshot volume.SnapshotName) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbRestore, Args: volume.Args{Snapshot: snapshot}})
}

func (s *system) clone(name, source string, more ...func(*volume.Args)) commands.Reply {
	s.t.Helper()
	from, err := volume.ParseSnapshotKey(source)
	s.must(err)
	args := volume.Args{Source: from}
	for _, change := range more {
		change(&args)
	}
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: args})
}

func readOnly(args *volume.Args) { args.ReadOnly = true }

func (s *system) store() *snapshots.Store { return snapshots.New(s.js) }

// wantEntries compares the store with what is wanted: "db-01@s1", or "clone < db-01@s1" for
// one with a parent. The entries and their index have to agree, too.
func (s *system) wantEntries(wanted ...string) {
	s.t.Helper()
	var got []string
	s.must(s.store().View(s.ctx, "default", func(tx *snapshots.Tx) error {
		got = nil
		return tx.Walk(s.ctx, func(_ context.Context, info snapshots.Info) error {
			text := info.Name.String()
			if !info.Parent.IsZero() {
				text += " < " + info.Parent.String()
			}
			if info.RemovedBy != "" {
				text += " removed by " + info.RemovedBy
			}
			got = append(got, text)
			return nil
		})
	}))
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		s.t.Errorf("entries: got %q, want %q", got, wanted)
	}
	faults, err := s.store().Check(s.ctx, "default")
	s.must(err)
	for _, fault := range faults {
		s.t.Errorf("store: %v", fault)
	}
}

// wantSnapshots compares the record and the backend of a volume with what is wanted.
func (s *system) wantSnapshots(name string, wanted ...volume.SnapshotName) {
	s.t.Helper()
	record := s.record(name)
	kept, err := s.backend.Driver.ListSnapshots(s.ctx, backends.Ref{Key: record.Key, ID: record.ID})
	s.must(err)
	var got []volume.SnapshotName
	for _, snapshot := range kept {
		got = append(got, snapshot.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, wanted) || record.Snapshots != len(wanted) {
		s.t.Errorf("snapshots of %s: backend has %q, the record counts %d, want %q", name, got, record.Snapshots, wanted)
	}
}

func blockers(reply commands.Reply) []volume.Blocker {
	if reply.Failure == nil {
		return nil
	}
	return reply.Failure.BlockedBy
}

func (s *system) write(name, text string) {
	s.t.Helper()
	file, err := os.OpenFile(s.file(key(name)), os.O_WRONLY, 0)
	s.must(err)
	_, err = file.WriteAt([]byte(text), 0)
	s.must(errors.Join(err, file.Close()))
}

func (s *system) content(name string, length int) string {
	s.t.Helper()
	file, err := os.Open(s.file(key(name)))
	s.must(err)
	data := make([]byte, length)
	_, err = file.ReadAt(data, 0)
	s.must(errors.Join(err, file.Close()))
	return string(data)
}

func TestSnapshots_WholeLife_StoreRecordAndBackendAgree(t *testing.T) {
	s := start(t)
	s.wantReply(s.create("db-01", sMiB), volume.Succeeded, volume.StateAvailable, "")
	s.write("db-01", "monday")
	s.wantReply(s.snapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.snapshot("db-01", "s1"), volume.Rejected, volume.StateAvailable, volume.ErrSnapshotExists)
	s.write("db-01", "friday")
	s.wantReply(s.clone("copy", "db-01@s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("db-01@s1", "copy < db-01@s1")
	s.wantSnapshots("db-01", "s1")
	if got := s.content("copy", 6); got != "monday" {
		t.Errorf("clone: got %q, want what was written before the snapshot", got)
	}
	if got := s.record("copy"); got.Size != sMiB || got.Source.String() != "db-01@s1" {
		t.Errorf("clone: got %+v, want the size and the name of its source", got.Spec)
	}

	refused := s.verb("db-01", volume.VerbDelete)
	s.wantReply(refused, volume.Rejected, volume.StateAvailable, volume.ErrHasSnapshots)
	if got, want := blockers(refused), []volume.Blocker{{Kind: volume.BlockedBySnapshot, Name: "s1"}}; !slices.Equal(got, want) {
		t.Errorf("delete blocked by: got %v, want %v", got, want)
	}
	refused = s.deleteSnapshot("db-01", "s1")
	s.wantReply(refused, volume.Rejected, volume.StateAvailable, volume.ErrSnapshotInUse)
	if got, want := blockers(refused), []volume.Blocker{{Kind: volume.BlockedByChild, Name: "copy"}}; !slices.Equal(got, want) {
		t.Errorf("delete of the snapshot blocked by: got %v, want %v", got, want)
	}

	s.wantReply(s.verb("copy", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("copy", volume.VerbFlatten), volume.Rejected, volume.StateAvailable, volume.ErrNotAClone)
	s.wantEntries("db-01@s1")
	s.wantReply(s.restore("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	if got := s.content("db-01", 6); got != "monday" {
		t.Errorf("restored: got %q, want what was written before the snapshot", got)
	}
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Rejected, volume.StateAvailable, volume.ErrSnapshotNotFound)
	s.wantEntries()
	s.wantSnapshots("db-01")
	s.wantReply(s.verb("db-01", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantReply(s.verb("copy", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("copy", volume.EventCreate, volume.EventReady, volume.EventFlatten, volume.EventFlattened,
		volume.EventRejected, volume.EventDelete, volume.EventDeleted)
}

func TestSnapshots_OfAnAttachedVolume_LeavesItAttached(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.attach("db-01", "n1")
	s.wantReply(s.snapshot("db-01", "s1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.restore("db-01", "s1"), volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition)
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAttached, "")
	s.wantEntries()
	s.wantWitnesses("db-01", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventSnapshot, volume.EventSnapshotted, volume.EventRejected, volume.EventPrune, volume.EventPruned)
}

func TestSnapshots_Restore_BringsTheSizeBack(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.wantReply(s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 2 * sMiB}}),
		volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.restore("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	if got := s.record("db-01").Size; got != sMiB {
		t.Errorf("size: got %s, want %s", got, sMiB)
	}
	s.wantWitnesses("db-01", volume.EventCreate, volume.EventReady, volume.EventSnapshot, volume.EventSnapshotted,
		volume.EventExtend, volume.EventExtended, volume.EventRestore, volume.EventRestored)
}

func TestClone_CannotBeMade_IsRefusedBeforeAnythingBegins(t *testing.T) {
	s := start(t)
	s.create("db-01", 2*sMiB)
	s.snapshot("db-01", "s1")
	size := func(size volume.Bytes) func(*volume.Args) { return func(a *volume.Args) { a.Size = size } }
	at := func(backend string) func(*volume.Args) { return func(a *volume.Args) { a.Backend = backend } }
	for _, test := range []struct {
		name, source string
		change       func(*volume.Args)
		code         volume.Code
	}{
		{"missing-volume", "db-02@s1", size(0), volume.ErrSnapshotNotFound},
		{"missing-snapshot", "db-01@s2", size(0), volume.ErrSnapshotNotFound},
		{"too-small", "db-01@s1", size(sMiB), volume.ErrInvalidSize},
		{"elsewhere", "db-01@s1", at("other"), volume.ErrInvalidArgument},
		{"db-01", "db-01@s1", size(0), volume.ErrVolumeExists},
	} {
		reply := s.clone(test.name, test.source, test.change)
		if reply.Outcome != volume.Rejected || reply.Failure.Code != test.code {
			t.Errorf("%s: got %s %+v, want it rejected for %s", test.name, reply.Outcome, reply.Failure, test.code)
		}
	}
	s.wantEntries("db-01@s1")
	s.wantReply(s.clone("larger", "db-01@s1", size(3*sMiB)), volume.Succeeded, volume.StateAvailable, "")
}

func TestView_IsReadOnly(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.wantReply(s.clone("view", "db-01@s1", readOnly), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("view", "n1"), volume.Rejected, volume.StateAvailable, volume.ErrReadOnlyVolume)
	s.wantReply(s.snapshot("view", "s2"), volume.Rejected, volume.StateAvailable, volume.ErrReadOnlyVolume)
	s.wantReply(s.do(commands.Request{Key: key("view"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadOnly}}),
		volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Rejected, volume.StateAvailable, volume.ErrSnapshotInUse)
	s.wantReply(s.verb("view", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.clone("other", "db-01@s1", readOnly), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("other", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("other", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantReply(s.verb("view", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries()
}

// A snapshot of a clone stands on what the clone stands on, and keeps it needed.
func TestSnapshots_OfAClone_NeedItsSource(t *testing.T) {
	s := start(t)
	s.create("base", sMiB)
	s.snapshot("base", "s1")
	s.clone("copy", "base@s1")
	s.snapshot("copy", "c1")
	s.clone("grandchild", "copy@c1")
	s.wantEntries("base@s1", "copy < base@s1", "copy@c1 < base@s1", "grandchild < copy@c1")
	refused := s.deleteSnapshot("base", "s1")
	if got, want := blockers(refused), []volume.Blocker{{Kind: volume.BlockedByChild, Name: "copy"}, {Kind: volume.BlockedByChild, Name: "copy@c1"}}; !slices.Equal(got, want) {
		t.Errorf("blocked by: got %v, want %v", got, want)
	}
	s.wantReply(s.verb("copy", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("base@s1", "copy@c1", "grandchild < copy@c1")
	s.wantReply(s.deleteSnapshot("base", "s1"), volume.Succeeded, volume.StateAvailable, "")
}

func TestClone_DeeperThanThePolicy_RefusedOrFlattened(t *testing.T) {
	for _, flatten := range []bool{false, true} {
		t.Run(fmt.Sprintf("flatten %t", flatten), func(t *testing.T) {
			s := start(t, func(c *worker.Config) {
				c.Clones = map[string]worker.ClonePolicy{"local": {MaxDepth: 1, Flatten: flatten}}
			})
			s.create("a", sMiB)
			s.snapshot("a", "s")
			s.wantReply(s.clone("b", "a@s"), volume.Succeeded, volume.StateAvailable, "")
			s.snapshot("b", "s")
			reply := s.clone("c", "b@s")
			if !flatten {
				s.wantReply(reply, volume.Rejected, "", volume.ErrChainTooDeep)
				return
			}
			s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
			if got := s.record("c").Source; !got.IsZero() {
				t.Errorf("source: got %s, want none", got)
			}
			s.wantEntries("a@s", "b < a@s", "b@s < a@s")
			s.wantReply(s.verb("c", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
		})
	}
}

// A snapshot that was given up may be at the backend nevertheless. It must not pass for the
// next one of its name, nor keep the volume from being deleted.
func TestSnapshot_GivenUpAfterTheBackendMadeIt_IsNotTakenForTheNext(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.write("db-01", "monday")
	s.loseAnswers("create_snapshot")
	s.wantReply(s.snapshot("db-01", "s1"), volume.Failed, volume.StateAvailable, volume.ErrBackendUnavailable)
	s.wantEntries()
	s.backend.hook(nil, nil)
	s.write("db-01", "friday")
	s.wantReply(s.snapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.write("db-01", "sunday")
	s.wantReply(s.restore("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	if got := s.content("db-01", 6); got != "friday" {
		t.Errorf("restored: got %q, want what was there when the second snapshot was made", got)
	}
	s.wantSnapshots("db-01", "s1")
}

func TestDelete_SnapshotLeftOver_IsRemovedWithTheVolume(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.leaveSnapshot("db-01", "left-over")
	s.wantReply(s.verb("db-01", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantWitnesses("db-01", volume.EventCreate, volume.EventReady,
		volume.EventSnapshot, volume.EventError, volume.EventFail, volume.EventDelete, volume.EventDeleted)
}

// leaveSnapshot makes a snapshot whose command has failed, as a call does that comes late.
func (s *system) leaveSnapshot(name string, snapshot volume.SnapshotName) {
	s.t.Helper()
	s.backend.hook(nil, func(call string, _ backends.Ref) error {
		if call == "create_snapshot" {
			return backends.Errorf(volume.Internal, "no answer")
		}
		return nil
	})
	s.wantReply(s.snapshot(name, snapshot), volume.Failed, volume.StateAvailable, volume.ErrBackendInternal)
	s.backend.hook(nil, nil)
	_, err := s.backend.Driver.CreateSnapshot(s.ctx, s.ref(name), snapshot)
	s.must(err)
}

func TestReconcile_StoreAndBackendDiffer_AgreeAfterIt(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "both")
	s.snapshot("db-01", "store-only")
	ref := s.ref("db-01")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, ref, "store-only"))
	_, err := s.backend.Driver.CreateSnapshot(s.ctx, ref, "by-hand")
	s.must(err)
	s.leaveSnapshot("db-01", "given-up")
	s.must(s.store().BeginRemove(s.ctx, "default", snapshots.SnapshotKey("db-01", "both"), "nobody"))
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("db-01@both")
	if got := s.record("db-01").Snapshots; got != 1 {
		t.Errorf("got %d snapshots, want 1", got)
	}
	kept, err := s.backend.Driver.ListSnapshots(s.ctx, ref)
	s.must(err)
	if len(kept) != 2 {
		t.Errorf("got %+v at the backend, want both and by-hand", kept)
	}
	s.wantReply(s.deleteSnapshot("db-01", "both"), volume.Succeeded, volume.StateAvailable, "")
	refused := s.verb("db-01", volume.VerbDelete)
	s.wantReply(refused, volume.Failed, volume.StateAvailable, volume.ErrBackendPrecondition)
	if got := refused.Failure.BlockedBy; len(got) != 1 || got[0].Name != "by-hand" {
		t.Errorf("got blocked by %+v, want the snapshot by-hand", got)
	}
}

func TestDeleteSnapshot_GivenUp_CanBeClonedAgain(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "delete_snapshot" {
			return backends.Errorf(volume.Unavailable, "no answer")
		}
		return nil
	}, nil)
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Failed, volume.StateAvailable, volume.ErrBackendUnavailable)
	s.backend.hook(nil, nil)
	s.wantEntries("db-01@s1")
	s.wantReply(s.clone("copy", "db-01@s1"), volume.Succeeded, volume.StateAvailable, "")
}

// The entry of a volume that is not there was made by a worker that had been replaced.
func TestDeleteSnapshot_EntryOfAVolumeThatIsNot_IsInNobodysWay(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	_, err := s.store().CreateClone(s.ctx, "default", "ghost", snapshots.SnapshotKey("db-01", "s1"), "default.ghost.1", nil)
	s.must(err)
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries()
}

func TestClone_Cancelled_LeavesNothing(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	entered, _ := s.gate("clone", "copy")
	id := volume.CommandID("clone-1")
	s.publish(commands.Request{
		Key: key("copy"), Verb: volume.VerbCreate, ID: id,
		Args: volume.Args{Source: volume.SnapshotKey{Volume: "db-01", Snapshot: "s1"}},
	})
	s.awaitCall(entered)
	s.wantEntries("db-01@s1", "copy < db-01@s1")
	s.wantReply(s.do(commands.Request{Key: key("copy"), Verb: volume.VerbCancel, Args: volume.Args{Target: id}}),
		volume.Succeeded, volume.StatePending, "")
	s.wantEntries("db-01@s1")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("copy", volume.EventCreate, volume.EventError, volume.EventCancelled)
}

func TestRestore_GaveUp_NothingButARestoreIsAllowed(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call == "restore" {
			return backends.Errorf(volume.Internal, "disk is broken")
		}
		return nil
	}, nil)
	s.wantReply(s.restore("db-01", "s1"), volume.Failed, volume.StateError, volume.ErrBackendInternal)
	s.backend.hook(nil, nil)
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("db-01", "n1"), volume.Rejected, volume.StateAvailable, volume.ErrHalfRestored)
	s.wantReply(s.snapshot("db-01", "s2"), volume.Rejected, volume.StateAvailable, volume.ErrHalfRestored)
	s.wantReply(s.restore("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
}

// Whoever comes first: either there is a clone and the snapshot stays, or neither is there.
func TestClone_BesideTheDeleteOfItsSource_OneOfTheTwo(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	outcomes := map[string]int{}
	for round := range 40 {
		name := fmt.Sprintf("copy-%d", round)
		s.wantReply(s.snapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
		var cloned, deleted commands.Reply
		var both sync.WaitGroup
		both.Go(func() { cloned = s.clone(name, "db-01@s1") })
		both.Go(func() { deleted = s.deleteSnapshot("db-01", "s1") })
		both.Wait()
		outcomes[fmt.Sprintf("clone %s, delete %s", cloned.Outcome, deleted.Outcome)]++
		if (cloned.Outcome == volume.Succeeded) == (deleted.Outcome == volume.Succeeded) {
			t.Fatalf("round %d: clone %s %+v, delete %s %+v", round, cloned.Outcome, cloned.Failure, deleted.Outcome, deleted.Failure)
		}
		if cloned.Outcome == volume.Succeeded {
			s.wantEntries("db-01@s1", name+" < db-01@s1")
			s.wantReply(s.verb(name, volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
			s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
		} else if cloned.State != "" {
			s.wantReply(s.verb(name, volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
		}
		s.wantEntries()
	}
	t.Log(outcomes)
}

// Many clones of one snapshot do not exclude each other.
func TestClone_ManyOfOneSnapshot_AllAreMade(t *testing.T) {
	s := start(t)
	s.create("golden", sMiB)
	s.snapshot("golden", "v1")
	var all sync.WaitGroup
	replies := make([]commands.Reply, 32)
	for i := range replies {
		all.Go(func() { replies[i] = s.clone(fmt.Sprintf("vm-%02d", i), "golden@v1") })
	}
	all.Wait()
	wanted := []string{"golden@v1"}
	for i, reply := range replies {
		s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
		wanted = append(wanted, fmt.Sprintf("vm-%02d < golden@v1", i))
	}
	s.wantEntries(wanted...)
}

func TestSnapshot_SameCommandAgain_SameAnswer(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	request := commands.Request{Key: key("db-01"), Verb: volume.VerbSnapshot, ID: "snap-1", Args: volume.Args{Snapshot: "s1"}}
	first := s.do(request)
	s.wantReply(first, volume.Succeeded, volume.StateAvailable, "")
	again := s.do(request)
	if again.Outcome != volume.Succeeded || !again.Repeat || again.Generation != first.Generation {
		t.Errorf("got %+v, want the first answer %+v", again, first)
	}
	s.wantSnapshots("db-01", "s1")
}

func TestFlatten_TakesLong_TellsHowFarItIsAndCanBeCancelled(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.ProgressInterval = 20 * time.Millisecond })
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	s.backend.hook(func(ctx context.Context, call string, _ backends.Ref) error {
		for done := uint64(1); call == "flatten"; done++ {
			backends.ReportProgress(ctx, done, 1<<40)
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}, nil)
	s.publish(commands.Request{Key: key("copy"), Verb: volume.VerbFlatten, ID: "flatten-1"})
	first := s.awaitEvent("copy", ofEvent(volume.EventProgress))
	second := s.awaitEvent("copy", func(e volume.Transition) bool {
		return e.Event == volume.EventProgress && e.Generation > first.Generation
	})
	if first.Progress == nil || second.Progress == nil || second.Progress.Done <= first.Progress.Done {
		t.Errorf("progress: got %+v, then %+v", first.Progress, second.Progress)
	}
	s.wantReply(s.do(commands.Request{Key: key("copy"), Verb: volume.VerbCancel, Args: volume.Args{Target: "flatten-1"}}),
		volume.Succeeded, volume.StateAvailable, "")
	s.backend.hook(nil, nil)
	s.wantReply(s.verb("copy", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("db-01@s1")
}
