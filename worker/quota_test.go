package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const project volume.Project = "default"

// setQuota replaces the limits of the tests' project.
func (s *system) setQuota(limits quotas.Limits) {
	s.t.Helper()
	_, err := quotas.New(s.js).Set(s.ctx, quotas.SetRequest{
		Project: project, Actor: "test", Change: func(quotas.Limits) quotas.Limits { return limits },
	})
	s.must(err)
}

// wantUsed compares what the ledger says is used, and that with the records. Nothing may be
// under way.
func (s *system) wantUsed(want quotas.Usage) {
	s.t.Helper()
	report, err := quotas.New(s.js).Verify(s.ctx, project)
	s.must(err)
	if report.Fault() || report.Pending > 0 || report.Used != want {
		s.t.Fatalf("ledger: got %+v, want %+v used and no fault", report, want)
	}
}

// awaitNoCommands waits until every command has been acknowledged.
func (s *system) awaitNoCommands() {
	s.t.Helper()
	s.await("the end of all commands", func() bool {
		stream, err := s.js.Stream(s.ctx, commands.StreamName)
		s.must(err)
		return stream.CachedInfo().State.Msgs == 0
	})
}

const size = volume.MiB

// vols is what n volumes of the tests' size use.
func vols(n int64) quotas.Usage { return quotas.Usage{Volumes: n, Bytes: n * int64(size)} }

func mebibytes(n int64) *int64 { return quotas.Limit(n * int64(size)) }

// raceFor lets eight creates or snapshots race for what is left, and returns how many succeeded.
func (s *system) raceFor(clients []*commands.Client, request func(i int) commands.Request) (won int) {
	s.t.Helper()
	replies, err := s.raceOf(clients, request)
	s.must(err)
	for _, reply := range replies {
		switch {
		case reply.Outcome == volume.Succeeded:
			won++
		case reply.Failure == nil || reply.Failure.Code != volume.ErrQuotaExceeded || reply.Failure.Class != volume.ResourceExhausted || reply.Retryable:
			s.t.Fatalf("got %+v, want success or %s", reply, volume.ErrQuotaExceeded)
		}
	}
	return won
}

func createOf(name string) commands.Request {
	return commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: size}}
}

// fits are races of eight for what is left of one limit.
func (s *system) fits(clients []*commands.Client, rounds int) {
	s.t.Helper()
	race := func(round, places int, limits quotas.Limits, request func(i int) commands.Request) {
		s.t.Helper()
		s.setQuota(limits)
		if won := s.raceFor(clients, request); won != places {
			s.t.Fatalf("round %d: %d of 8 had place, want %d", round, won, places)
		}
	}
	for round := range rounds {
		race(round, 1, quotas.Limits{Volumes: quotas.Limit(int64(round + 1))},
			func(i int) commands.Request { return createOf(fmt.Sprintf("v-%d-%d", round, i)) })
	}
	created := int64(rounds)
	s.wantUsed(vols(created))
	for round := range rounds / 5 {
		created += 3
		race(round, 3, quotas.Limits{Bytes: mebibytes(created)},
			func(i int) commands.Request { return createOf(fmt.Sprintf("b-%d-%d", round, i)) })
	}
	s.wantUsed(vols(created))
	s.setQuota(quotas.Limits{})
	for i := range clients {
		s.wantReply(s.create(fmt.Sprint("s-", i), size), volume.Succeeded, volume.StateAvailable, "")
	}
	used := vols(created + int64(len(clients)))
	for round := range rounds / 5 {
		used.Snapshots += 2
		race(round, 2, quotas.Limits{Snapshots: &used.Snapshots}, func(i int) commands.Request {
			return commands.Request{
				Key: key(fmt.Sprint("s-", i)), Verb: volume.VerbSnapshot,
				Args: volume.Args{Snapshot: volume.SnapshotName(fmt.Sprint("r-", round))},
			}
		})
	}
	s.wantUsed(used)
}

// Rounds of eight commands that race for the last places, from two workers: just as many
// have them as there are.
func TestQuota_RacesForTheLastPlace_ExactlyWhatFits(t *testing.T) {
	s := start(t)
	second := s.config
	second.ID, second.Registerer = "worker-2", nil
	stop := s.startAnother(second)
	t.Cleanup(func() { s.must(stop()) })
	s.fits(s.publishers(8), 100)
}

