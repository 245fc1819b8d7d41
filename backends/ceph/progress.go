//go:build ceph

package ceph

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/backends"
)

// beat is how often a call that tells no progress says that it is still running.
const beat = time.Second

// beating runs a call of librbd that copies without telling how far it is. That it runs is
// told instead: each of its operations is bounded by the timeouts, so it cannot hang.
func beating(ctx context.Context, call func() error) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				backends.ReportProgress(ctx, 0, 0)
			case <-done:
				return
			}
		}
	}()
	return call()
}
