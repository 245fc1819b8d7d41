package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// partitionOf is the server's partition(16,1,2).
func partitionOf(k volume.Key) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(k.Project) + string(k.Name)))
	return int(h.Sum32() % commands.Partitions)
}

// volumeOf returns a name whose partition is the wanted worker's, of the given ones.
func volumeOf(wanted string, workers ...string) string {
	owners := ownership.Assign(workers, commands.Partitions)
	for i := 0; ; i++ {
		if name := fmt.Sprintf("v%d", i); owners[partitionOf(key(name))] == wanted {
			return name
		}
	}
}

func (s *system) holds(id string, partition int) bool {
	lease, err := kv.Open[ownership.Lease](s.js, kv.LeasesBucket).Get(s.ctx, ownership.LeaseKey(id))
	return err == nil && slices.Contains(lease.Value.Partitions, partition)
}

// TestWorker_ComesBackToAQuietPartition_TakesItOverAnew: a worker that has not been sent anything
// from a partition has no pin, so nothing tells it that another had the partition
// meanwhile. Its lease does: what the other handed back does not stay with the server
// until AckWait has passed.
func TestWorker_ComesBackToAQuietPartition_TakesItOverAnew(t *testing.T) {
	s := prepare(t)
	name := volumeOf("first", "first", "second")
	first := s.startPeer("first")
	second := s.startPeer("second")
	s.await("first to hold it", func() bool { return s.holds("first", partitionOf(key(name))) })
	entered, release := make(chan struct{}), make(chan struct{})
	second.hook(func(_ context.Context, call string, ref backends.Ref) error {
		if call == "create" && ref.Key == key(name) {
			close(entered)
			<-release
		}
		return nil
	}, nil)
	first.line.Hold()
	s.await("second to hold it", func() bool { return s.holds("second", partitionOf(key(name))) })
	s.publish(commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	remove := s.publish(commands.Request{Key: key(name), Verb: volume.VerbDelete})
	s.awaitCall(entered)
	first.line.Release()
	s.await("first to have it back", func() bool {
		return s.holds("first", partitionOf(key(name))) && !s.holds("second", partitionOf(key(name)))
	})
	close(release)
	s.awaitEvent(name, ofCommand(remove.CommandID)) // fails here after 30 s
}

// trap dials connections that stop before they write something.
type trap struct {
	text    []byte
	once    sync.Once
	entered chan struct{}
	release chan struct{}
}

func (tr *trap) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, limit)
	return &trapped{Conn: conn, trap: tr}, err
}

type trapped struct {
	net.Conn
	trap *trap
}

func (c *trapped) Write(b []byte) (int, error) {
	if bytes.Contains(b, c.trap.text) {
		c.trap.once.Do(func() {
			close(c.trap.entered)
			<-c.trap.release
		})
	}
	return c.Conn.Write(b)
}

// sieve dials connections that lose the first thing written that matches.
type sieve struct {
	lost *regexp.Regexp
	once sync.Once
}

func (s *sieve) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, limit)
	return &sieved{Conn: conn, sieve: s}, err
}

type sieved struct {
	net.Conn
	sieve *sieve
}

func (c *sieved) Write(b []byte) (int, error) {
	rest := b
	if at := c.sieve.lost.FindIndex(b); at != nil {
		c.sieve.once.Do(func() { rest = slices.Concat(b[:at[0]], b[at[1]:]) })
	}
	if _, err := c.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(b), nil
}

