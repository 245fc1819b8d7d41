package acceptance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// How much happens in a storm.
const (
	stormVolumes   = 8
	stormSnapshots = 2 // names for each volume
	stormCommands  = 24
	stormSize      = 8 * volume.MiB
)

// storm is a random load on chains, with a worker that is killed in the middle of it.
type storm struct {
	*stage
	flags  string // of the worker
	rng    *rand.Rand
	seed   uint64
	events *nats.Subscription
	// there are the snapshots at the last kill, at which most commands are aimed.
	there []snapshots.Key
	// interrupted counts the operations that were under way at a kill, by state.
	interrupted map[volume.State]int
}

func newStorm(t *testing.T, m medium, s *server, flags string) *storm {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	startWorker(t, s, flags).kill() // makes the streams
	storm := &storm{
		stage: newStage(t, s, m), flags: flags, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)),
		interrupted: map[volume.State]int{},
	}
	for i := range stormVolumes {
		storm.names[stormName(i)] = true
	}
	var err error
	if storm.events, err = storm.conn.SubscribeSync("volume.event.>"); err != nil {
		t.Fatal(err)
	}
	return storm
}

func stormName(i int) volume.Name { return volume.Name(fmt.Sprintf("v%d", i)) }

func (s *storm) anyName() volume.Name { return stormName(s.rng.IntN(stormVolumes)) }

// anySnapshot returns the key of a snapshot, which mostly is one that there is.
func (s *storm) anySnapshot() volume.SnapshotKey {
	if len(s.there) > 0 && s.rng.IntN(4) > 0 {
		key := s.there[s.rng.IntN(len(s.there))]
		return volume.SnapshotKey{Volume: key.Volume, Snapshot: key.Snapshot}
	}
	return volume.SnapshotKey{Volume: s.anyName(), Snapshot: volume.SnapshotName(fmt.Sprintf("s%d", s.rng.IntN(stormSnapshots)))}
}

// request draws a command. Many are refused, as nobody looks whether they make sense.
func (s *storm) request() commands.Request {
	request := commands.Request{Key: s.key(s.anyName()), Actor: "storm"}
	snapshot := s.anySnapshot()
	switch draw := s.rng.IntN(32); {
	case draw < 2:
		request.Verb, request.Args = volume.VerbCreate, volume.Args{Size: stormSize}
	case draw < 9:
		request.Verb, request.Args = volume.VerbCreate, volume.Args{Source: snapshot, ReadOnly: draw == 2}
	case draw < 14:
		request.Verb, request.Args = volume.VerbSnapshot, volume.Args{Snapshot: snapshot.Snapshot}
	case draw < 19:
		request.Key.Name = snapshot.Volume
		request.Verb, request.Args = volume.VerbDeleteSnapshot, volume.Args{Snapshot: snapshot.Snapshot}
	case draw < 27:
		request.Verb = volume.VerbDelete
	case draw < 30:
		request.Key.Name = snapshot.Volume
		request.Verb, request.Args = volume.VerbRestore, volume.Args{Snapshot: snapshot.Snapshot}
	default:
		request.Verb = volume.VerbFlatten
	}
	return request
}

