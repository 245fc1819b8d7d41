package filters_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/alloctest"
	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

// benchFilters are filters of every kind, with what parsing them allocates.
var benchFilters = []struct {
	name  string
	texts []string
	parse int
}{
	{"everything", nil, 1},
	{"equal", []string{"parent==base@c2"}, 7},
	{"and", []string{"kind==active,labels.team==storage"}, 12},
	{"or", []string{"kind==view", "labels.team==storage"}, 14},
	{"quoted", []string{`labels."a.b/c"==x`}, 11},
	{"expression", []string{"name~=^a[12]$"}, 54},
	{worst, []string{`labels.long~="(?:a?){500}b"`}, 81},
	{"widest", []string{strings.TrimSuffix(strings.Repeat("kind,", filters.MaxTerms), ",")}, 81},
}

// worst is the filter whose matching allocates: package regexp makes a machine for so long an
// expression, and keeps it in a pool until the next collection.
const worst = "worst-expression"

// longest is an entry on which an expression has most to do.
var longest = &info{labels: map[string]string{"long": strings.Repeat("a", volume.MaxLabelValueLength)}}

// matches are one entry of a walk each.
func matches(t testing.TB) []alloctest.Work {
	t.Helper()
	var works []alloctest.Work
	for _, bench := range benchFilters {
		filter, entries, at := mustParse(t, bench.texts...), tree, 0
		if bench.name == worst {
			entries = []*info{longest}
		}
		works = append(works, alloctest.Work{Name: "filter=" + bench.name, Do: func() error {
			filter.Match(entries[at%len(entries)])
			at++
			return nil
		}})
	}
	return works
}

func parses(testing.TB) []alloctest.Work {
	var works []alloctest.Work
	for _, bench := range benchFilters {
		works = append(works, alloctest.Work{Name: "filter=" + bench.name, Allocs: bench.parse, Do: func() error {
			_, err := fields.Parse(bench.texts...)
			return err
		}})
	}
	return works
}

func BenchmarkMatch(b *testing.B) { alloctest.Benchmark(b, matches(b)) }
func BenchmarkParse(b *testing.B) { alloctest.Benchmark(b, parses(b)) }

// BenchmarkWalk tells the cost for each of many entries, which does not depend on how many
// there are; package snapshots has the same over a real store.
func BenchmarkWalk(b *testing.B) {
	filter := mustParse(b, "kind==active,labels.team==storage", "name~=^v")
	for _, count := range []int{1_000, 10_000, 100_000} {
		entries := make([]*info, count)
		for i := range entries {
			entry := *tree[i%len(tree)]
			entry.name += fmt.Sprint(i)
			entries[i] = &entry
		}
		b.Run(fmt.Sprintf("entries=%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, entry := range entries {
					filter.Match(entry)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/entry")
		})
	}
}

func TestAllocations_OfMatches_WithinTheirBounds(t *testing.T) {
	alloctest.Test(t, slices.DeleteFunc(matches(t), func(work alloctest.Work) bool { return work.Name == "filter="+worst }))
}

func TestAllocations_OfParses_WithinTheirBounds(t *testing.T) { alloctest.Test(t, parses(t)) }

// A walk over many entries must not allocate for each of them.
func TestMatch_WithoutExpressions_AllocatesNothing(t *testing.T) {
	for _, bench := range benchFilters {
		if strings.Contains(bench.name, "expression") {
			continue
		}
		filter := mustParse(t, bench.texts...)
		allocations := testing.AllocsPerRun(100, func() {
			for _, entry := range tree {
				filter.Match(entry)
			}
		})
		if allocations != 0 {
			t.Errorf("filter %s: got %v allocations for %d entries, want none", bench.name, allocations, len(tree))
		}
	}
}
