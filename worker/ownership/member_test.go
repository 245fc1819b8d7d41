package ownership_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds every wait of these tests.
const limit = 30 * time.Second

// group is a server and members on it.
type group struct {
	t      *testing.T
	server *natstest.Server
	leases *kv.Bucket[ownership.Lease]
	js     jetstream.JetStream
}

func newGroup(t *testing.T) *group {
	t.Helper()
	t.Parallel() // these tests wait most of the time
	server := natstest.Start(t)
	js := server.JetStream(t)
	if _, err := provision.Apply(t.Context(), js, provision.Options{}); err != nil {
		t.Fatal(err)
	}
	return &group{t: t, server: server, js: js, leases: kv.Open[ownership.Lease](js, kv.LeasesBucket)}
}

// peer is a member with one goroutine per partition that takes and gives up as told,
// unless nobody wants to know of the changes.
type peer struct {
	*ownership.Member
	id     string
	line   *natstest.Line
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
}

// change says that a peer took or gave up a partition.
type change struct {
	peer      string
	partition int
	taken     bool
}

func (g *group) join(id string, changes chan change, options ...func(*ownership.Config)) *peer {
	g.t.Helper()
	config := ownership.Config{ID: id, Partitions: partitions, Logger: zerolog.New(zerolog.NewTestWriter(g.t)).Level(zerolog.WarnLevel)}
	for _, option := range options {
		option(&config)
	}
	line := &natstest.Line{}
	js, err := jetstream.New(g.server.Connect(g.t, nats.SetCustomDialer(line)))
	if err != nil {
		g.t.Fatal(err)
	}
	member, err := ownership.New(js, config)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.t.Context())
	p := &peer{Member: member, id: id, line: line, t: g.t, cancel: cancel, ended: make(chan error, 1)}
	for partition := range partitions {
		if changes != nil {
			go p.serve(ctx, id, partition, changes)
		}
	}
	go func() { p.ended <- member.Run(ctx) }()
	g.t.Cleanup(cancel)
	return p
}

func (p *peer) serve(ctx context.Context, id string, partition int, changes chan change) {
	for {
		claim, err := p.Acquire(ctx, partition)
		if err != nil {
			return
		}
		claim.Serving()
		changes <- change{id, partition, true}
		select {
		case <-claim.Lost():
		case <-ctx.Done():
			return
		}
		changes <- change{id, partition, false}
		claim.Release()
	}
}

// leave drains and waits until the lease is gone.
func (p *peer) leave() {
	p.t.Helper()
	p.Drain()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	p.await(ctx, func(leases map[string]ownership.Lease) bool { return len(leases[p.id].Partitions) == 0 })
	p.cancel()
	if err := <-p.ended; err != nil {
		p.t.Error(err)
	}
}

// tells reports whether the leases tell of every holder.
func (p *peer) tells(holder map[int]string) bool {
	leases := p.Leases()
	for partition, id := range holder {
		if !slices.Contains(leases[id].Partitions, partition) {
			return false
		}
	}
	return true
}

// book keeps who holds what. It fails the test if two hold one partition at a time.
type book struct {
	t       *testing.T
	changes chan change
	holder  map[int]string
}

func newBook(t *testing.T) *book {
	return &book{t: t, changes: make(chan change, 1024), holder: map[int]string{}}
}

// until reads changes until ok holds, of which it asks now and then also without any.
func (b *book) until(ok func(load map[string]int) bool) {
	b.t.Helper()
	timeout, asking := time.NewTimer(limit), time.NewTicker(10*time.Millisecond)
	defer timeout.Stop()
	defer asking.Stop()
	for !ok(b.load()) {
		select {
		case c := <-b.changes:
			b.take(c)
		case <-asking.C:
		case <-timeout.C:
			b.t.Fatalf("shares: got %v", b.load())
		}
	}
}

