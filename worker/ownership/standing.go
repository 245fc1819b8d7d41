package ownership

import "time"

// Standing is how a member stands at one moment.
type Standing struct {
	// Joined says that the others know this worker: it has stored its lease and seen the
	// leases of all.
	Joined bool
	// LeaseAge is the time since the renewal that was stored last was begun. A lease that is
	// older than its TTL has run out, or is about to.
	LeaseAge time.Duration
	Draining bool
	Assigned int // partitions that are this worker's by the leases
	Serving  int // those of them from which it takes commands
}

// Standing returns how the member stands now.
func (m *Member) Standing() Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := Standing{Joined: m.current, Draining: m.lease.Draining}
	if !m.began.IsZero() {
		now.LeaseAge = time.Since(m.began)
	}
	for partition := range m.owners {
		if !m.assigned(partition) {
			continue
		}
		now.Assigned++
		if claim := m.claims[partition]; claim != nil && claim.serving {
			now.Serving++
		}
	}
	return now
}

// TTL returns how long the worker counts as alive after a renewal.
func (m *Member) TTL() time.Duration { return m.config.TTL }

// Failures returns how many renewals of the lease have failed.
func (m *Member) Failures() uint64 { return m.failures.Load() }

// Tried returns when the member last began to renew its lease, whatever became of that; the
// zero time before the first. Each attempt is bounded, so a time long past says that the
// goroutine stands still. It does not wait: free is false if the member's state is in use
// just now, and the time is to be asked for again.
func (m *Member) Tried() (began time.Time, free bool) {
	if !m.mu.TryLock() {
		return time.Time{}, false
	}
	defer m.mu.Unlock()
	return m.tried, true
}
