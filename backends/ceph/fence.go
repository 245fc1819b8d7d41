//go:build ceph

package ceph

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// How a volume is fenced. RBD has no tokens, and a lock for each call would cost a fifth
// of a create, so calls pay nothing and fences pay:
//
//   - Each connection registers itself in its pool and namespace when it is made, before
//     any call uses it, in this order: it watches the object jetvol.workers, writes its
//     address there, and loads all fences from the objects jetvol.fences.<n>.
//   - A changing call compares its epoch with the fences in memory and is counted as
//     running, in one step, until librados has returned.
//   - Fence does these in this order: it stores the fence; it reads who is registered; it
//     notifies the watchers. Each raises its fence in memory and answers whether an older
//     call still runs. Who does not answer, because its process is stopped, dead or cut
//     off, is put on the blocklist: what it still sends is refused by the OSDs.
//
// So a connection that was registered when the fence was stored has answered or is shut
// out, and one that registers later loads the fence. A process that was shut out gets
// ESHUTDOWN, connects anew, loads the fences and knows.
//
// The blocklist orders only what goes over connections that know the OSD map with it. The
// fencer's does when Fence returns; others wait for that map when they meet the mark that
// an eviction leaves in jetvol.workers.

const (
	// answerTime is how long watchers have to answer, in whole seconds, because
	// rados_notify takes less for half a minute. Answers take 2 ms, 25 ms on a machine
	// that is busy, and who is late without need loses all its calls in progress.
	answerTime = 2 * time.Second

	// yieldTime is how long an answer waits for an older call to end, for "busy" makes
	// its fencer come again.
	yieldTime = answerTime / 4

	// evictedFor is how long an evicted worker stays on the blocklist and its fences
	// stay stored. It bounds how long a process may be stopped, or a virtual machine
	// saved, before it may do harm when it goes on. An entry makes the OSD map some 50
	// bytes longer.
	evictedFor = 7 * 24 * time.Hour

	// fenceRest is the least time that a fence stays stored: more than clocks differ, and
	// more than a connection takes to be replaced.
	fenceRest = time.Hour
)

var _ backends.Fencer = (*driver)(nil)

// Fence stores the epoch, tells it to every process that has the pool open, and shuts
// those out that do not answer; see [backends.Fencer]. It takes some 5 ms, and answerTime
// longer for a process that died or stopped since the last fence. It returns Busy while an
// older call runs in a process that lives.
func (d *driver) Fence(ctx context.Context, ref backends.Ref) error {
	return d.use(ctx, func(c *conn) error {
		err := c.fences.fence(ctx, ref)
		if is(err, syscall.ENOENT) {
			// Somebody has removed the registry. A new connection makes another.
			c.fences.guard.shut(err)
			return backends.Errorf(volume.Unavailable, "%w", err)
		}
		return err
	})
}

// change is use for a call that changes the volume of ref: a FencedError, and no call of
// f, if ref's epoch is fenced. What f begins must have ended when it returns.
func (d *driver) change(ctx context.Context, ref backends.Ref, f func(*conn) error) error {
	return d.use(ctx, func(c *conn) (err error) {
		pass, err := c.fences.guard.begin(ref)
		if err != nil {
			return err
		}
		began, returned := time.Now(), false
		defer func() { c.fences.guard.end(pass, !returned || d.mayGoOn(err, time.Since(began))) }()
		err = f(c)
		returned = true // f has not panicked
		return err
	})
}

// mayGoOn reports whether an OSD may still carry out what a call has asked for: librados
// forgets an operation that has timed out, but its request may wait in the socket of an
// OSD that hangs. librbd may tell another error then, but not sooner.
func (d *driver) mayGoOn(err error, took time.Duration) bool {
	return err != nil && (is(err, syscall.ETIMEDOUT) || took >= d.cfg.OpTimeout)
}

