package drift_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// measured is the null driver, which measures the heap while it is looked at.
type measured struct {
	*null.Driver
	looks, every int
	heap         uint64 // the greatest seen
}

func (m *measured) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if m.looks++; m.looks%m.every == 0 {
		m.heap = max(m.heap, heap())
	}
	return m.Driver.Get(ctx, key)
}

func (m *measured) List(ctx context.Context, yield func(backends.Object) bool) error {
	listed := 0
	return m.Driver.List(ctx, func(o backends.Object) bool {
		if listed++; listed%m.every == 0 {
			m.heap = max(m.heap, heap())
		}
		return yield(o)
	})
}

// profileRate is how many bytes are allocated between two that are profiled.
const profileRate = 1 << 10

// heap returns how many bytes are in use that sweeps have allocated, directly or below them:
// the server, whose caches grow with the records, is in this process too.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // the profile is as of the one before the last
	records := make([]runtime.MemProfileRecord, 1<<15)
	count, ok := runtime.MemProfile(records, false)
	if !ok {
		panic(fmt.Sprintf("%d places of allocation", count))
	}
	sum := uint64(0)
	for _, record := range records[:count] {
		frames := runtime.CallersFrames(record.Stack())
		for more := true; more; {
			var frame runtime.Frame
			if frame, more = frames.Next(); strings.HasPrefix(frame.Function, "github.com/jetvol/jetvol/drift.(*sweep)") {
				sum += uint64(max(0, record.InUseBytes()))
				break
			}
		}
	}
	return sum
}

// volumesVariable says how many volumes the test sweeps; it takes long for many.
const volumesVariable = "JETVOL_SWEEP_VOLUMES"

// TestSweep_ManyVolumes_MemoryOfAPage: what a sweep holds does not grow with the volumes.
func TestSweep_ManyVolumes_MemoryOfAPage(t *testing.T) {
	before := runtime.MemProfileRate
	runtime.MemProfileRate = profileRate
	defer func() { runtime.MemProfileRate = before }()
	volumes := 4 * kv.MaxPageSize
	if text := os.Getenv(volumesVariable); text != "" {
		_, err := fmt.Sscan(text, &volumes)
		if err != nil || volumes < 2*kv.MaxPageSize {
			t.Fatalf("%s %q: want a number of volumes, two pages at least", volumesVariable, text)
		}
	}
	one, many := sweepMemory(t, kv.MaxPageSize), sweepMemory(t, volumes)
	t.Logf("a sweep holds %d KiB of %d volumes and %d KiB of %d", one>>10, kv.MaxPageSize, many>>10, volumes)
	allowed := 2*one + 1<<18
	if many > allowed {
		t.Errorf("got %d bytes for %d volumes, want at most %d", many, volumes, allowed)
	}
}

// sweepMemory returns how much the heap grows in a sweep of that many volumes, all of them
// as they should be.
func sweepMemory(t *testing.T, volumes int) int64 {
	t.Helper()
	s := prepare(t)
	driver := &measured{Driver: null.New(null.Options{}), every: volumes / 5}
	for i := range volumes {
		k := key(fmt.Sprintf("v%05d", i))
		id := volume.NewID(k, 1)
		s.must(driver.Create(s.ctx, backends.Ref{Key: k, ID: id}, volume.GiB))
		s.put(volume.Record{
			SchemaVersion: volume.SchemaVersion, State: volume.StateAvailable, Generation: 2, Key: k, ID: id,
			Spec:  volume.Spec{Size: volume.GiB, Backend: "null", Labels: volume.Labels{"team": "data", "tier": "gold", "note": strings.Repeat("x", 200)}},
			Owner: volume.Owner{Worker: "worker-1", Instance: "A", Epoch: 1, Since: time.Now()},
		})
	}
	<-s.js.PublishAsyncComplete()
	backend := backends.New("null", driver, backends.Options{})
	defer func() { s.must(backend.Close()) }()
	sweeper := s.sweeper(func(o *drift.Options) { o.Backends = map[string]*backends.Backend{"null": backend} })
	report, err := sweeper.Sweep(s.ctx, drift.All())
	s.must(err)
	if report.Volumes != volumes || report.Objects != volumes || report.Skipped+report.Commands+len(report.Kinds) > 0 || driver.heap == 0 {
		t.Fatalf("got %+v, want %d volumes and nothing found", report, volumes)
	}
	return int64(driver.heap)
}

// put stores a record as a worker would, without waiting.
func (s *system) put(record volume.Record) {
	s.t.Helper()
	data, err := json.Marshal(record)
	s.must(err)
	_, err = s.js.PublishAsync("$KV."+kv.VolumesBucket+"."+record.Key.String(), data)
	s.must(err)
}