// TestWorker_RefusedAndAcceptedByTwoOwners_HasOneEnd: the refusal of a command for a volume without
// a record is decided by compare-and-set too: an owner that is stopped before it stores it
// does not refuse what another has accepted and begun.
func TestWorker_RefusedAndAcceptedByTwoOwners_HasOneEnd(t *testing.T) {
	s := prepare(t)
	request := commands.Request{
		Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1",
		Preconditions: volume.Preconditions{Deadline: time.Now().Add(300 * time.Millisecond).UTC()},
	}
	receipt := s.publish(request)
	begun := time.Now().UTC()
	<-time.After(time.Until(request.Deadline))
	tr := &trap{text: []byte("PUB $KV.volumes.default.v "), entered: make(chan struct{}), release: make(chan struct{})}
	// The first owner read that there is no volume, finds the deadline passed, and is stopped.
	stop := s.startOn(s.server.Connect(t, nats.SetCustomDialer(tr)), s.config)
	t.Cleanup(func() { must(t, stop()) })
	release := sync.OnceFunc(func() { close(tr.release) })
	t.Cleanup(release)
	<-tr.entered
	// The second had it a moment earlier: it has stored its decision, and is killed.
	decision, err := fsm.Decide(pending("v"), volume.Command{
		ID: request.ID, Key: request.Key, Verb: request.Verb, Args: request.Args,
		Preconditions: request.Preconditions, Sequence: receipt.Sequence, Backend: "local",
	}, begun)
	must(t, err)
	decision.Record.Owner = volume.Owner{Worker: "second", Instance: "another", Epoch: 1, Since: begun}
	_, err = s.records.Create(s.ctx, "default.v", decision.Record)
	must(t, err)
	release()
	s.await("the command's end", func() bool { return s.queued("v") == 0 })
	if record := s.record("v"); record.Op != nil {
		t.Errorf("no command is queued, and %s still runs: %s", record.Op.CommandID, record.State)
	}
	if reply := s.verb("v", volume.VerbReconcile); reply.Failure != nil && reply.Failure.Code == volume.ErrVolumeNotFound {
		t.Error("a volume with a record is not found") // from the remembered head
	}
	s.create("v", volume.MiB) // finds the record, and ends first what was begun
	for _, e := range s.events("v") {
		t.Logf("%s of %s: %s → %s, final %t", e.Event, e.CommandID, e.From, e.To, e.Final)
	}
	var ends []volume.Event
	for _, e := range s.events("v") {
		if e.CommandID == "c1" && (e.Final || e.Event == volume.EventRejected) {
			ends = append(ends, e.Event)
		}
	}
	t.Log("ends of command c1: ", ends)
	if len(ends) != 1 {
		t.Errorf("ends of command c1: got %v, want one", ends)
	}
}

