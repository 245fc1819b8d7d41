package worker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// away takes a volume with its snapshots from the backend, as if it were not mounted, and
// returns how to bring it back.
func (s *system) away(name string) (back func()) {
	s.t.Helper()
	sidecar := filepath.Join(s.dir, key(name).String()+".json")
	hidden := filepath.Join(s.t.TempDir(), "sidecar")
	s.must(os.Rename(sidecar, hidden))
	return func() {
		s.t.Helper()
		s.must(os.Rename(hidden, sidecar))
	}
}

// What a volume brings back that was given up as gone was never given up by anybody: a
// reconcile deletes none of it.
func TestReconcile_GoneVolumeComesBack_KeepsItsSnapshots(t *testing.T) {
	s := start(t)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.snapshot("db-01", "s2")
	back := s.away("db-01")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateError, "")
	s.wantEntries("db-01@s1", "db-01@s2")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StatePending, "")
	back()
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantSnapshots("db-01", "s1", "s2")
	s.wantEntries("db-01@s1", "db-01@s2")
	s.wantReply(s.clone("copy", "db-01@s1"), volume.Succeeded, volume.StateAvailable, "")
}

// A worker that dies, or is refused, after it has dropped some of the entries of a volume that
// is gone leaves a record that counts more of them than there are.
func TestReconcile_EntriesDroppedHalfway_ComeBackWithTheVolume(t *testing.T) {
	s := start(t, deletesWhatIsGone)
	s.create("db-01", sMiB)
	s.snapshot("db-01", "s1")
	s.snapshot("db-01", "s2")
	s.clone("copy", "db-01@s2")
	back := s.away("db-01")
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Rejected, volume.StateAvailable, volume.ErrSnapshotInUse)
	back()
	s.wantReply(s.verb("db-01", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantSnapshots("db-01", "s1", "s2")
	s.wantEntries("copy < db-01@s2", "db-01@s1", "db-01@s2")
	if record := s.record("db-01"); record.Drift != nil {
		t.Errorf("got drift %q, want none", record.Drift)
	}
}
