package ownership

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Defaults of a [Config].
const (
	// DefaultTTL is how long a worker that says nothing counts as alive. The server
	// counts in whole seconds.
	DefaultTTL = 2 * time.Second
	// DefaultHeartbeat is how often a lease is renewed.
	DefaultHeartbeat = 600 * time.Millisecond
	// DefaultGrace is how long a worker whose lease ran out may take to come back before
	// its partitions are given to others. If this worker's own lease ran out too, it is
	// the time of a lease instead: a cluster that had no leader lets all run out at once,
	// and nothing should move for that.
	DefaultGrace = 250 * time.Millisecond
	// DefaultHandover bounds the wait for a live worker to give up a partition that is
	// assigned to another.
	DefaultHandover = 5 * time.Second
)

// Config says who a member is. Zero durations take the defaults.
type Config struct {
	ID         string // unique among live workers
	Partitions int
	// Replace takes the lease over even if it is not expired: whoever held it is known to
	// be dead, as the worker of a process whose directory is locked by this one.
	Replace bool

	TTL       time.Duration
	Heartbeat time.Duration
	Grace     time.Duration
	Handover  time.Duration

	Logger zerolog.Logger
}

func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.TTL: DefaultTTL, &c.Heartbeat: DefaultHeartbeat, &c.Grace: DefaultGrace, &c.Handover: DefaultHandover,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return c
}

// Member is one worker's part in the sharing of partitions.
type Member struct {
	config Config
	log    zerolog.Logger
	leases *kv.Bucket[Lease]
	beats  chan struct{} // asks for a renewal at once
	served chan struct{} // closed when first everything assigned was served

	failures atomic.Uint64 // renewals that failed

	mu      sync.Mutex // guards all below
	lease   Lease      // this worker's, without what it holds
	view    map[string]Lease
	owners  []string
	claims  map[int]*Claim
	busy    map[volume.Key]int // what this worker is in the middle of, by volume
	changed chan struct{}      // closed and replaced whenever something above changes

	current  bool      // view has been complete once, with this worker in it
	caughtAt time.Time // when the watch had told what was there; zero until then
	began    time.Time // when the last renewal that was stored was begun
	stored   uint64    // revision of this worker's lease as it was stored last
	shown    uint64    // and as the watch showed it last
	anew     bool      // the watch is of a bucket that is no more
	doubt    time.Time // until when a lease that has run out proves nothing
	tried    time.Time // when a renewal was begun last, whatever became of it
}

// New returns a member that has not joined yet; the bucket of leases must exist. It
// returns a [volume.ErrInvalidArgument] for a name that is none.
func New(js jetstream.JetStream, config Config) (*Member, error) {
	if err := ValidateID(config.ID); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	return &Member{
		config: config,
		log:    config.Logger,
		leases: kv.Open[Lease](js, kv.LeasesBucket),
		beats:  make(chan struct{}, 1),
		served: make(chan struct{}),
		lease: Lease{
			SchemaVersion: volume.SchemaVersion,
			Worker:        config.ID,
			Instance:      rand.Text(),
			JoinedAt:      time.Now().UTC().Round(0),
		},
		view:    map[string]Lease{},
		claims:  map[int]*Claim{},
		busy:    map[volume.Key]int{},
		changed: make(chan struct{}),
	}, nil
}

// Instance names this run of the worker; no other run of any worker has the same.
func (m *Member) Instance() string { return m.lease.Instance }

// Served is closed once every partition that is assigned to this worker is being served,
// for the first time.
func (m *Member) Served() <-chan struct{} { return m.served }

// Leases returns the leases of all live workers as this one sees them, by worker.
func (m *Member) Leases() map[string]Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.view)
}

// Drain gives up all partitions and takes none any more. It may be repeated.
func (m *Member) Drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lease.Draining = true
	m.update()
	m.beat()
}

// Claim is a partition that this worker may take commands from.
type Claim struct {
	member    *Member
	partition int
	lost      chan struct{}
	isLost    bool // guarded by member.mu
	serving   bool // guarded by member.mu
}

// Serves returns the partitions that this worker takes commands from now, in their order,
// and a channel that is closed at the next change, of them or of anything else.
func (m *Member) Serves() (partitions []int, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for partition, claim := range m.claims {
		if claim.serving && !claim.isLost {
			partitions = append(partitions, partition)
		}
	}
	slices.Sort(partitions)
	return partitions, m.changed
}

func (c *Claim) lose() {
	if !c.isLost {
		c.isLost = true
		close(c.lost)
	}
}

// Lost is closed when the partition is to be given up: take nothing more from it, and
// [Claim.Release] it.
func (c *Claim) Lost() <-chan struct{} { return c.lost }

