// Package alloctest bounds how much a piece of work allocates, and benchmarks the same
// pieces. The time that work takes depends on the machine and on its other load; how often
// it allocates does not, so that is what a test can hold it to.
package alloctest

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// Margin is by how many allocations work may exceed what was measured: what another patch
// level of Go or of a library may add, and less than one more pass over a payload costs.
const Margin = 2

// runs is over how many runs allocations are averaged. Package testing rounds the average
// down, so a pool that the garbage collector empties now and then does not count.
const runs = 200

// Work is a piece of work with a bound.
type Work struct {
	// Name is the benchmark's, as benchstat reads it: `key=value`.
	Name string
	// Allocs is how often one run allocates, as measured. It may exceed it by [Margin].
	Allocs int
	// Do is one run. An error fails the test or the benchmark.
	Do func() error
}

// Benchmark runs each piece of work as a benchmark of its name.
func Benchmark(b *testing.B, works []Work) {
	for _, work := range works {
		b.Run(work.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := work.Do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Test fails for each piece of work that allocates more often than it may. It makes each
// one exceed its bound too, by one allocation, and fails if that is not found. Under the
// race detector the work is done once and not measured: see [Race].
//
// Nothing else may run meanwhile: allocations are counted of the whole process.
func Test(t *testing.T, works []Work) {
	for _, work := range works {
		t.Run(work.Name, func(t *testing.T) {
			if Race {
				if err := work.Do(); err != nil {
					t.Fatal(err)
				}
				t.Skip("not measured: the race detector empties pools at random")
			}
			got, err := work.measure(0)
			if err == nil {
				err = work.check(got)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v allocations, at most %d", got, work.limit())
			more, err := work.measure(work.limit() + 1 - int(got))
			if err != nil {
				t.Fatal(err)
			}
			if work.check(more) == nil {
				t.Errorf("got no error for %v allocations where %d are allowed", more, work.limit())
			}
		})
	}
}

func (w Work) limit() int { return w.Allocs + Margin }

// check returns an error if got is more than the work may allocate.
func (w Work) check(got float64) error {
	if got > float64(w.limit()) {
		return fmt.Errorf("%s: got %v allocations, want at most %d", w.Name, got, w.limit())
	}
	return nil
}

// planted keeps what is allocated to exceed a bound, so that the compiler cannot leave it out.
var planted atomic.Pointer[[64]byte]

// measure returns how often one run allocates on average, with extra allocations planted.
func (w Work) measure(extra int) (allocs float64, err error) {
	allocs = testing.AllocsPerRun(runs, func() {
		for range extra {
			planted.Store(new([64]byte))
		}
		if fault := w.Do(); fault != nil {
			err = fault
		}
	})
	return allocs, err
}
