//go:build ceph

package ceph

import (
	"context"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Evict puts every client that has the image open for writing, or has librbd's lock, on
// the cluster's blocklist, waits until no OSD takes anything more from them, and then
// breaks the node's reservation; see [backends.Evictor]. A client is one connection of one
// process, and a process on the node that has other images open over the same connection
// loses those too.
//
// While another node holds the image for writing, the clients are that node's, and nothing
// is fenced. A process of jetvol that was stopped in the middle of a resize may be among
// the fenced: it connects anew.
func (d *driver) Evict(ctx context.Context, ref backends.Ref, node volume.Node) (backends.Eviction, error) {
	var done backends.Eviction
	err := d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil {
			return err
		}
		if h.holders.exclusive && !h.holders.has(node) {
			return nil
		}
		if done.Clients, err = d.fenceClients(ctx, c, h.id); err != nil {
			return err
		}
		return c.free(h, node)
	})
	return done, err
}

// fenceClients returns those that were fenced, also beside an error.
func (d *driver) fenceClients(ctx context.Context, c *conn, id string) (fenced []string, err error) {
	var clients []string
	if err := c.look(id, func(image *rbd.Image) (err error) {
		clients, err = c.watchers(image)
		return err
	}); err != nil {
		return nil, err
	}
	owners, err := c.owners(id)
	if err != nil {
		return nil, err
	}
	clients = append(clients, owners...)
	slices.Sort(clients)
	for _, client := range slices.Compact(clients) {
		if err := blocklist(ctx, c.cluster, d.cfg.Blocklist, client); err != nil {
			return fenced, err
		}
		fenced = append(fenced, client)
	}
	return fenced, nil
}
