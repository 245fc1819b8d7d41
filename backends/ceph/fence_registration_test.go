//go:build ceph

package ceph

import (
	"sync"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// Notices that arrive while a watch is ended are being handed over by threads of librados.
// Watcher.Delete of go-ceph 0.41.0 closes the channels that they send to: a data race, and
// a panic if the thread was not yet waiting.
func TestRegistration_ClosedWhileNoticesArrive_NoneMeetsAClosedChannel(t *testing.T) {
	t.Parallel()
	const (
		rounds    = 40
		notifiers = 4
	)
	cfg := inNamespace(t)
	withConn(t, open(t, cfg), func(watching *conn) error {
		withConn(t, open(t, cfg), func(telling *conn) error {
			stop := make(chan struct{})
			var told sync.WaitGroup
			for range notifiers {
				told.Go(func() { tell(t, telling, stop) })
			}
			defer told.Wait()
			defer close(stop)
			for range rounds {
				r, err := register(watching.cluster, watching.io, watching.addrs[0])
				if err != nil {
					return err
				}
				r.close()
			}
			return nil
		})
		return nil
	})
}

// tell sends one notice after another until stop.
func tell(t *testing.T, c *conn, stop <-chan struct{}) {
	key := volume.Key{Project: "test", Name: "a"}
	for epoch := uint64(1); ; epoch++ {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := c.fences.ask(notice{Key: key, Epoch: epoch}); err != nil {
			t.Errorf("notice: got %v, want an answer", err)
			return
		}
	}
}
