//go:build ceph

package acceptance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// How much is interrupted in TestCeph_WorkerKilled_NoOrphanImages.
const (
	wantInterrupted = 200
	killVolumes     = 48
	killSize        = 8 * volume.MiB
	// maxDelay is how long after the first event of a round the kill comes at most.
	maxDelay = 250 * time.Millisecond
)

// killer kills the worker in the middle of creates and deletes.
type killer struct {
	server *server
	place  *place
	client *commands.Client
	js     jetstream.JetStream
	events *nats.Subscription
	config string
	rng    *rand.Rand
	// interrupted counts the operations that were under way at a kill.
	interrupted map[volume.State]int
}

// A worker that is killed by SIGKILL in the middle of 200 creates and deletes leaves
// nothing behind that the next one does not finish or clear away.
func TestCeph_WorkerKilled_NoOrphanImages(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	k := newKiller(t, seed)
	kills := 0
	for k.interrupted[volume.StateCreating] < wantInterrupted/2 || k.interrupted[volume.StateDeleting] < wantInterrupted/2 {
		k.round(t, volume.VerbCreate)
		k.round(t, volume.VerbDelete)
		kills += 2
	}
	t.Logf("seed=%d kills=%d interrupted=%v", seed, kills, k.interrupted)

	k.round(t, volume.VerbCreate) // so that something is left to compare
	last := k.startWorker(t)
	k.await(t)
	for _, record := range records(t, k.js) {
		if record.Exists() {
			reply := do(t, k.client, commands.Request{Key: record.Key, Verb: volume.VerbReconcile, Actor: "test"})
			wantReply(t, reply, volume.Succeeded, volume.StateAvailable, "")
		}
	}
	k.place.wantNoOrphans(t, k.js)
	k.deleteAll(t)
	k.place.wantNoOrphans(t, k.js)
	last.kill()
}

func newKiller(t *testing.T, seed uint64) *killer {
	t.Helper()
	dependOnSources(t)
	running := natstest.Start(t)
	k := &killer{
		server: &server{url: running.URL(), workDir: t.TempDir()},
		place:  newPlace(t, cephtest.Start(t)),
		rng:    rand.New(rand.NewPCG(seed, 0)),

		interrupted: map[volume.State]int{},
	}
	k.config = k.place.file(t)
	k.startWorker(t).kill() // makes the streams
	var conn *nats.Conn
	conn, k.js = k.server.connect(t)
	k.client = k.server.client(t)
	var err error
	if k.events, err = conn.SubscribeSync("volume.event.>"); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *killer) startWorker(t *testing.T) *program {
	t.Helper()
	return startWorker(t, k.server, "--concurrency 24 --config "+k.config)
}

// round lets the next worker finish what the former one left, gives it a create or a delete
// for every volume, in turns, and kills it a while after it has begun with those.
func (k *killer) round(t *testing.T, verb volume.Verb) {
	t.Helper()
	worker := k.startWorker(t)
	k.await(t)
	drain(k.events)
	request := commands.Request{Verb: verb, Actor: "test"}
	if verb == volume.VerbCreate {
		request.Args.Size = killSize
	}
	for i := range killVolumes {
		request.Key = volume.Key{Project: "kill", Name: volume.Name(fmt.Sprintf("v-%03d", i))}
		if _, err := k.client.Publish(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.events.NextMsg(patience); err != nil {
		t.Fatalf("event of a worker that has commands: %v", err)
	}
	<-time.After(time.Duration(k.rng.Int64N(int64(maxDelay))))
	worker.kill()
	for _, record := range records(t, k.js) {
		if record.Op != nil {
			k.interrupted[record.State]++
		}
	}
}

// watchTimeout is more than the 30 s for which Ceph keeps the watch of a client that died,
// unless the next worker has had a reason to fence it.
const watchTimeout = 45 * time.Second

// deleteAll deletes what there is. Only a watch of a killed worker excuses a failure, and
// only for as long as that can last. Then an operator helps, as docs/backends-ceph.md says:
// Ceph 16.2.15 keeps a watch for ever that came over a connection which was gone by then.
func (k *killer) deleteAll(t *testing.T) {
	t.Helper()
	late, helped := time.After(watchTimeout), false
	pause := time.NewTicker(time.Second)
	defer pause.Stop()
	for {
		left := 0
		for _, record := range records(t, k.js) {
			if !record.Exists() {
				continue
			}
			reply := do(t, k.client, commands.Request{Key: record.Key, Verb: volume.VerbDelete, Actor: "test"})
			if reply.Failure == nil || reply.Failure.Code != volume.ErrBackendBusy {
				wantReply(t, reply, volume.Succeeded, volume.StateDeleted, "")
				continue
			}
			left++
			t.Logf("%s; blocklist %q", reply.Failure.Message, k.place.cluster.Blocklist(t))
		}
		if left == 0 || t.Failed() {
			return
		}
		select {
		case <-pause.C:
		case <-late:
			if !helped {
				k.place.cluster.Ceph(t, "osd", "down", "0")
				k.place.cluster.AwaitAnswer(t)
				late, helped = time.After(watchTimeout), true
				continue
			}
			t.Fatalf("%d volumes are busy after %s", left, watchTimeout)
		}
	}
}

// await returns when no command waits and no operation is under way.
func (k *killer) await(t *testing.T) {
	t.Helper()
	awaitCommands(t, k.js)
	for _, record := range records(t, k.js) {
		if record.Op != nil {
			t.Errorf("volume %s: %s with an operation and no command", record.Key, record.State)
		}
	}
}
