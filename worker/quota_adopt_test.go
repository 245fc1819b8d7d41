package worker_test

import (
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// An object that the quota has no place for stays an orphan, whoever asks, and the store knows
// nothing of its snapshots.
func TestQuota_Adopt_RefusedBeforeAnythingIsStored(t *testing.T) {
	s := start(t)
	ref := s.unrecorded("v", 7, size)
	for _, name := range []volume.SnapshotName{"monday", "tuesday"} {
		_, err := s.backend.Driver.CreateSnapshot(s.ctx, ref, name)
		s.must(err)
	}
	request, asked := adopt("v", volume.Args{}), adopt("v", volume.Args{})
	asked.ValidateOnly = true
	for _, limits := range []quotas.Limits{
		{Volumes: quotas.Limit(0)}, {Bytes: quotas.Limit(int64(size) - 1)}, {Snapshots: quotas.Limit(1)},
	} {
		s.setQuota(limits)
		s.wantReply(s.do(asked), volume.Rejected, volume.StatePending, volume.ErrQuotaExceeded)
		s.wantReply(s.do(request), volume.Rejected, "", volume.ErrQuotaExceeded)
		s.wantEntries()
		s.wantUsed(quotas.Usage{})
	}
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1), Snapshots: quotas.Limit(2)})
	if got := s.do(asked).Outcome; got != volume.Valid {
		t.Errorf("got %s for what fits, want %s", got, volume.Valid)
	}
	s.wantReply(s.do(request), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: int64(size), Snapshots: 2})
}

// What a worker has left in the ledger that was stopped does not hold up who only asks.
func TestQuota_ValidateOnly_BesideAnEntryLeftBehind_IsAnswered(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(2)})
	s.create("db-01", size)
	s.leaveEntry("db-02", quotas.Usage{}, vols(1))
	request := createOf("db-02")
	request.ValidateOnly = true
	if reply := s.do(request); reply.Outcome != volume.Valid {
		t.Errorf("got %+v, want %s", reply, volume.Valid)
	}
	s.wantReply(s.do(commands.Request{Key: key("db-02"), Verb: volume.VerbCreate, Args: volume.Args{Size: size}}), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(vols(2))
}

// leaveEntry plants that of a command of which nothing else is left, made by a worker that was
// stopped in the middle of its compare-and-set, and died.
func (s *system) leaveEntry(name volume.Name, before, peak quotas.Usage) {
	s.t.Helper()
	ledgers := kv.Open[quotas.Ledger](s.js, kv.QuotasBucket)
	entry, err := ledgers.Get(s.ctx, string(project))
	s.must(err)
	l := entry.Value
	l.Used = l.Used.Plus(peak).Minus(before)
	l.Pending = append(l.Pending, quotas.Entry{Volume: name, CommandID: "gone", Sequence: 1, At: entry.Revision, Before: before, Peak: peak})
	_, err = ledgers.CompareAndSet(s.ctx, string(project), l, entry.Revision)
	s.must(err)
}

// An entry that was left behind goes with the volume's next command, also if that reserves
// nothing itself.
func TestQuota_EntryLeftBehind_GoesWithTheNextCommand(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(2)})
	s.create("db-01", size)
	s.leaveEntry("db-01", vols(1), quotas.Usage{Volumes: 1, Bytes: 5 * int64(size)})
	s.await("a worker that knows of it, or not", func() bool {
		s.wantReply(s.attach("db-01", "n1"), volume.Succeeded, volume.StateAttached, "")
		s.wantReply(s.verb("db-01", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
		l, err := quotas.New(s.js).Get(s.ctx, project)
		s.must(err)
		return len(l.Pending) == 0
	})
	s.wantUsed(vols(1))
}