func (b *book) take(c change) {
	b.t.Helper()
	switch holder := b.holder[c.partition]; {
	case c.taken && holder != "":
		b.t.Errorf("partition %d: taken by %s while %s holds it", c.partition, c.peer, holder)
	case c.taken:
		b.holder[c.partition] = c.peer
	case holder != c.peer:
		b.t.Errorf("partition %d: given up by %s, held by %q", c.partition, c.peer, holder)
	default:
		delete(b.holder, c.partition)
	}
}

func (b *book) load() map[string]int {
	load := map[string]int{}
	for _, peer := range b.holder {
		load[peer]++
	}
	return load
}

// shared reports whether every partition is held and shares differ by one at most.
func shared(members int) func(map[string]int) bool {
	return func(load map[string]int) bool {
		total := 0
		for _, n := range load {
			total += n
			if n < partitions/members || n > (partitions+members-1)/members {
				return false
			}
		}
		return total == partitions && len(load) == min(members, partitions)
	}
}

// TestMember_JoinAndDrain_PartitionsFollowAndNeverHaveTwoHolders goes 1 → 8 → 1, each time once
// the leases tell who holds what: a claim counts before its lease is stored, so that two
// changes at once may give a partition to two for a moment. What excludes them is not a
// lease. No lease may run out meanwhile, however busy the machine is.
func TestMember_JoinAndDrain_PartitionsFollowAndNeverHaveTwoHolders(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	var peers []*peer
	settled := func(n int) func(map[string]int) bool {
		return func(load map[string]int) bool { return shared(n)(load) && peers[0].tells(b.holder) }
	}
	for n := 1; n <= 8; n++ {
		peers = append(peers, g.join(fmt.Sprintf("w%d", n), b.changes, func(c *ownership.Config) { c.TTL = limit }))
		b.until(settled(n))
	}
	for n := 7; n >= 1; n-- {
		peers[n].leave()
		b.until(settled(n))
	}
	select {
	case <-peers[0].Served():
	default:
		t.Error("the first was never ready")
	}
}

// TestMember_Dies_OthersTakeOver: nobody told them.
func TestMember_Dies_OthersTakeOver(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	g.join("alive", b.changes)
	dead := ownership.Lease{SchemaVersion: 1, Worker: "dead", Instance: "i", Partitions: []int{}}
	for partition, owner := range ownership.Assign([]string{"alive", "dead"}, partitions) {
		if owner == "dead" {
			dead.Partitions = append(dead.Partitions, partition)
		}
	}
	if _, err := g.leases.Create(t.Context(), ownership.LeaseKey("dead"), dead, kv.TTL(ownership.DefaultTTL)); err != nil {
		t.Fatal(err)
	}
	b.until(func(load map[string]int) bool { return load["alive"] == partitions-len(dead.Partitions) })
	b.until(shared(1))
}

func TestMember_SameID_SecondIsRefused(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	first := g.join("w", b.changes)
	b.until(shared(1))
	second := g.join("w", make(chan change, 1024))
	if err := <-second.ended; !errors.Is(err, ownership.ErrTaken) || !errors.Is(err, volume.AlreadyExists) {
		t.Errorf("second: got %v, want %v", err, ownership.ErrTaken)
	}
	first.leave()
}

// TestMember_Replace_EndsTheFormer: the new one goes on at once, the old one is told.
func TestMember_Replace_EndsTheFormer(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	first := g.join("w", b.changes)
	b.until(shared(1))
	second := g.join("w", make(chan change, 1024), func(c *ownership.Config) { c.Replace = true })
	if err := <-first.ended; !errors.Is(err, ownership.ErrTaken) {
		t.Errorf("first: got %v, want %v", err, ownership.ErrTaken)
	}
	<-second.Served()
}