// Three servers change nothing of it.
func TestQuota_RacesOnACluster_ExactlyWhatFits(t *testing.T) {
	s := prepareCluster(t)
	s.startWorkers(2)
	clients := make([]*commands.Client, 8)
	for i := range clients {
		client, err := commands.New(s.cluster.Connect(t), commands.WithResendAfter(clusterResend))
		s.must(err)
		t.Cleanup(func() { s.must(client.Close()) })
		clients[i] = client
	}
	s.fits(clients, 10)
}

// A volume's life moves what is used up and down, and each growth is refused where it does not fit.
func TestQuota_Life_UsedFollowsTheRecords(t *testing.T) {
	s := start(t)
	s.create("db-01", size)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(2), Bytes: mebibytes(5), Snapshots: quotas.Limit(1)})
	s.wantUsed(vols(1))

	refused := func(reply commands.Reply, state volume.State) {
		t.Helper()
		s.wantReply(reply, volume.Rejected, state, volume.ErrQuotaExceeded)
	}
	resize := func(name string, mib volume.Bytes) commands.Reply {
		return s.do(commands.Request{Key: key(name), Verb: volume.VerbResize, Args: volume.Args{Size: mib * size}})
	}
	s.wantReply(resize("db-01", 3), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: 3 * int64(size)})
	refused(resize("db-01", 6), volume.StateAvailable)
	refused(s.create("db-02", 3*size), "")
	s.wantReply(s.create("db-02", 2*size), volume.Succeeded, volume.StateAvailable, "")
	refused(s.create("db-03", 1), "")
	s.wantUsed(quotas.Usage{Volumes: 2, Bytes: 5 * int64(size)})

	s.wantReply(s.snapshot("db-02", "monday"), volume.Succeeded, volume.StateAvailable, "")
	refused(s.snapshot("db-02", "tuesday"), volume.StateAvailable)
	refused(s.snapshot("db-01", "tuesday"), volume.StateAvailable)
	s.wantUsed(quotas.Usage{Volumes: 2, Bytes: 5 * int64(size), Snapshots: 1})

	// A restore gives back what the volume has grown, which another may have then.
	s.wantReply(s.verb("db-01", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantReply(resize("db-02", 5), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: 5 * int64(size), Snapshots: 1})
	s.wantReply(s.restore("db-02", "monday"), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: 2 * int64(size), Snapshots: 1})
	s.wantReply(s.deleteSnapshot("db-02", "monday"), volume.Succeeded, volume.StateAvailable, "")

	// Limits below what is used refuse what grows, and nothing else.
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(0), Bytes: mebibytes(1)})
	refused(resize("db-02", 3), volume.StateAvailable)
	s.wantReply(s.attach("db-02", "node-1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("db-02", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("db-02", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.verb("db-02", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	s.wantUsed(quotas.Usage{})

	s.must(quotas.New(s.js).Clear(s.ctx, project))
	s.wantReply(s.create("db-04", size), volume.Succeeded, volume.StateAvailable, "")
	s.setQuota(quotas.Limits{})
	s.wantUsed(vols(1))
}

// What a failed create leaves counts as long as it is there.
func TestQuota_FailedAndCancelledCommands_GiveBackWhatTheyAdded(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1), Bytes: mebibytes(2)})
	entered, release := s.gate("create", "db-01")
	receipt := s.publish(createOf("db-01"))
	s.awaitCall(entered)
	s.wantReply(s.create("db-02", size), volume.Rejected, "", volume.ErrQuotaExceeded)
	s.wantReply(s.verb("db-01", volume.VerbCancel), volume.Succeeded, volume.StatePending, "")
	s.awaitEvent("db-01", ofCommand(receipt.CommandID))
	close(release)
	s.backend.hook(nil, nil)
	s.wantUsed(quotas.Usage{})
	s.wantReply(s.create("db-02", size), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(vols(1))
}

