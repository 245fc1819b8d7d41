package worker_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// publishers returns clients on connections of their own.
func (s *system) publishers(n int) []*commands.Client {
	s.t.Helper()
	clients := make([]*commands.Client, n)
	for i := range clients {
		client, err := commands.New(s.server.Connect(s.t), commands.WithResendAfter(limit))
		s.must(err)
		s.t.Cleanup(func() { s.must(client.Close()) })
		clients[i] = client
	}
	return clients
}

// race has every publisher send its request at the same moment.
func (s *system) raceOf(clients []*commands.Client, request func(i int) commands.Request) ([]commands.Reply, error) {
	replies := make([]commands.Reply, len(clients))
	start := make(chan struct{})
	var all errgroup.Group
	for i, client := range clients {
		all.Go(func() error {
			<-start
			reply, err := client.Do(s.ctx, request(i))
			if replies[i] = reply; reply.Outcome == "" {
				return err
			}
			return nil
		})
	}
	close(start)
	return replies, all.Wait()
}

// winners returns who succeeded, and an error unless every other was refused with code.
func winners(replies []commands.Reply, code volume.Code) ([]int, error) {
	var won []int
	for i, reply := range replies {
		switch {
		case reply.Outcome == volume.Succeeded:
			won = append(won, i)
		case reply.Outcome != volume.Rejected || reply.Failure.Code != code:
			return nil, fmt.Errorf("publisher %d: got %s %+v, want %s", i, reply.Outcome, reply.Failure, code)
		}
	}
	return won, nil
}

// TestWorkers_ConflictingAttaches_OneWinner: 1,000 trials on three workers.
func TestWorkers_ConflictingAttaches_OneWinner(t *testing.T) {
	const volumes, trials = 25, 40
	s := prepare(t)
	for i := range 3 {
		s.startPeer(fmt.Sprintf("w%d", i))
	}
	nodes := []volume.Node{"n0", "n1"}
	var all sync.WaitGroup
	for _, name := range volumeNames(volumes) {
		clients := s.publishers(len(nodes))
		all.Go(func() {
			s.create(name, volume.MiB)
			for trial := range trials {
				replies, err := s.raceOf(clients, func(i int) commands.Request {
					return commands.Request{Key: key(name), Verb: volume.VerbAttach, Args: volume.Args{Node: nodes[i], Mode: volume.ReadWrite}}
				})
				if err == nil {
					err = s.oneAttached(name, nodes, replies)
				}
				if err != nil {
					t.Errorf("%s trial %d: %v", name, trial, err)
					return
				}
				s.verb(name, volume.VerbDetach)
			}
		})
	}
	all.Wait()
	for _, name := range volumeNames(volumes) {
		if record := s.record(name); record.State != volume.StateAvailable {
			t.Errorf("%s: got %s, want available", name, record.State)
		}
	}
}

// oneAttached checks that one node has won, by the replies, the record and the backend.
func (s *system) oneAttached(name string, nodes []volume.Node, replies []commands.Reply) error {
	won, err := winners(replies, volume.ErrInvalidTransition)
	if err != nil {
		return err
	}
	if len(won) != 1 {
		return fmt.Errorf("%d winners", len(won))
	}
	entry, err := s.records.ByKey(s.ctx, key(name))
	if err != nil {
		return err
	}
	object, err := s.backend.Driver.Get(s.ctx, key(name))
	if err != nil {
		return err
	}
	want, record := nodes[won[0]], entry.Value.Attachments
	if _, held := record.Of(want); !held || len(record) != 1 || !reflect.DeepEqual(record, object.Attachments) {
		return fmt.Errorf("%s won: record has %s, backend %s", want, record, object.Attachments)
	}
	return nil
}

// TestWorkers_CreateRaces_OneWinner: 100 races of eight, on three workers.
func TestWorkers_CreateRaces_OneWinner(t *testing.T) {
	s := prepare(t)
	for i := range 3 {
		s.startPeer(fmt.Sprintf("w%d", i))
	}
	clients := s.publishers(8)
	for _, name := range volumeNames(100) {
		replies, err := s.raceOf(clients, func(int) commands.Request {
			return commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}}
		})
		must(t, err)
		won, err := winners(replies, volume.ErrVolumeExists)
		must(t, err)
		if len(won) != 1 {
			t.Fatalf("%s: %d winners", name, len(won))
		}
		s.wantBackend(s.record(name))
	}
}

