//go:build ceph

package acceptance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/cephtest"
	"github.com/jetvol/jetvol/volume"
)

// createdSize is that of all images of the benchmark.
const createdSize = 64 * volume.MiB

// perRound is how many volumes each of those in flight makes in a round.
const perRound = 8

// BenchmarkCeph_Create compares `create` over JetStream, from the publishing of the command
// to its answer, with a loop of bare go-ceph that makes images with the same features and
// nothing else. Each iteration is a round of both, in turns, so that what else the machine
// does meets both. The metrics are the throughput of both and, of the rounds, the median
// and the quartiles of the ratio: 1 means no overhead.
func BenchmarkCeph_Create(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		b.Run(fmt.Sprintf("inFlight=%d", inFlight), func(b *testing.B) { benchmarkCreate(b, inFlight) })
	}
}

func benchmarkCreate(b *testing.B, inFlight int) {
	cluster := cephtest.Start(b)
	s, _ := startCeph(b)
	client := s.client(b)
	bare := openBare(b, newPlace(b, cluster))
	kinds := []func(context.Context, string) error{
		bare.create,
		func(ctx context.Context, name string) error {
			_, err := client.Do(ctx, commands.Request{
				Key: volume.Key{Project: "bench", Name: volume.Name(name)}, Verb: volume.VerbCreate,
				Args: volume.Args{Size: createdSize}, Actor: "bench",
			})
			return err
		},
	}
	var total [2]time.Duration
	var ratios []float64
	round := 0
	for b.Loop() {
		var took [2]time.Duration
		for i := range kinds {
			kind := (round + i) % 2 // neither always comes after the other
			took[kind] = makeAll(b, inFlight, round, kinds[kind])
			total[kind] += took[kind]
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		round++
	}
	made := float64(round * inFlight * perRound)
	slices.Sort(ratios)
	at := func(part float64) float64 { return ratios[int(part*float64(len(ratios)-1)+0.5)] }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(made/total[0].Seconds(), "bare/s")
	b.ReportMetric(made/total[1].Seconds(), "jetvol/s")
	b.ReportMetric(at(0.25), "ratio-q1")
	b.ReportMetric(at(0.5), "ratio-median")
	b.ReportMetric(at(0.75), "ratio-q3")
}

// makeAll makes the volumes of a round and returns how long that took.
func makeAll(b *testing.B, inFlight, round int, create func(context.Context, string) error) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var group errgroup.Group
	began := time.Now()
	for lane := range inFlight {
		group.Go(func() error {
			for i := range perRound {
				if err := create(ctx, fmt.Sprintf("v-%d-%d-%d", round, lane, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// bareLoop is what a program without jetvol would do.
type bareLoop struct{ io *rados.IOContext }

func openBare(b *testing.B, p *place) *bareLoop {
	b.Helper()
	conn, err := rados.NewConnWithUser(p.User)
	if err != nil {
		b.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return conn.ReadConfigFile(p.Conf) },
		func() error { return conn.SetConfigOption("keyring", p.Keyring) },
		conn.Connect,
	} {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(conn.Shutdown)
	io, err := conn.OpenIOContext(p.Pool)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(io.Destroy)
	io.SetNamespace(p.Namespace)
	return &bareLoop{io: io}
}

// features are those that every image of jetvol has.
const features = rbd.FeatureLayering | rbd.FeatureExclusiveLock | rbd.FeatureObjectMap | rbd.FeatureFastDiff | rbd.FeatureDeepFlatten

func (l *bareLoop) create(_ context.Context, name string) error {
	options := rbd.NewRbdImageOptions()
	defer options.Destroy()
	if err := options.SetUint64(rbd.ImageOptionFeatures, features); err != nil {
		return err
	}
	return rbd.CreateImage(l.io, name, uint64(createdSize), options)
}
