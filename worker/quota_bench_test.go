package worker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// BenchmarkQuota_Creates measures what a quota costs: creates a second in one project that
// has one, as a ratio to the same without, at 64 in flight. Each round has both.
func BenchmarkQuota_Creates(b *testing.B) {
	const inFlight, each = 64, 1024
	backend := backends.New("null", null.New(null.Options{}), backends.Options{Concurrency: inFlight})
	b.Cleanup(func() { _ = backend.Close() })
	s := prepare(b, func(c *worker.Config) {
		c.Backends, c.DefaultBackend, c.Concurrency = map[string]*backends.Backend{"null": backend}, "null", inFlight
	})
	s.startWorker()
	client := quotas.New(s.js)
	_, err := client.Set(s.ctx, quotas.SetRequest{Project: "metered", Change: func(quotas.Limits) quotas.Limits {
		return quotas.Limits{Volumes: quotas.Limit(1 << 40)}
	}})
	s.must(err)
	round := func(n int, project volume.Project) time.Duration {
		var all sync.WaitGroup
		began := time.Now()
		for lane := range inFlight {
			all.Go(func() {
				for i := range each / inFlight {
					key := volume.Key{Project: project, Name: volume.Name(fmt.Sprintf("v-%d-%d-%d", n, lane, i))}
					reply, err := s.client.Do(s.ctx, commands.Request{Key: key, Verb: volume.VerbCreate, Args: volume.Args{Size: size}})
					if err != nil {
						b.Errorf("%+v: %v", reply, err)
					}
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	round(-1, "free") // warm
	var ratios []float64
	var free, metered time.Duration
	for n := range max(b.N, 5) {
		f, m := round(n, "free"), round(n, "metered")
		free, metered = free+f, metered+m
		ratios = append(ratios, float64(f)/float64(m))
	}
	slices.Sort(ratios)
	rounds := float64(len(ratios))
	b.ReportMetric(ratios[len(ratios)/2], "metered/free")
	b.ReportMetric(rounds*each/free.Seconds(), "free-creates/s")
	b.ReportMetric(rounds*each/metered.Seconds(), "metered-creates/s")
	b.ReportMetric(0, "ns/op")
}
