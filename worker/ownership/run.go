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
	m.mu.Lock()
	lease := m.lease
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
		m.mu.Lock()
		m.stored = revision
		m.mu.Unlock()
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

// ranOut takes note that this worker's lease ran out although it lives: for a while that
// of another proves nothing either.
func (m *Member) ranOut() { m.doubt = time.Now().Add(m.config.TTL) }

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

// follow keeps the view up to date until ctx ends.
func (m *Member) follow(ctx context.Context) {
	for ctx.Err() == nil {
		v := &viewer{member: m, fresh: map[string]Lease{}, missing: map[string]time.Time{}}
		if err := v.watch(ctx); err != nil {
			m.log.Debug().Err(err).Msg("watch leases")
		}
		timer := time.NewTimer(retryPause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// viewer is one watch of the leases.
type viewer struct {
	member  *Member
	fresh   map[string]Lease // what was there at the start, until all of it has come
	caught  bool
	missing map[string]time.Time // workers whose lease ran out, and when they are given up
	// A watch that does not show this worker's own renewals shows nothing: the server has
	// lost it in a restart, say, which the client would notice only after 20 s.
	deaf      time.Time // since when renewals are not shown; zero while they are
	deafSince uint64    // the first of them
}

var errDeaf = errors.New("own renewals are not shown")

// hears returns errDeaf if a renewal was not shown for the time of a whole lease.
func (v *viewer) hears() error {
	m := v.member
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.shown >= m.stored:
		v.deaf = time.Time{}
	case v.deaf.IsZero() || m.shown >= v.deafSince:
		v.deaf, v.deafSince = time.Now(), m.stored
	case time.Since(v.deaf) > m.config.TTL:
		return errDeaf
	}
	return nil
}

func (v *viewer) watch(ctx context.Context) error {
	m := v.member
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changes := make(chan kv.Change[Lease])
	go func() {
		defer close(changes)
		for change, err := range m.leases.Watch(ctx, keyPrefix+">") {
			if err != nil && change.Key == "" {
				stop(err)
				return
			}
			if err != nil {
				m.log.Error().Err(err).Msg("lease that cannot be read")
				continue
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	listen := time.NewTicker(m.config.Heartbeat)
	defer listen.Stop()
	for {
		timer := time.NewTimer(v.nextGone())
		select {
		case change, open := <-changes:
			if !open {
				timer.Stop()
				return context.Cause(ctx)
			}
			v.take(change)
		case <-timer.C:
			v.giveUpMissing()
		case <-listen.C:
			if err := v.hears(); err != nil {
				stop(err)
			}
		}
		timer.Stop()
	}
}

// forever is longer than anybody waits.
const forever = 24 * time.Hour

// nextGone returns how long it is until the next missing worker is given up.
func (v *viewer) nextGone() time.Duration {
	next := forever
	for _, at := range v.missing {
		next = min(next, time.Until(at))
	}
	return next
}

func (v *viewer) giveUpMissing() {
	m := v.member
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range v.missing {
		if time.Now().Before(m.doubt) {
			v.missing[id] = m.doubt
			continue
		}
		if time.Now().Before(at) {
			continue
		}
		delete(v.missing, id)
		delete(m.view, id)
		m.log.Info().Str("member", id).Msg("worker gone")
	}
	m.update()
}

func (v *viewer) take(change kv.Change[Lease]) {
	m := v.member
	m.mu.Lock()
	defer m.mu.Unlock()
	id := change.Value.Worker
	switch {
	case change.Kind == kv.CaughtUp:
		v.caughtUp()
	case change.Kind == kv.Put && LeaseKey(id) != change.Key:
		m.log.Error().Str("key", change.Key).Str("member", id).Msg("lease of another worker under this key")
		return
	case change.Kind == kv.Put && !v.caught:
		v.fresh[id] = change.Value
	case change.Kind == kv.Put:
		delete(v.missing, id)
		m.see(id, change.Value)
	case change.Kind == kv.Deleted && v.caught:
		v.gone(change.Key[len(keyPrefix):])
	}
	if change.Key == LeaseKey(m.config.ID) {
		m.shown = max(m.shown, change.Revision)
	}
	own := m.view[m.config.ID] // of a former run perhaps, which has to expire first
	m.current = m.current || v.caught && own.Instance == m.lease.Instance
	if m.current {
		m.update()
	}
}

// caughtUp takes what is there as the view. Who was known before and is not there has the
// grace of those whose lease ran out.
func (v *viewer) caughtUp() {
	v.caught = true
	before := v.member.view
	v.member.view = v.fresh
	for id, lease := range before {
		if _, here := v.fresh[id]; !here {
			v.member.view[id] = lease
			v.gone(id)
		}
	}
}

func (m *Member) see(id string, lease Lease) {
	if before, known := m.view[id]; !known || before.Instance != lease.Instance {
		m.log.Info().Str("member", id).Msg("worker joined")
	}
	m.view[id] = lease
}

// gone takes note that a lease is no longer there. A worker that has drained is given up
// at once, any other after a grace, and this worker itself never: it joins again.
func (v *viewer) gone(id string) {
	m := v.member
	lease, known := m.view[id]
	switch {
	case !known:
	case id == m.config.ID:
		m.ranOut()
		m.beat()
	case lease.Draining:
		delete(m.view, id)
		m.log.Info().Str("member", id).Msg("worker left")
	default:
		v.missing[id] = time.Now().Add(m.config.Grace)
	}
}
