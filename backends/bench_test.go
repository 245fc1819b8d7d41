package backends_test

import (
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/volume"
)

// callWorks are what a Backend does about a call whose driver returns at once.
func callWorks(t testing.TB) []alloctest.Work {
	backend := backends.New("null", null.New(null.Options{}), backends.Options{})
	t.Cleanup(func() { _ = backend.Close() })
	key := volume.Key{Project: "default", Name: "db-01"}
	ref := backends.Ref{Key: key, ID: volume.NewID(key, 1)}
	return []alloctest.Work{{Name: "call=create", Allocs: 11, Do: func() error {
		return backend.Create(t.Context(), ref, volume.GiB)
	}}}
}

func BenchmarkCall(b *testing.B) { alloctest.Benchmark(b, callWorks(b)) }

func TestAllocations_OfACall_WithinTheirBound(t *testing.T) {
	alloctest.Test(t, callWorks(t))
}
