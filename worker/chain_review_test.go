package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// A delete_snapshot that was given up may have deleted it: the answers were lost. What is
// left in the store must not be offered, least of all to a restore, which would lock the
// volume for ever.
func TestDeleteSnapshot_GivenUpAfterTheBackendDeletedIt_IsGone(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.loseAnswers("delete_snapshot")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Failed, volume.StateAvailable, volume.ErrBackendUnavailable)
	s.backend.hook(nil, nil)
	s.wantEntries()
	s.wantSnapshots("db-01")
	s.wantReply(s.restore("db-01", "s1"), volume.Rejected, volume.StateAvailable, volume.ErrSnapshotNotFound)
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
}

// A snapshot that the backend has lost cannot be restored, and nothing was changed by that.
func TestRestore_OfWhatTheBackendLost_LeavesTheVolumeAsItIs(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.write("db-01", "monday")
	s.snapshot("db-01", "s1")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, s.ref("db-01"), "s1"))
	s.wantReply(s.restore("db-01", "s1"), volume.Failed, volume.StateAvailable, volume.ErrBackendNotFound)
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
}

// An entry that cannot be read fails the command that needs it and no other.
func TestSnapshot_EntryThatCannotBeRead_DoesNotStopTheVolume(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.create("db-02", sMiB)
	_, err := s.js.Publish(s.ctx, "$KV.snapshots.default.e.db-01.s1", []byte(`{"schema_version":1,"name":"db-01@s1"}`))
	s.must(err)
	for name, reply := range map[string]func() commands.Reply{
		"snapshot": func() commands.Reply { return s.snapshot("db-01", "s1") },
		"delete":   func() commands.Reply { return s.deleteSnapshot("db-01", "s1") },
		"restore":  func() commands.Reply { return s.restore("db-01", "s1") },
		"clone":    func() commands.Reply { return s.clone("copy", "db-01@s1") },
	} {
		if got := reply(); got.Outcome != volume.Rejected || got.Failure.Code != volume.ErrInternal {
			t.Errorf("%s: got %s %+v, want it rejected as internal", name, got.Outcome, got.Failure)
		}
	}
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
}

// What a reconcile cannot settle it names.
func TestReconcile_MissingSnapshotHasClones_NamesThem(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, s.ref("db-01"), "s1"))
	reply := s.verb("db-01", volume.VerbReconcile)
	s.wantReply(reply, volume.Rejected, volume.StateAvailable, volume.ErrSnapshotInUse)
	if got, want := blockers(reply), []volume.Blocker{{Kind: volume.BlockedByChild, Name: "copy"}}; !slices.Equal(got, want) {
		t.Errorf("blocked by: got %v, want %v (%s)", got, want, reply.Failure.Message)
	}
	s.wantReply(s.verb("copy", volume.VerbFlatten), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries()
	s.wantSnapshots("db-01")
}

// late returns a step in the store that a worker makes which was stopped before it, and
// does not know that the volume is another's by now.
func (s *system) late(do func(*snapshots.Store) error) {
	s.t.Helper()
	s.must(do(s.store()))
}