// TestWorker_AbandonedCallOfAFormerOwner_IsFenced: a backend call that outlasts its timeout goes on
// by itself. In one process later calls wait for it; after a handover the fence stops it,
// also if the volume has no operation any more.
func TestWorker_AbandonedCallOfAFormerOwner_IsFenced(t *testing.T) {
	s := prepare(t)
	name := volumeOf("second", "first", "second")
	driver, err := local.Open(local.Options{Dir: s.dir})
	must(t, err)
	slow := &hooked{Driver: driver}
	release, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	slow.hook(func(ctx context.Context, call string, ref backends.Ref) error {
		if call == "delete" {
			once.Do(func() {
				<-release // whatever becomes of ctx, as a call into a C library
				ended <- slow.Driver.Delete(context.WithoutCancel(ctx), ref)
			})
		}
		return nil
	}, nil)
	config := s.config
	config.ID = "first"
	backend := backends.New("local", slow, backends.Options{Timeout: 300 * time.Millisecond})
	t.Cleanup(func() { must(t, backend.Close()) })
	config.Backends = map[string]*backends.Backend{"local": backend}
	stop := s.startAnother(config)
	t.Cleanup(func() { must(t, stop()) })
	s.create(name, volume.MiB)
	s.wantReply(s.verb(name, volume.VerbDelete), volume.Failed, volume.StateError, volume.ErrBackendUnavailable)
	s.startPeer("second")
	s.await("second to hold it", func() bool { return s.holds("second", partitionOf(key(name))) })
	s.wantReply(s.verb(name, volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	close(release)
	if err := <-ended; !errors.Is(err, volume.ErrFenced) {
		t.Errorf("late call: got %v, want %v", err, volume.ErrFenced)
	}
	s.wantBackend(s.record(name))
}

// TestWorker_FenceNotSet_IsSetByTheNextOwner: the operation is given up because the
// fence could not be set. That it is still to be set is for the next owner.
func TestWorker_FenceNotSet_IsSetByTheNextOwner(t *testing.T) {
	s := prepare(t)
	first := s.startPeer("first")
	frozen, thaw := first.freeze("create", "v")
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}
	receipt := s.publish(create)
	<-frozen
	second := s.startPeer("second", func(p *peer) {
		p.fencing(func() error { return backends.Errorf(volume.Unavailable, "no answer") })
	})
	s.awaitEvent("v", ofCommand(receipt.CommandID))
	must(t, second.stop())
	if owner := s.record("v").Owner; !owner.Fencing {
		t.Fatalf("owner: got %+v, want a fence that is still to be set", owner)
	}
	s.startPeer("third")
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	thaw()
	s.await("the late call's end", func() bool {
		_, err := s.backend.Driver.Get(s.ctx, key("v"))
		return err == nil || first.lastFault() != nil
	})
	if err := first.lastFault(); !errors.Is(err, volume.ErrFenced) {
		t.Errorf("late call: got %v, want %v", err, volume.ErrFenced)
	}
	s.wantBackend(s.record("v"))
	if reply := s.do(create); reply.Outcome != volume.Succeeded {
		t.Errorf("create under the same name: %s %+v", reply.Outcome, reply.Failure)
	}
}

// TestWorker_NextRetryByAFastClock_IsNotAwaited: the former owner's clock was an hour ahead, or this
// one's was set back.
func TestWorker_NextRetryByAFastClock_IsNotAwaited(t *testing.T) {
	s := prepare(t)
	request := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"}
	s.stage(request, func(command volume.Command) volume.Record {
		ahead := time.Now().UTC().Add(time.Hour)
		decision, err := fsm.Decide(pending("v"), command, ahead)
		must(t, err)
		decision, err = fsm.Fail(decision.Record, volume.BackendError(volume.Unavailable), quickRetry(), ahead)
		must(t, err)
		return decision.Record
	})
	s.startWorker()
	s.awaitEvent("v", ofCommand("c1"))
}

// TestWorker_CommandForgottenByItsConsumer_IsAnswered: after kill -9 of servers a stream
// may hold a command that its consumer takes for acknowledged. No takeover comes along.
func TestWorker_CommandForgottenByItsConsumer_IsAnswered(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	must(t, err)
	beyond := stream.CachedInfo().State.LastSeq + 2
	_, err = stream.ResetConsumerToSequence(s.ctx, fmt.Sprintf("partition-%d", partitionOf(key("v"))), beyond)
	must(t, err)
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDelete})
	if receipt.Sequence >= beyond {
		t.Fatalf("command at sequence %d, want it before %d", receipt.Sequence, beyond)
	}
	s.awaitEvent("v", ofCommand(receipt.CommandID))
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted)
}

// TestWorker_LostAcknowledgement_IsMadeUp: acknowledgements have no answer. One that goes
// down with a connection or a leader would leave its command in the stream until AckWait.
func TestWorker_LostAcknowledgement_IsMadeUp(t *testing.T) {
	s := prepare(t)
	lost := &sieve{lost: regexp.MustCompile(`PUB \$JS\.ACK\.\S+ 4\r\n\+ACK\r\n`)}
	stop := s.startOn(s.server.Connect(t, nats.SetCustomDialer(lost)), s.config)
	t.Cleanup(func() { must(t, stop()) })
	s.create("v", volume.MiB)
	s.attach("v", "n1")
	lost.once.Do(func() { t.Error("no acknowledgement was lost") })
	s.await("an empty queue", func() bool { return s.queued("v") == 0 })
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}
