//go:build ceph

package ceph

import (
	"context"
	"slices"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// What changes an image needs librbd's lock. librbd asks the client that has it; if that has
// no watch any more, it is dead or cut off, and librbd puts it on the blocklist, for an hour
// (mon_osd_blocklist_default_expire), and breaks its lock. The client then is in no list, so
// that no eviction finds it, and its entry cannot be prolonged: the first counts. So who is
// dead is shut out here before, for as long as an eviction does that, and its lock broken.
//
// One that dies while librbd waits for it is librbd's to shut out. The option
// rbd_blocklist_expire_seconds says for how long. Of librbd 16.2.15 the monitors refuse the
// command that it makes of that, so that it leaves the lock and returns EROFS: the call is
// Busy then, and finds the client dead when it is repeated.

// edit opens the image with the id for writing.
func (c *conn) edit(id string, f func(*rbd.Image) error) error {
	if _, err := c.shutOutDead(id); err != nil {
		return err
	}
	return c.alter(id, func(image *rbd.Image) error {
		err := f(image)
		if is(err, syscall.EROFS) {
			return backends.Errorf(volume.Busy, "client with librbd's lock does not answer: %w", err)
		}
		return err
	})
}

// shutOutDead shuts out who has librbd's lock and no watch, and reports whether anybody had.
func (c *conn) shutOutDead(id string) (bool, error) {
	dead, err := c.dead(id)
	if err != nil {
		return false, err
	}
	return len(dead) > 0, c.shutOut(context.Background(), id, addresses(dead)...)
}

// dead returns the owners of librbd's lock without a watch. The watch of one that is on the
// blocklist, as a killed worker is after a fence, is over. Who closes the image gives the
// lock back before the watch: it had the lock when this began and has it no more at the end.
func (c *conn) dead(id string) ([]owner, error) {
	before, err := c.owners(id)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	var watchers []string
	err = c.look(id, func(image *rbd.Image) (err error) {
		watchers, err = c.watchers(image)
		return err
	})
	if err != nil {
		return nil, err
	}
	if watchers, err = c.unfenced(watchers); err != nil {
		return nil, err
	}
	after, err := c.owners(id)
	return slices.DeleteFunc(after, func(o owner) bool {
		return slices.Contains(watchers, o.address) || !slices.Contains(before, o)
	}), err
}

// shutOut puts clients on the blocklist and then breaks their locks, those of librbd on the
// image: the next one who wants the lock need not find out that they are dead.
func (c *conn) shutOut(ctx context.Context, id string, clients ...string) error {
	if len(clients) == 0 {
		return nil
	}
	if err := blocklist(ctx, c.cluster, c.shutOutFor, clients...); err != nil {
		return err
	}
	owners, err := c.owners(id)
	if err != nil {
		return err
	}
	for _, o := range owners {
		if !slices.Contains(clients, o.address) {
			continue
		}
		// rados_break_lock; that it is broken already is no error of BreakLock.
		if _, err := c.io.BreakLock(headerObject+id, exclusiveLockName, o.client, o.cookie); err != nil {
			return err
		}
	}
	return nil
}