// TestWorkers_SlowBackendCall_BlocksNoOtherVolume: while one call hangs, every other
// volume gets on, also those of its partition, and also when the partition changes hands.
func TestWorkers_SlowBackendCall_BlocksNoOtherVolume(t *testing.T) {
	const volumes = 64 // several in each partition
	s := prepare(t)
	first := s.startPeer("first")
	held := make(chan struct{})
	entered := make(chan struct{})
	first.hook(func(_ context.Context, call string, ref backends.Ref) error {
		if call == "create" && ref.Key == key("slow") {
			close(entered)
			<-held
		}
		return nil
	}, nil)
	slow := s.publish(commands.Request{Key: key("slow"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.awaitCall(entered)
	others := func(verb volume.Verb, args volume.Args) {
		t.Helper()
		for _, name := range volumeNames(volumes) {
			s.succeed(commands.Request{Key: key(name), Verb: verb, Args: args})
		}
	}
	others(volume.VerbCreate, volume.Args{Size: volume.MiB})
	s.startPeer("second") // takes half of the partitions
	others(volume.VerbAttach, volume.Args{Node: "n", Mode: volume.ReadWrite})
	drained := make(chan error, 1)
	go func() { drained <- first.stop() }() // gives up all of them, and waits for the slow call
	s.await("the first to give up its partitions", func() bool {
		lease, err := kv.Open[ownership.Lease](s.js, kv.LeasesBucket).Get(s.ctx, ownership.LeaseKey("first"))
		return err == nil && lease.Value.Draining && len(lease.Value.Partitions) == 0 && slices.Equal(lease.Value.Busy, []volume.Key{key("slow")})
	})
	others(volume.VerbDetach, volume.Args{})
	if state := s.record("slow").State; state != volume.StateCreating {
		t.Errorf("slow volume: got %s, want it still in the call", state)
	}
	close(held)
	must(t, <-drained)
	if e := s.awaitEvent("slow", ofCommand(slow.CommandID)); e.Worker != "first" || e.Epoch != 1 {
		t.Errorf("slow volume: ended by %s in epoch %d, want first, which was busy with it", e.Worker, e.Epoch)
	}
	s.wantWitnesses("slow", volume.EventCreate, volume.EventReady)
}

// TestWorkers_OneToEightToOne_LosesNoOrder has commands of each volume published without
// waiting, each of which succeeds only behind the one before, while workers come and go.
func TestWorkers_OneToEightToOne_LosesNoOrder(t *testing.T) {
	const volumes = 32
	s := prepare(t)
	peers := []*peer{s.startPeer("w0")}
	stop := make(chan struct{})
	var load sync.WaitGroup
	rounds := make([]int, volumes)
	for i, name := range volumeNames(volumes) {
		load.Go(func() { rounds[i] = s.cycle(name, stop) })
	}
	for i := 1; i < 8; i++ {
		peers = append(peers, s.startPeer(fmt.Sprintf("w%d", i)))
		s.wantShares(len(peers))
	}
	for i := len(peers) - 1; i > 0; i-- {
		must(t, peers[i].stop())
		s.wantShares(i)
	}
	close(stop)
	load.Wait()
	total := 0
	for i, name := range volumeNames(volumes) {
		want := []volume.Event{volume.EventCreate, volume.EventReady}
		for range rounds[i] {
			want = append(want, volume.EventAttach, volume.EventAttached, volume.EventDetach, volume.EventDetached)
		}
		s.wantWitnesses(name, want...)
		total += 1 + 2*rounds[i]
	}
	t.Logf("%d commands in order", total)
}

// cycle attaches and detaches a volume, both published at once, until stop is closed.
func (s *system) cycle(name string, stop <-chan struct{}) (rounds int) {
	s.create(name, volume.MiB)
	for {
		select {
		case <-stop:
			return rounds
		default:
		}
		s.publish(commands.Request{Key: key(name), Verb: volume.VerbAttach, Args: volume.Args{Node: "n", Mode: volume.ReadWrite}})
		if reply := s.verb(name, volume.VerbDetach); reply.Outcome != volume.Succeeded {
			s.t.Errorf("%s round %d: detach was not behind attach: %+v", name, rounds, reply.Failure)
			return rounds
		}
		rounds++
	}
}

// wantShares waits until the partitions are shared by n workers, by one more or less.
func (s *system) wantShares(n int) {
	s.t.Helper()
	bucket := kv.Open[ownership.Lease](s.js, kv.LeasesBucket)
	s.await(fmt.Sprintf("equal shares of %d workers", n), func() bool {
		leases, _, err := bucket.List(s.ctx, kv.ListOptions{})
		if err != nil || len(leases) != n {
			return false
		}
		total := 0
		for _, lease := range leases {
			held := len(lease.Value.Partitions)
			if held < commands.Partitions/n || held > (commands.Partitions+n-1)/n {
				return false
			}
			total += held
		}
		return total == commands.Partitions
	})
}