// Who only asks gets the answer of who does, and nothing is reserved.
func TestQuota_ValidateOnly_IsRefusedAlike(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Bytes: mebibytes(2)})
	ask := func(mib volume.Bytes) commands.Reply {
		return s.do(commands.Request{
			Key: key("db-01"), Verb: volume.VerbCreate, Args: volume.Args{Size: mib * size},
			Preconditions: volume.Preconditions{ValidateOnly: true},
		})
	}
	if got := ask(2).Outcome; got != volume.Valid {
		t.Errorf("got %s for what fits, want %s", got, volume.Valid)
	}
	s.wantReply(ask(3), volume.Rejected, volume.StatePending, volume.ErrQuotaExceeded)
	s.wantUsed(quotas.Usage{})
}

// A refusal is an answer like others: the same command gets it again, even if there is place now.
func TestQuota_RefusedCommand_Repeated_IsRefusedAgain(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(0)})
	request := createOf("db-01")
	request.ID = "c1"
	first := s.do(request)
	s.wantReply(first, volume.Rejected, "", volume.ErrQuotaExceeded)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1)})
	s.wantSame(request, first)
	s.wantReply(s.create("db-01", size), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(vols(1))
}

// A quota that is set while creates are on their way counts each of them once.
func TestQuota_SetWhileCreatesRun_LedgerAgrees(t *testing.T) {
	s := prepare(t)
	s.startWorker()
	second := s.config
	second.ID, second.Registerer = "worker-2", nil
	stop := s.startAnother(second)
	t.Cleanup(func() { s.must(stop()) })
	const creates = 200
	receipts := make([]commands.Receipt, creates)
	for i := range receipts {
		receipts[i] = s.publish(createOf(fmt.Sprintf("v-%d", i)))
		if i%4 == 3 { // something that becomes less
			s.publish(commands.Request{Key: key(fmt.Sprintf("v-%d", i)), Verb: volume.VerbDelete})
		}
		if i == creates/4 {
			go s.publish(createOf("while-set"))
			s.setQuota(quotas.Limits{Volumes: quotas.Limit(creates + 1)})
		}
	}
	s.awaitNoCommands()
	s.wantUsed(vols(creates*3/4 + 1))
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(creates*3/4 + 1)})
	s.wantReply(s.create("one-more", size), volume.Rejected, "", volume.ErrQuotaExceeded)
}

// Commands of another project are not concerned, and no worker that is gone is waited for.
func TestQuota_OtherProject_IsFree(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(0)})
	reply := s.do(commands.Request{Key: volume.Key{Project: "other", Name: "v"}, Verb: volume.VerbCreate, Args: volume.Args{Size: size}})
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	if _, err := quotas.New(s.js).Get(s.ctx, "other"); !errors.Is(err, quotas.ErrNoQuota) {
		t.Errorf("got %v, want %v", err, quotas.ErrNoQuota)
	}
}

// What a worker has reserved that then was gone is found by the next one, and not doubled.
func TestQuota_WorkerStoppedInTheMiddle_NextOneSettles(t *testing.T) {
	s := prepare(t, func(c *worker.Config) { c.DrainTimeout = 1 })
	stop := s.startAnother(s.config)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1)})
	entered, release := s.gate("create", "db-01")
	receipt := s.publish(createOf("db-01"))
	s.awaitCall(entered)
	if err := stop(); !errors.Is(err, volume.Aborted) {
		t.Fatalf("got %v from a drain that is too short, want %s", err, volume.Aborted)
	}
	close(release)
	s.backend.hook(nil, nil)
	l, err := quotas.New(s.js).Get(s.ctx, project)
	s.must(err)
	if len(l.Pending) != 1 || l.Used != vols(1) {
		t.Fatalf("got %+v, want what was reserved", l)
	}
	s.config.DrainTimeout = 0
	s.startWorker()
	s.awaitEvent("db-01", ofCommand(receipt.CommandID))
	s.wantReply(s.create("db-02", size), volume.Rejected, "", volume.ErrQuotaExceeded)
	s.awaitNoCommands()
	s.wantUsed(vols(1))
}

