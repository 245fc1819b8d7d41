//go:build ceph

package ceph

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Evict puts every client that has the image open for writing, or has librbd's lock, on
// the cluster's blocklist, waits until no OSD takes anything more from them, and then
// breaks librbd's lock and the node's reservation; see [backends.Evictor]. A client is one connection of one
// process, and a process on the node that has other images open over the same connection
// loses those too.
//
// While another node holds the image for writing, the clients are that node's, and nothing
// is fenced. While others read it, whoever merely has it open may be one of them, as QEMU
// opens for writing what it only reads: only who has librbd's lock, which no reader takes,
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
		if done.Clients, err = fenceClients(ctx, c, h.id, h.holders.others(node)); err != nil {
			return err
		}
		return c.free(h, node)
	})
	return done, err
}

// fenceClients fences until nobody is left who is not fenced: a client may have come while
// others were. It returns those that were fenced, also beside an error. Writers are those
// with librbd's lock.
func fenceClients(ctx context.Context, c *conn, id string, writersOnly bool) (fenced []string, err error) {
	for {
		clients, err := c.clients(id, writersOnly)
		if err != nil {
			return fenced, err
		}
		clients = slices.DeleteFunc(clients, func(client string) bool { return slices.Contains(fenced, client) })
		if len(clients) == 0 {
			return fenced, nil
		}
		if err := ctx.Err(); err != nil {
			return fenced, err
		}
		for _, client := range clients {
			if err := c.shutOut(ctx, id, client); err != nil {
				return fenced, err
			}
			fenced = append(fenced, client)
		}
	}
}

// clients returns the addresses of those that may write to the image, this connection
// excepted.
func (c *conn) clients(id string, writersOnly bool) ([]string, error) {
	owners, err := c.owners(id)
	clients := addresses(owners)
	if err != nil || writersOnly {
		return clients, err
	}
	err = c.look(id, func(image *rbd.Image) error {
		watchers, err := c.watchers(image)
		clients = append(clients, watchers...)
		return err
	})
	slices.Sort(clients)
	return slices.Compact(clients), err
}

// unfenced leaves those of the clients that are not on the blocklist: an OSD ends the
// watches of the others only a moment after it has begun to refuse what they send.
func (c *conn) unfenced(clients []string) ([]string, error) {
	if len(clients) == 0 {
		return nil, nil
	}
	const list = `{"prefix":"osd blocklist ls","format":"json"}`
	reply, _, err := c.cluster.MonCommand([]byte(list)) // rados_mon_command
	if err != nil {
		return nil, misconfigured(err, "list the blocklist")
	}
	var fenced []struct {
		Address string `json:"addr"`
	}
	// A second array follows, of ranges of addresses, with which nobody is fenced here.
	if err := json.NewDecoder(bytes.NewReader(reply)).Decode(&fenced); err != nil {
		return nil, backends.Errorf(volume.Internal, "list the blocklist: %w", err)
	}
	shutOut := make(map[string]bool, len(fenced))
	for _, one := range fenced {
		shutOut[bareAddr(one.Address)] = true
	}
	return slices.DeleteFunc(clients, func(client string) bool { return shutOut[client] }), nil
}
