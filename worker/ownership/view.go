package ownership

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/kv"
)

// follow keeps the view up to date until ctx ends.
func (m *Member) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := newViewer(m).watch(ctx); err != nil {
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
	missing map[string]time.Time // workers that are gone, it seems, and when they are given up
	seen    map[string]time.Time // when a worker's lease was renewed last

	// A watch that does not show this worker's own renewals shows nothing: the server has
	// lost it in a restart, say, which the client would notice only after 20 s.
	deaf      time.Time // since when renewals are not shown; zero while they are
	deafSince uint64    // the first of them
	hearing   time.Time // since when they are shown
}

func newViewer(m *Member) *viewer {
	return &viewer{member: m, fresh: map[string]Lease{}, missing: map[string]time.Time{}, seen: map[string]time.Time{}}
}

// errDeaf ends a watch that shows nothing any more.
var errDeaf = errors.New("own renewals are not shown")

// silentLeases times the TTL is how long a lease may stay without renewal when the
// server does not take it away.
const silentLeases = 3

// listen returns errDeaf if a renewal was not shown for the time of a whole lease. While
// renewals are shown it gives up workers whose leases are there and are not renewed.
func (v *viewer) listen() error {
	m := v.member
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.anew:
		m.anew = false
		return errDeaf
	case m.shown >= m.stored:
		if !v.deaf.IsZero() || v.hearing.IsZero() {
			v.hearing = time.Now()
		}
		v.deaf = time.Time{}
		v.giveUpSilent()
	case v.deaf.IsZero() || m.shown >= v.deafSince:
		v.deaf, v.deafSince = time.Now(), m.stored
	case time.Since(v.deaf) > m.config.TTL:
		return errDeaf
	}
	return nil
}

func (v *viewer) giveUpSilent() {
	m := v.member
	limit := silentLeases * m.config.TTL
	for id := range m.view {
		if _, missed := v.missing[id]; missed || id == m.config.ID || time.Since(v.hearing) < limit || time.Since(v.seen[id]) < limit {
			continue
		}
		m.log.Warn().Str("member", id).Dur("silent", limit).Msg("lease is there and is not renewed")
		v.missing[id] = time.Now()
	}
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
			if err := v.listen(); err != nil {
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
		v.seen[id] = time.Now()
	case change.Kind == kv.Put:
		delete(v.missing, id)
		v.seen[id] = time.Now()
		m.see(id, change.Value)
	case !v.caught:
		delete(v.fresh, change.Key[len(keyPrefix):])
	default:
		v.gone(change.Key[len(keyPrefix):])
	}
	if change.Key == LeaseKey(m.config.ID) {
		m.shown = max(m.shown, change.Revision)
	}
	m.refresh()
}

// refresh computes the assignment, if the view is complete.
//
// When the watch has caught up it need not have shown everybody: a lease that was renewed
// while the watch began is shown only in its later form. That comes before any renewal of
// this worker that was begun after that.
func (m *Member) refresh() {
	own := m.view[m.config.ID] // of a former run perhaps, which has to expire first
	complete := !m.caughtAt.IsZero() && m.began.After(m.caughtAt) && m.shown >= m.stored
	if m.current = m.current || complete && own.Instance == m.lease.Instance; m.current {
		m.update()
	}
}

// caughtUp takes what is there as the view. Who was known before and is not there has the
// time of a lease to be shown.
func (v *viewer) caughtUp() {
	m := v.member
	v.caught = true
	before := m.view
	m.view = v.fresh
	for id, lease := range before {
		if _, here := v.fresh[id]; !here {
			m.view[id] = lease
			v.missing[id] = time.Now().Add(m.config.TTL)
		}
	}
	delete(v.missing, m.config.ID)
	m.caughtAt = time.Now()
	m.beat()
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