// Serving says that commands flow from the partition.
func (c *Claim) Serving() {
	c.member.mu.Lock()
	defer c.member.mu.Unlock()
	c.serving = true
	c.member.checkServed()
	c.member.signal()
}

// Release gives the partition up: nothing more is taken from it. What the worker is still
// in the middle of is told before, by [Member.Occupy].
func (c *Claim) Release() {
	m := c.member
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claims[c.partition] != c {
		return
	}
	delete(m.claims, c.partition)
	m.publish()
}

// Occupy says that this worker is in the middle of something with the volumes, whatever
// becomes of their partitions. [Member.Idle] is owed for each.
func (m *Member) Occupy(keys ...volume.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		m.busy[key]++
	}
	m.publish()
}

// Idle says that this worker is done with a volume that it was occupied with.
func (m *Member) Idle(key volume.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[key]--; m.busy[key] <= 0 {
		delete(m.busy, key)
	}
	m.publish()
}

// Acquire waits until the partition is assigned to this worker and no other live one
// holds it, and claims it. If the holder does not give it up in time it is claimed all
// the same. It returns the error of ctx if that ends first.
func (m *Member) Acquire(ctx context.Context, partition int) (*Claim, error) {
	patience := time.NewTimer(forever) // runs while another holds what is assigned to this worker
	defer patience.Stop()
	waiting, overdue := false, false
	for {
		claim, held, changed := m.tryAcquire(partition, overdue)
		switch {
		case claim != nil:
			return claim, nil
		case held && !waiting:
			patience.Reset(m.config.Handover)
		case !held:
			patience.Reset(forever)
			overdue = false
		}
		waiting = held
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-patience.C:
			overdue = true
			m.log.Warn().Int("partition", partition).Dur("after", m.config.Handover).Msg("partition taken from a live holder")
		}
	}
}

// tryAcquire claims the partition if it may be had. Else it tells whether it is only
// held by another, and returns a channel that is closed at the next change.
func (m *Member) tryAcquire(partition int, overdue bool) (claim *Claim, held bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.assigned(partition) {
		return nil, false, m.changed
	}
	if holder := m.holder(partition); holder != "" && !overdue {
		return nil, true, m.changed
	}
	claim = &Claim{member: m, partition: partition, lost: make(chan struct{})}
	m.claims[partition] = claim
	m.publish()
	return claim, false, nil
}

func (m *Member) assigned(partition int) bool {
	return m.current && !m.lease.Draining && m.owners[partition] == m.config.ID
}

// holder returns another worker whose lease says that it holds the partition.
func (m *Member) holder(partition int) string {
	for id, lease := range m.view {
		if id != m.config.ID && lease.holds(partition) {
			return id
		}
	}
	return ""
}

// AwaitIdle waits until no other live worker, and no earlier claim of this one, is
// occupied with the volume. It returns the error of ctx if that ends first.
func (m *Member) AwaitIdle(ctx context.Context, key volume.Key) error {
	for {
		m.mu.Lock()
		busy, changed := m.isBusy(key), m.changed
		m.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (m *Member) isBusy(key volume.Key) bool {
	if m.busy[key] > 0 {
		return true
	}
	for id, lease := range m.view {
		if id != m.config.ID && slices.Contains(lease.Busy, key) {
			return true
		}
	}
	return false
}

// publish tells everybody that what the worker holds has changed.
func (m *Member) publish() {
	m.signal()
	m.beat()
}

// compose returns the lease with what the worker holds now.
func (m *Member) compose() Lease {
	lease := m.lease
	lease.Partitions = slices.AppendSeq(make([]int, 0, len(m.claims)), maps.Keys(m.claims))
	slices.Sort(lease.Partitions)
	lease.Busy = slices.Collect(maps.Keys(m.busy))
	return lease
}

func (m *Member) signal() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Member) beat() {
	select {
	case m.beats <- struct{}{}:
	default: // one is due already, and will carry this too
	}
}

// update computes the assignment from the view, and tells claims that are lost by it.
func (m *Member) update() {
	members := make([]string, 0, len(m.view))
	for id, lease := range m.view {
		if !lease.Draining {
			members = append(members, id)
		}
	}
	m.owners = Assign(members, m.config.Partitions)
	for partition, claim := range m.claims {
		if !m.assigned(partition) {
			claim.lose()
		}
	}
	m.checkServed()
	m.signal()
}

// checkServed closes served if all that is assigned to this worker is being served.
func (m *Member) checkServed() {
	select {
	case <-m.served:
		return
	default:
	}
	if !m.current || m.lease.Draining {
		return
	}
	for partition, owner := range m.owners {
		if owner != m.config.ID {
			continue
		}
		if claim := m.claims[partition]; claim == nil || !claim.serving {
			return
		}
	}
	close(m.served)
}