func TestClone_EntryOfAnEarlierLife_IsInNobodysWay(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	old := s.record("copy").ID
	s.wantReply(s.verb("copy", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	enter := func(store *snapshots.Store) error {
		_, err := store.CreateClone(s.ctx, "default", "copy", snapshots.SnapshotKey("db-01", "s1"), string(old), nil)
		return err
	}
	s.late(enter)
	s.snapshot("db-01", "s2")
	s.wantReply(s.clone("copy", "db-01@s2"), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("db-01@s1", "db-01@s2", "copy < db-01@s2")
}

func TestSnapshot_EntryOfAnEarlierLife_GivesItNoParent(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	old := s.record("copy").ID
	s.wantReply(s.verb("copy", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantReply(s.create("copy", sMiB), volume.Succeeded, volume.StateAvailable, "")
	s.late(func(store *snapshots.Store) error {
		_, err := store.CreateClone(s.ctx, "default", "copy", snapshots.SnapshotKey("db-01", "s1"), string(old), nil)
		return err
	})
	s.wantReply(s.snapshot("copy", "c1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantEntries("copy@c1")
}

// The mark of a delete_snapshot that has ended keeps nobody from the snapshot that has the
// name now.
func TestSnapshot_MarkOfAnEndedDelete_IsTakenBack(t *testing.T) {
	mark := func(s *system) func(*snapshots.Store) error {
		return func(store *snapshots.Store) error {
			return store.BeginRemove(s.ctx, "default", snapshots.SnapshotKey("db-01", "s1"), "ended")
		}
	}
	t.Run("clone", func(t *testing.T) {
		s := start(t)
		s.create("db-01", sMiB)
		s.snapshot("db-01", "s1")
		s.late(mark(s))
		s.wantReply(s.clone("copy", "db-01@s1"), volume.Succeeded, volume.StateAvailable, "")
		s.wantEntries("db-01@s1", "copy < db-01@s1")
	})
	t.Run("delete_snapshot", func(t *testing.T) {
		s := start(t)
		s.create("db-01", sMiB)
		s.snapshot("db-01", "s1")
		s.late(mark(s))
		s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
		s.wantEntries()
	})
}

// The entry of a snapshot that was entered again after its deletion keeps nobody from the
// name.
func TestSnapshot_EntryOfADeletedOne_IsInNobodysWay(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	enter := func(store *snapshots.Store) error {
		_, err := store.CreateSnapshot(s.ctx, "default", snapshots.SnapshotKey("db-01", "s1"), "default.db-01.1", nil, snapshots.Usage{})
		return err
	}
	s.wantReply(s.snapshot("db-01", "keep"), volume.Succeeded, volume.StateAvailable, "")
	s.late(enter)
	s.wantReply(s.snapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.deleteSnapshot("db-01", "s1"), volume.Succeeded, volume.StateAvailable, "")
	s.wantSnapshots("db-01", "keep")
	s.wantEntries("db-01@keep")
}

// A volume that was away for two reconciles comes back with its snapshots.
func TestReconcile_VolumeComesBack_KeepsItsSnapshots(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	s.snapshot("copy", "c1")
	s.backend.hook(func(_ context.Context, call string, ref backends.Ref) error {
		if call == "get" && ref.Key == key("copy") {
			return backends.Errorf(volume.NotFound, "not mounted")
		}
		return nil
	}, nil)
	s.wantReply(s.verb("copy", volume.VerbReconcile), volume.Succeeded, volume.StateError, "")
	s.wantReply(s.verb("copy", volume.VerbReconcile), volume.Succeeded, volume.StatePending, "")
	s.backend.hook(nil, nil)
	s.wantReply(s.verb("copy", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantSnapshots("copy", "c1")
	s.wantEntries("db-01@s1", "copy < db-01@s1", "copy@c1 < db-01@s1")
}

// What only looks changes nothing, not even what is left over.
func TestDeleteSnapshot_ValidateOnly_LeavesTheStoreAlone(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.late(func(store *snapshots.Store) error {
		_, err := store.CreateClone(s.ctx, "default", "ghost", snapshots.SnapshotKey("db-01", "s1"), "default.ghost.1", nil)
		return err
	})
	reply := s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbDeleteSnapshot, Preconditions: volume.Preconditions{ValidateOnly: true}, Args: volume.Args{Snapshot: "s1"}})
	s.wantReply(reply, volume.Valid, volume.StateAvailable, "")
	s.wantEntries("db-01@s1", "ghost < db-01@s1")
}

// A refusal costs what it tells, not what there is.
func TestDeleteSnapshot_ManyClones_LooksAtThoseThatItNames(t *testing.T) {
	s := prepare(t)
	conn := s.server.Connect(t)
	stop := s.startOn(conn, s.config)
	t.Cleanup(func() { s.must(stop()) })
	s.create("golden", sMiB)
	s.snapshot("golden", "v1")
	const clones = 400
	var all sync.WaitGroup
	turns := make(chan struct{}, 8)
	for i := range clones {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			name := fmt.Sprintf("vm-%03d", i)
			record := volume.Record{
				SchemaVersion: volume.SchemaVersion, Key: key(name), ID: volume.NewID(key(name), 1), State: volume.StateAvailable,
				Generation: 2, Spec: volume.Spec{Size: sMiB, Backend: "local"},
			}
			_, err := s.records.Create(s.ctx, record.Key.String(), record)
			if err == nil {
				_, err = s.store().CreateClone(s.ctx, "default", record.Name, snapshots.SnapshotKey("golden", "v1"), string(record.ID), nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before := conn.Stats().OutMsgs
	reply := s.deleteSnapshot("golden", "v1")
	if sent := conn.Stats().OutMsgs - before; sent > 3*volume.MaxBlockers { // two reads of each, and the rest
		t.Errorf("the worker sent %d messages for %d clones, want at most %d", sent, clones, 3*volume.MaxBlockers)
	}
	s.wantReply(reply, volume.Rejected, volume.StateAvailable, volume.ErrSnapshotInUse)
	if got := len(blockers(reply)); got != volume.MaxBlockers {
		t.Errorf("blocked by %d, want %d", got, volume.MaxBlockers)
	}
	if want := fmt.Sprintf("and %d more", clones-volume.MaxBlockers); !strings.Contains(reply.Failure.Message, want) {
		t.Errorf("message: got %q, want it to say %q", reply.Failure.Message, want)
	}
}

// A clone of what is about to go is refused, and is not a volume in error.
func TestClone_SourceIsBeingDeleted_IsRefusedAsBusy(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	entered, release := s.gate("delete_snapshot", "db-01")
	id := s.publish(commands.Request{Key: key("db-01"), Verb: volume.VerbDeleteSnapshot, Args: volume.Args{Snapshot: "s1"}}).CommandID
	s.awaitCall(entered)
	s.wantReply(s.clone("copy", "db-01@s1"), volume.Rejected, "", volume.ErrBackendBusy)
	close(release)
	s.awaitEvent("db-01", ofCommand(id))
	s.wantReply(s.clone("copy", "db-01@s1"), volume.Rejected, "", volume.ErrSnapshotNotFound)
	s.wantEntries()
}

// A flatten that is cancelled after its last step has made the volume whole, and is told so.
func TestFlatten_CancelledAtItsEnd_TheRecordSaysWhatIsTrue(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.clone("copy", "db-01@s1")
	record := s.record("copy")
	entered, _ := s.gate("flatten", "copy")
	s.publish(commands.Request{Key: key("copy"), Verb: volume.VerbFlatten, ID: "flatten-1"})
	s.awaitCall(entered)
	s.must(s.store().Flatten(s.ctx, "default", "copy", string(record.ID))) // as a worker before this one
	s.wantReply(s.do(commands.Request{Key: key("copy"), Verb: volume.VerbCancel, Args: volume.Args{Target: "flatten-1"}}),
		volume.Succeeded, volume.StateAvailable, "")
	if got := s.record("copy").Source; !got.IsZero() {
		t.Errorf("source: got %s, want none", got)
	}
	s.wantEntries("db-01@s1")
}
