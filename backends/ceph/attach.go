//go:build ceph

package ceph

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Attach reserves the image by a lock whose cookie is the node, and returns how the node
// reaches it; see [backends.Driver]. For a writer it is Busy while somebody has the image
// open who does not hold it, naming the clients.
func (d *driver) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	var made volume.Attachment
	err := d.change(ctx, ref, func(c *conn) error {
		if err := d.attach(ctx, c, ref, node, mode); err != nil {
			return err
		}
		made = d.attachment(c, ref.Key, node, mode)
		return nil
	})
	return made, err
}

func (d *driver) attach(ctx context.Context, c *conn, ref backends.Ref, node volume.Node, mode volume.Mode) error {
	h, err := d.own(c, ref)
	if err != nil {
		return err
	}
	if done, err := h.holders.admit(node, mode); done || err != nil {
		return err
	}
	if mode == volume.ReadWrite {
		// A program of an evicted node that was started anew would write beside this one.
		if err := d.confirmClosed(ctx, c, h.id); err != nil {
			return err
		}
	}
	switch err := c.reserve(h.id, node, mode); {
	case is(err, syscall.EEXIST): // by this connection
		return nil
	case !is(err, syscall.EBUSY):
		return err
	}
	// Another process was quicker. It may have wanted the same.
	if h, err = d.own(c, ref); err != nil {
		return err
	}
	if done, err := h.holders.admit(node, mode); done || err != nil {
		return err
	}
	return backends.Errorf(volume.Busy, "reservation of image %s changes hands", imageName(ref.Key))
}

// admit reports whether the node holds the image in this mode already, and refuses it if
// others keep it from doing so.
func (h holders) admit(node volume.Node, mode volume.Mode) (done bool, err error) {
	return h.has(node), backends.CheckAttach(h.attachments(), node, mode)
}

// Detach ends the reservation of the node; see [backends.Driver]. It returns Busy with the
// addresses of the clients while the image is open for writing. A client that died or was
// cut off while it had librbd's lock is put on the blocklist first: its watch has ended,
// which takes 30 s, but what it sent may be under way. Who reads only cannot be seen.
func (d *driver) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	return d.change(ctx, ref, func(c *conn) error {
		h, err := d.own(c, ref)
		if err != nil || !h.holders.has(node) {
			return cmp.Or(err, backends.CheckDetach(h.holders.attachments(), node))
		}
		if h.holders.exclusive {
			if err := d.confirmClosed(ctx, c, h.id); err != nil {
				return err
			}
		}
		return c.free(h, node)
	})
}

// confirmClosed returns Busy while a client has the image open for writing.
func (d *driver) confirmClosed(ctx context.Context, c *conn, id string) error {
	var watchers []string
	err := c.look(id, func(image *rbd.Image) (err error) {
		watchers, err = c.watchers(image)
		return err
	})
	if err != nil {
		return err
	}
	if watchers, err = c.unfenced(watchers); err != nil {
		return err
	}
	if len(watchers) > 0 {
		return backends.Errorf(volume.Busy, "opened by clients %q", watchers)
	}
	owners, err := c.owners(id)
	if err != nil || len(owners) == 0 {
		return err
	}
	return c.shutOut(ctx, id, addresses(owners)...)
}

// free breaks the locks of the node; readers that raced for one node may have two.
func (c *conn) free(h header, node volume.Node) error {
	for _, locker := range h.holders.lockers {
		if locker.node != node {
			continue
		}
		if err := c.unreserve(h.id, locker); err != nil && !absent(err) {
			return err
		}
	}
	return nil
}

// attachment tells a node how to reach the image. It depends on nothing but its arguments
// and the configuration, so that each call tells the same until that changes. The key itself is in none of
// it: the node has the keyring.
func (d *driver) attachment(c *conn, key volume.Key, node volume.Node, mode volume.Mode) volume.Attachment {
	return volume.Attachment{Node: node, Mode: mode, Connection: d.connection(c, imageName(key), mode)}
}

// joinSpec is how the rbd program names an image.
func joinSpec(pool, namespace, image string) string {
	return strings.Join(slices.DeleteFunc([]string{pool, namespace, image}, func(s string) bool { return s == "" }), "/")
}

func (d *driver) connection(c *conn, image string, mode volume.Mode) map[string]string {
	spec := joinSpec(d.cfg.Pool, d.cfg.Namespace, image)
	// exclusive keeps the kernel from handing librbd's lock to whoever asks for it.
	mapping, nbd := []string{"rbd", "map", "--options", "exclusive"}, []string{"qemu-nbd", "--format", "raw"}
	if mode == volume.ReadOnly {
		mapping, nbd = []string{"rbd", "map", "--read-only"}, append(nbd, "--read-only")
	}
	mapping = append(mapping, "--conf", d.cfg.Conf, "--id", d.cfg.User)
	drive := "rbd:" + spec + ":id=" + d.cfg.User + ":conf=" + d.cfg.Conf
	info := map[string]string{
		"driver": DriverName, "pool": d.cfg.Pool, "image": image, "spec": spec,
		"user": d.cfg.User, "conf": d.cfg.Conf, "monitors": c.monitors,
	}
	if d.cfg.Namespace != "" {
		info["namespace"] = d.cfg.Namespace
	}
	if d.cfg.Keyring != "" {
		info["keyring"] = d.cfg.Keyring
		mapping = append(mapping, "--keyring", d.cfg.Keyring)
		drive += ":keyring=" + d.cfg.Keyring
	}
	info["qemu"] = drive
	info["qemu_nbd"] = strings.Join(append(nbd, drive), " ")
	info["rbd_map"] = strings.Join(append(mapping, spec), " ")
	return info
}
