//go:build ceph

package ceph

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// BenchmarkCreate tells how fast the driver creates, marks included, against a loop that
// calls rbd_create4 and nothing else, over a connection with the same settings and in the
// same run: both take turns of some creates, so that what else the machine does meets both.
// The ratio is bare time over driver time: 1 is no overhead.
func BenchmarkCreate(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		b.Run(fmt.Sprintf("inFlight=%d", inFlight), func(b *testing.B) { benchmarkCreate(b, inFlight) })
	}
}

// turn is how many creates of each kind follow each other, for each one in flight.
const turn = 4

func benchmarkCreate(b *testing.B, inFlight int) {
	cfg := inNamespace(b)
	d := open(b, cfg)
	features := uint64(d.features)
	bareConn, err := dial(d.cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer bareConn.shutdown()
	bare := func(_ context.Context, ref backends.Ref) error {
		return bareCreate(bareConn.io, "bare."+ref.Key.String(), features)
	}
	driver := func(ctx context.Context, ref backends.Ref) error { return d.Create(ctx, ref, small) }

	var took [2]time.Duration
	done := 0
	rounds := b.N/(turn*inFlight) + 1
	for round := range rounds {
		// Who begins changes, so that neither always comes after the other.
		for i := range 2 {
			kind := (round + i) % 2
			create := []func(context.Context, backends.Ref) error{bare, driver}[kind]
			took[kind] += inTurn(b, inFlight, round, create)
		}
		done += turn * inFlight
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "bare/driver")
	b.ReportMetric(float64(done)/took[0].Seconds(), "bare/s")
	b.ReportMetric(float64(done)/took[1].Seconds(), "driver/s")
}

// inTurn makes turn creates for each one in flight and returns how long they took.
func inTurn(b *testing.B, inFlight, round int, create func(context.Context, backends.Ref) error) time.Duration {
	b.Helper()
	var (
		running sync.WaitGroup
		next    atomic.Int64
	)
	began := time.Now()
	for range inFlight {
		running.Go(func() {
			for i := next.Add(1); i <= int64(turn*inFlight); i = next.Add(1) {
				if err := create(b.Context(), refOf(volume.Name(fmt.Sprintf("r%d-%d", round, i)))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	running.Wait()
	return time.Since(began)
}

func bareCreate(io *rados.IOContext, name string, features uint64) error {
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	if err := options.SetUint64(rbd.ImageOptionFeatures, features); err != nil {
		return err
	}
	return rbd.CreateImage(io, name, uint64(small), options)
}