// A ledger is verified and repaired while commands are carried out, and is never found wrong
// for what is under way.
func TestQuota_VerifiedAndRepairedUnderLoad_OnlyThePlantedFault(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{})
	client := quotas.New(s.js)
	var load sync.WaitGroup
	ctx, stop := context.WithCancel(s.ctx)
	for lane := range 16 {
		load.Go(func() {
			name := fmt.Sprint("v-", lane)
			for ctx.Err() == nil {
				s.create(name, size)
				s.do(commands.Request{Key: key(name), Verb: volume.VerbResize, Args: volume.Args{Size: 2 * size}})
				s.verb(name, volume.VerbDelete)
			}
		})
	}
	for range 10 {
		report, err := client.Verify(s.ctx, project)
		s.must(err)
		if report.Fault() {
			t.Errorf("under load: %+v", report)
		}
	}
	for planted := false; !planted; { // others write it too
		ledgers := kv.Open[quotas.Ledger](s.js, kv.QuotasBucket)
		entry, err := ledgers.Get(s.ctx, string(project))
		s.must(err)
		entry.Value.Used.Volumes += 1000
		_, err = ledgers.CompareAndSet(s.ctx, string(project), entry.Value, entry.Revision)
		planted = err == nil
	}
	report, err := client.Repair(s.ctx, project)
	s.must(err)
	if !report.Repaired || report.Used.Volumes-report.Derived.Volumes != 1000 {
		t.Errorf("got %+v, want 1000 volumes too many, repaired", report)
	}
	stop()
	load.Wait()
	s.awaitNoCommands()
	s.wantUsed(quotas.Usage{})
}

// Who holds a ledger and dies stops nobody for long, and once only.
func TestQuota_HeldByTheDead_GoesOn(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(1)})
	ledgers := kv.Open[quotas.Ledger](s.js, kv.QuotasBucket)
	entry, err := ledgers.Get(s.ctx, string(project))
	s.must(err)
	entry.Value.Held = "dead"
	_, err = ledgers.CompareAndSet(s.ctx, string(project), entry.Value, entry.Revision)
	s.must(err)
	s.wantReply(s.create("db-01", size), volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(vols(1))
}

// The command of an operation under way is taken out of the stream by hand: the volume's next
// command ends it, and what it has reserved.
func TestQuota_CommandTakenOut_NextOneSettles(t *testing.T) {
	s := prepare(t, func(c *worker.Config) { c.DrainTimeout = 1 })
	stop := s.startAnother(s.config)
	s.setQuota(quotas.Limits{Bytes: mebibytes(4)})
	s.create("db-01", size)
	entered, release := s.gate("resize", "db-01")
	receipt := s.publish(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 3 * size}})
	s.awaitCall(entered)
	_ = stop()
	close(release)
	s.backend.hook(nil, nil)
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	s.must(err)
	s.must(stream.DeleteMsg(s.ctx, receipt.Sequence))
	s.config.DrainTimeout = 0
	s.startWorker()
	reply := s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 5 * size}})
	s.wantReply(reply, volume.Rejected, volume.StateAvailable, volume.ErrQuotaExceeded)
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: 3 * int64(size)})
	reply = s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbResize, Args: volume.Args{Size: 4 * size}})
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	s.wantUsed(quotas.Usage{Volumes: 1, Bytes: 4 * int64(size)})
}

// An operation that a worker has begun which knew of no quota is counted by the next one.
func TestQuota_OperationBegunWithoutIt_IsCountedByTheNextWorker(t *testing.T) {
	s := prepare(t)
	s.setQuota(quotas.Limits{})
	s.stage(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: size}, ID: "c1"}, func(command volume.Command) volume.Record {
		decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
		s.must(err)
		return decision.Record
	})
	s.startWorker()
	s.awaitEvent("v", ofCommand("c1"))
	s.awaitNoCommands()
	s.wantUsed(vols(1))
}

// A quota that is cleared and set again while commands run has all of them in the end.
func TestQuota_ClearedAndSetAgainUnderLoad_LedgerAgrees(t *testing.T) {
	s := start(t)
	s.setQuota(quotas.Limits{})
	const lanes, each = 16, 6
	var load sync.WaitGroup
	for lane := range lanes {
		load.Go(func() {
			for i := range each {
				s.create(fmt.Sprintf("v-%d-%d", lane, i), size)
			}
		})
	}
	for range 8 {
		s.must(quotas.New(s.js).Clear(s.ctx, project))
		s.setQuota(quotas.Limits{})
	}
	load.Wait()
	s.awaitNoCommands()
	s.wantUsed(vols(lanes * each))
}
