//go:build ceph

package ceph

import (
	"context"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var errUnwritten = backends.Errorf(volume.Unsupported, "not written yet")

// Create makes an image; see [backends.Driver].
func (d *driver) Create(context.Context, backends.Ref, volume.Bytes) error { return errUnwritten }

// Delete removes an image; see [backends.Driver].
func (d *driver) Delete(context.Context, backends.Ref) error { return errUnwritten }

// Get reads an image; see [backends.Driver].
func (d *driver) Get(context.Context, volume.Key) (backends.Object, error) {
	return backends.Object{}, errUnwritten
}

// Attach reserves an image; see [backends.Driver].
func (d *driver) Attach(context.Context, backends.Ref, volume.Node, volume.Mode) (volume.Attachment, error) {
	return volume.Attachment{}, errUnwritten
}

// Detach ends a reservation; see [backends.Driver].
func (d *driver) Detach(context.Context, backends.Ref, volume.Node) error { return errUnwritten }

// Health tells of the cluster; see [backends.Driver].
func (d *driver) Health(context.Context) (backends.Health, error) {
	return backends.Health{}, errUnwritten
}