// fence makes one fence; the package's comment on fences tells why in this order.
func (r *registration) fence(ctx context.Context, ref backends.Ref) error {
	known, err := r.guard.check(ref)
	if err != nil {
		return err
	}
	if err := storeFence(r.io, ref.Key, ref.Epoch, known); err != nil {
		return err
	}
	r.guard.raise(ref.Key, ref.Epoch)
	members, err := r.members()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	answers, err := r.ask(notice{Key: ref.Key, Epoch: ref.Epoch})
	if err != nil {
		return err
	}
	if err := r.evictSilent(ctx, members, answers); err != nil {
		return err
	}
	for id, answer := range answers {
		if answer == answerBusy {
			return backends.Errorf(volume.Busy, "client.%d is in the middle of an older call", id)
		}
	}
	_, err = r.guard.check(ref) // another may have fenced a later epoch meanwhile
	return err
}

// ask notifies all watchers and returns what they answered, by the ids of their clients.
func (r *registration) ask(n notice) (map[uint64]string, error) {
	acks, _, err := r.io.NotifyWithTimeout(registryObject, n.encode(), answerTime) // rados_notify2
	if err != nil && !is(err, syscall.ETIMEDOUT) {
		return nil, err
	}
	answers := make(map[uint64]string, len(acks))
	for _, ack := range acks {
		answers[uint64(ack.NotifierID)] = string(ack.Response)
	}
	return answers, nil
}

// silent returns the members that gave no answer that can be relied on.
func silent(members []member, answers map[uint64]string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool {
		answer := answers[m.id]
		return m.Evicted != nil || answer == answerDone || answer == answerBusy
	})
}

// evictSilent evicts the members without an answer, but not those that have left the
// registry meanwhile, which they do when no call of theirs runs any more.
func (r *registration) evictSilent(ctx context.Context, members []member, answers map[uint64]string) error {
	if len(silent(members, answers)) == 0 {
		return nil
	}
	left, err := r.members()
	if err != nil {
		return err
	}
	asked := slices.DeleteFunc(left, func(m member) bool {
		return !slices.ContainsFunc(members, func(before member) bool { return before.id == m.id })
	})
	return r.evict(ctx, silent(asked, answers))
}

// errSilent is the error of a fencer that did not hear itself. It must not blame others:
// rados_notify times out, too, if the OSD with the registry hangs.
var errSilent = errors.New("own watch did not answer")

// evict shuts the given members out and marks them in the registry.
func (r *registration) evict(ctx context.Context, members []member) error {
	r.evicting.Lock() // many fences wait for the same dead process
	defer r.evicting.Unlock()
	members = slices.DeleteFunc(members, func(m member) bool { return r.seen[m.id] })
	if len(members) == 0 {
		return nil
	}
	var addresses []string
	for _, m := range members {
		if m.id == r.id {
			r.guard.shut(errSilent)
			return backends.Errorf(volume.Unavailable, "%w", errSilent)
		}
		addresses = append(addresses, m.Address)
	}
	if err := blocklist(ctx, r.cluster, evictedFor, addresses...); err != nil {
		return err
	}
	if err := markEvicted(r.io, members, time.Now()); err != nil {
		return err
	}
	for _, m := range members {
		r.seen[m.id] = true
	}
	return nil
}

// members returns who is registered and who was evicted. For one whose eviction it meets
// the first time it waits for the OSD map: the evictor had it, this connection perhaps not.
func (r *registration) members() ([]member, error) {
	members, err := readMembers(r.io)
	if err != nil {
		return nil, err
	}
	r.evicting.Lock()
	defer r.evicting.Unlock()
	fresh := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m.Evicted == nil || r.seen[m.id] })
	if len(fresh) == 0 {
		return members, nil
	}
	if err := awaitMap(r.cluster); err != nil {
		return nil, err
	}
	for _, m := range fresh {
		r.seen[m.id] = true
	}
	return members, nil
}

// forget removes what nobody needs any more: the marks of evictions that are over, and the
// fences made before the oldest process that is left began.
func (r *registration) forget(members []member, stored []storedFence, now time.Time) error {
	oldest := now
	var over []string
	for _, m := range members {
		if m.Evicted != nil && now.Sub(*m.Evicted) > evictedFor {
			over = append(over, m.entry())
			continue
		}
		if m.Since.Before(oldest) {
			oldest = m.Since
		}
	}
	return cmp.Or(removeEntries(r.io, registryObject, over), removeFences(r.io, stored, oldest.Add(-fenceRest)))
}
