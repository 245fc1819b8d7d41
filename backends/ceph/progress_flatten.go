//go:build ceph && ceph_preview

package ceph

import (
	"context"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
)

// flatten calls rbd_flatten_with_progress. Once the context has ended, librbd gives up at
// the next object; what is copied by then stays copied, and a repeat goes on from there.
func flatten(ctx context.Context) func(*rbd.Image) error {
	return func(image *rbd.Image) error {
		err := image.FlattenWithProgress(func(done, total uint64, _ any) int {
			if ctx.Err() != nil {
				return -int(syscall.ECANCELED)
			}
			backends.ReportProgress(ctx, done, total)
			return 0
		}, nil)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
}
