package ownership

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// ErrTaken says that another live worker has the wanted name. Its class is
// [volume.AlreadyExists].
var ErrTaken = fmt.Errorf("another live worker has this id: %w", volume.AlreadyExists)

const (
	// retryPause is the wait before the server is asked again after an error.
	retryPause = 100 * time.Millisecond
	// takenFactor times the TTL is how long a former lease may need to expire.
	takenFactor = 3
)

// Run joins, renews the lease and follows the others' until ctx ends; then it leaves.
// It returns nil after that, and [ErrTaken] if the lease belongs to another process,
// at the start or later. While the server cannot be reached it goes on trying.
func (m *Member) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.keepLease(ctx) })
	group.Go(func() error { m.follow(ctx); return nil })
	return group.Wait()
}

// heart keeps one lease; only its own goroutine uses it.
type heart struct {
	member   *Member
	revision uint64 // of the lease as this worker stored it; 0 while it has none
	joined   bool   // once at least
}

func (m *Member) keepLease(ctx context.Context) error {
	h := &heart{member: m}
	refused := time.Now().Add(takenFactor * m.config.TTL)
	for {
		err := h.beat(ctx)
		pause := m.config.Heartbeat
		switch {
		case ctx.Err() != nil:
			return h.leave(ctx)
		case errors.Is(err, ErrTaken) && (h.joined || time.Now().After(refused)):
			return fmt.Errorf("worker %s: %w", m.config.ID, err)
		case err != nil:
			m.failures.Add(1)
			m.log.Debug().Err(err).Msg("renew lease")
			pause = retryPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.beats:
		}
		timer.Stop()
	}
}

// beat stores the lease as it is now. After an error the next beat looks first what
// became of it.
func (h *heart) beat(ctx context.Context) error {
	m := h.member
	began := time.Now()
	m.mu.Lock()
	lease := m.compose()
	m.tried = began
	m.mu.Unlock()
	// The end of ctx does not cut it short: the lease to be taken away must be known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.config.TTL/2)
	defer cancel()
	// gofail: var beforeLease string
	// killAt(beforeLease, "takeover")

	revision, err := h.store(ctx, lease)
	// gofail: var afterLease string
	// killAt(afterLease, "takeover")

	switch {
	case err == nil:
		h.revision, h.joined = revision, true
		m.renewed(revision, began)
		return nil
	case errors.Is(err, kv.ErrConflict), errors.Is(err, kv.ErrExists):
		return h.look(ctx)
	case errors.Is(err, kv.ErrNotFound): // the next beat joins again
		h.revision = 0
		m.mu.Lock()
		m.ranOut()
		m.mu.Unlock()
	}
	return err
}

// renewed takes note of a renewal that was begun at the given time.
func (m *Member) renewed(revision uint64, began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision < m.stored { // of a bucket that was made anew
		m.shown, m.anew = 0, true
	}
	m.stored, m.began = revision, began
	m.refresh()
}

// ranOut takes note that this worker's lease ran out although it lives. For a while that
// of another proves nothing either. What this worker holds another may have held since:
// it is to be taken over anew.
func (m *Member) ranOut() {
	m.doubt = time.Now().Add(m.config.TTL)
	for _, claim := range m.claims {
		claim.lose()
	}
}

func (h *heart) store(ctx context.Context, lease Lease) (uint64, error) {
	key, ttl := LeaseKey(lease.Worker), kv.TTL(h.member.config.TTL)
	if h.revision == 0 {
		return h.member.leases.Create(ctx, key, lease, ttl)
	}
	return h.member.leases.CompareAndSet(ctx, key, lease, h.revision, ttl)
}

// look finds out whose the stored lease is. It returns [ErrTaken] if it is another's.
func (h *heart) look(ctx context.Context) error {
	m := h.member
	entry, err := m.leases.Get(ctx, LeaseKey(m.config.ID))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		h.revision = 0
		return err
	case h.joined && kv.Unreadable(err):
		return h.overwrite(ctx) // somebody's mistake, which nobody else would mend
	case err != nil:
		return err
	case entry.Value.Instance == m.lease.Instance: // a write of ours whose answer was lost
	case !h.joined && m.config.Replace:
	default:
		return ErrTaken
	}
	h.revision = entry.Revision
	m.mu.Lock()
	m.beat()
	m.mu.Unlock()
	return nil
}

// overwrite makes the next beat replace whatever is stored.
func (h *heart) overwrite(ctx context.Context) error {
	revision, _, err := h.member.leases.Head(ctx, LeaseKey(h.member.config.ID))
	if err != nil {
		return err
	}
	h.revision = revision
	h.member.mu.Lock()
	h.member.beat()
	h.member.mu.Unlock()
	return nil
}

// leave takes the lease away, so that nobody waits for it to expire.
func (h *heart) leave(ctx context.Context) error {
	if h.revision == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.member.config.TTL)
	defer cancel()
	// gofail: var beforeLeave string
	// killAt(beforeLeave, "leave")

	if err := h.member.leases.Delete(ctx, LeaseKey(h.member.config.ID), h.revision); err != nil {
		h.member.log.Debug().Err(err).Msg("leave") // it expires
	}
	// gofail: var afterLeave string
	// killAt(afterLeave, "leave")

	return nil
}
