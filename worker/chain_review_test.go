package worker_test

import (
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// A delete_snapshot that was given up may have deleted it: the answers were lost. What is
// left in the store must not be offered, least of all to a restore, which would lock the
// volume for ever.
func TestDeleteSnapshot_GivenUpAfterTheBackendDeletedIt_IsGone(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.backend.hook(nil, func(call string, _ backends.Ref) error {
		if call == "delete_snapshot" {
			return backends.Errorf(volume.Unavailable, "the answer is lost")
		}
		return nil
	})
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
	record := s.record("db-01")
	s.must(s.backend.Driver.DeleteSnapshot(s.ctx, backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}, "s1"))
	s.wantReply(s.restore("db-01", "s1"), volume.Failed, volume.StateAvailable, volume.ErrBackendNotFound)
	s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
}
