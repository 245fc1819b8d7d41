//go:build ceph

package ceph

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// BenchmarkFence makes fences while other processes have the pool open.
//
//	go test -tags ceph,pacific -run - -bench Fence ./backends/ceph
func BenchmarkFence(b *testing.B) {
	for _, others := range []int{0, 1, 7} {
		b.Run(fmt.Sprintf("processes=%d", others+1), func(b *testing.B) {
			cfg := inNamespace(b)
			d := openConnected(b, cfg)
			for range others {
				startChild(b, cfg, "idle").ready(b)
			}
			var took []time.Duration
			epoch := uint64(0)
			for b.Loop() {
				epoch++
				began := time.Now()
				must(b, d.Fence(b.Context(), in(epoch, refOf("db-01"))))
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkFenceParallel makes 32 fences at once, each of another volume.
func BenchmarkFenceParallel(b *testing.B) {
	cfg := inNamespace(b)
	d := openConnected(b, cfg)
	startChild(b, cfg, "idle").ready(b)
	var next atomic.Uint64
	b.ResetTimer()
	b.SetParallelism(DefaultConcurrency / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := volume.Name(fmt.Sprintf("db-%d", next.Add(1)))
			if err := d.Fence(b.Context(), in(ownerEpoch, refOf(name))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fences/s")
}

// BenchmarkFenceDead makes the first and the second fence after another process has died.
func BenchmarkFenceDead(b *testing.B) {
	cfg := inNamespace(b)
	d := openConnected(b, cfg)
	var took [2][]time.Duration
	epoch := uint64(0)
	for b.Loop() {
		c := startChild(b, cfg, "idle")
		c.ready(b)
		must(b, c.Process.Kill())
		must(b, c.wait(0))
		for i := range took {
			epoch++
			began := time.Now()
			must(b, d.Fence(b.Context(), in(epoch, refOf("db-01"))))
			took[i] = append(took[i], time.Since(began))
		}
	}
	for i, name := range []string{"first-p50-ms", "second-p50-ms"} {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds())/1000, name)
	}
}