// round lets a worker finish what the former one left, gives it commands, and kills it a
// while after it has begun with those.
func (s *storm) round(t *testing.T, maxDelay time.Duration) {
	t.Helper()
	worker := startWorker(t, s.server, s.flags)
	awaitCommands(t, s.js)
	drain(s.events)
	for range stormCommands {
		if _, err := s.client.Publish(t.Context(), s.request()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.events.NextMsg(patience); err != nil {
		t.Fatalf("event of a worker that has commands: %v", err)
	}
	<-time.After(time.Duration(s.rng.Int64N(int64(maxDelay))))
	worker.kill()
	for _, record := range s.records(t) {
		if record.Op != nil {
			s.interrupted[record.State]++
		}
	}
	s.there = s.committed(t)
}

// committed returns the keys of the snapshots in the store, in their order, so that the seed
// alone decides what is drawn from them.
func (s *storm) committed(t *testing.T) (keys []snapshots.Key) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := snapshots.New(s.js).View(ctx, project, func(tx *snapshots.Tx) error {
		return tx.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			keys = append(keys, info.Name)
			return nil
		}, "kind==committed")
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// reconcile settles what was given up, and wants nothing to be left over then.
func (s *storm) reconcile(t *testing.T) {
	t.Helper()
	for name := range s.look(t).records {
		s.settle(t, name, volume.VerbReconcile, volume.Args{})
	}
	s.agree(t)
}

// settle carries a command out that only a killed client may delay, as the fence of a dead
// worker ends its hold on the image at the latest.
func (s *storm) settle(t *testing.T, name volume.Name, verb volume.Verb, args volume.Args) {
	t.Helper()
	poll(t, fmt.Sprintf("%s of %s", verb, name), func() bool {
		reply := s.do(t, name, verb, args)
		if reply.Failure != nil && reply.Failure.Class == volume.Busy {
			return false
		}
		if reply.Outcome != volume.Succeeded {
			t.Fatalf("%s of %s: got %s, %+v", verb, name, reply.Outcome, reply.Failure)
		}
		return true
	})
}

// clear deletes everything in an order in which nothing is in the way.
func (s *storm) clear(t *testing.T) {
	t.Helper()
	for {
		seen := s.look(t)
		left, done := 0, 0
		for key := range seen.entries {
			if key.Snapshot != "" && !seen.needed(key) {
				s.settle(t, key.Volume, volume.VerbDeleteSnapshot, volume.Args{Snapshot: key.Snapshot})
				done++
			}
		}
		for _, record := range s.records(t) {
			if record.Exists() {
				left++
			}
			if record.Exists() && record.Snapshots == 0 {
				s.settle(t, record.Name, volume.VerbDelete, volume.Args{})
				done++
			}
		}
		if left == 0 {
			return
		}
		if done == 0 {
			t.Fatalf("everything that is left is in the way of something: %+v", seen.entries)
		}
	}
}

// needed reports whether something stands on the entry.
func (s sight) needed(key snapshots.Key) bool {
	for _, entry := range s.entries {
		if entry.Parent == key {
			return true
		}
	}
	return false
}

// tally counts what the volumes' events tell.
func (s *storm) tally(t *testing.T) map[volume.Event]int {
	t.Helper()
	counts := map[volume.Event]int{}
	for _, record := range s.records(t) {
		_, witnesses := readWitnessesOf(t, s.js, s.driver(t), record.Key)
		for _, event := range witnesses.events {
			counts[event.Event]++
			if event.Event == volume.EventReady && !event.Spec.Source.IsZero() {
				counts["of these clones"]++
			}
		}
	}
	return counts
}

// blow does all of it: kills, then the comparison, then the end of everything.
func (s *storm) blow(t *testing.T, kills int, maxDelay time.Duration) {
	t.Helper()
	for range kills {
		s.round(t, maxDelay)
	}
	last := startWorker(t, s.server, s.flags)
	awaitCommands(t, s.js)
	s.reconcile(t)
	seen := s.look(t)
	t.Logf("seed=%d kills=%d interrupted=%v", s.seed, kills, s.interrupted)
	t.Logf("events=%v", s.tally(t))
	t.Logf("left: %d volumes, %d entries", len(seen.records), len(seen.entries))
	if len(s.interrupted) == 0 {
		t.Error("no kill interrupted an operation")
	}
	s.clear(t)
	s.nothingLeft(t)
	last.kill()
}

// stormKills is how often the worker is killed in the test on local.
const stormKills = 40

// A worker that is killed again and again in the middle of snapshots, clones, restores and
// deletions leaves nothing that the next one, and a reconcile, do not bring to agree.
func TestChain_WorkerKilled_StoreAndBackendAgree(t *testing.T) {
	dependOnSources(t)
	s := &server{url: natstest.Start(t).URL(), workDir: t.TempDir()}
	newStorm(t, files(s.workDir+"/"+dataDir+"/volumes"), s, "--dir "+dataDir).blow(t, stormKills, 60*time.Millisecond)
}