// TestMember_Busy_IsAwaitedByTheNextOwner: a volume that the former owner is in the
// middle of rests, and no other.
func TestMember_Busy_IsAwaitedByTheNextOwner(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	next := g.join("next", b.changes)
	b.until(shared(1))
	former := g.join("former", nil)
	busy, free := volume.Key{Project: "p", Name: "busy"}, volume.Key{Project: "p", Name: "free"}
	former.Occupy(busy)

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	next.await(ctx, func(leases map[string]ownership.Lease) bool { return len(leases["former"].Busy) == 1 })
	if err := next.AwaitIdle(ctx, free); err != nil {
		t.Error(err)
	}
	idle := make(chan error, 1)
	go func() { idle <- next.AwaitIdle(ctx, busy) }()
	select {
	case err := <-idle:
		t.Fatalf("busy volume: was not waited for (%v)", err)
	case <-time.After(2 * ownership.DefaultHeartbeat): // long enough for the wait to end in error
	}
	former.Idle(busy)
	if err := <-idle; err != nil {
		t.Error(err)
	}
}

// await waits until the member sees leases for which ok holds.
func (p *peer) await(ctx context.Context, ok func(map[string]ownership.Lease) bool) {
	p.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !ok(p.Leases()) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			p.t.Fatalf("leases: got %+v", p.Leases())
		}
	}
}

// TestMember_AllLeasesRunOut_NothingMoves: as after a time without a leader, when one of
// the workers takes a while to come back.
func TestMember_AllLeasesRunOut_NothingMoves(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	first := g.join("w1", b.changes)
	b.until(shared(1))
	second := g.join("w2", b.changes)
	b.until(shared(2))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	before := maps.Clone(b.holder)
	second.line.Hold()
	release := sync.OnceFunc(second.line.Release) // also after a failure: the client's end waits for it
	defer release()
	g.delete(ctx, "w2")
	g.delete(ctx, "w1")
	g.awaitLease(ctx, "w1")
	<-time.After(3 * ownership.DefaultGrace) // the time in which something wrong would happen
	release()
	g.awaitLease(ctx, "w2")
	first.await(ctx, func(leases map[string]ownership.Lease) bool {
		return len(leases["w1"].Partitions)+len(leases["w2"].Partitions) == partitions
	})
	b.until(shared(2)) // each may have given up its own for a moment
	for len(b.changes) > 0 {
		c := <-b.changes
		b.take(c)
		if before[c.partition] != c.peer {
			t.Errorf("moved: %+v", c)
		}
	}
	if !maps.Equal(b.holder, before) {
		t.Errorf("holders: got %v, before %v", b.holder, before)
	}
}

// delete takes a lease away at a moment when it is not renewed.
func (g *group) delete(ctx context.Context, id string) {
	g.t.Helper()
	for {
		entry, err := g.leases.Get(ctx, ownership.LeaseKey(id))
		if err == nil {
			err = g.leases.Delete(ctx, entry.Key, entry.Revision)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, kv.ErrConflict) {
			g.t.Fatal(err)
		}
	}
}

func (g *group) awaitLease(ctx context.Context, id string) {
	g.t.Helper()
	for change, err := range g.leases.Watch(ctx, ownership.LeaseKey(id)) {
		if err != nil {
			g.t.Fatal(err)
		}
		if change.Kind == kv.Put {
			return
		}
	}
	g.t.Fatalf("no lease of %s", id)
}

func TestMember_ServerRestarts_GoesOn(t *testing.T) {
	g, b := newGroup(t), newBook(t)
	first := g.join("w1", b.changes)
	b.until(shared(1))
	second := g.join("w2", b.changes)
	b.until(shared(2))
	g.server.Restart(t)
	second.leave()
	b.until(shared(1))
	first.leave()
}

func TestValidateID(t *testing.T) {
	for id, ok := range map[string]bool{
		"w": true, "host-1.example_2": true, "": false, "a b": false, "a..b": false, ".a": false, "a.": false, "a*": false, "ü": false,
	} {
		if err := ownership.ValidateID(id); (err == nil) != ok || err != nil && !errors.Is(err, volume.ErrInvalidArgument) {
			t.Errorf("%q: got %v, want valid %t", id, err, ok)
		}
	}
}
