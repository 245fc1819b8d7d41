//go:build ceph && !ceph_preview

package ceph

import (
	"context"

	"github.com/ceph/go-ceph/rbd"
)

// flatten calls rbd_flatten, which tells no progress and cannot be ended. The tag
// ceph_preview makes the call of go-ceph known that can.
func flatten(ctx context.Context) func(*rbd.Image) error {
	return func(image *rbd.Image) error { return beating(ctx, image.Flatten) }
}
