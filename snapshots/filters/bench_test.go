package filters_test

import (
	"strings"
	"testing"

	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

var benchFilters = []struct {
	name  string
	texts []string
}{
	{"everything", nil},
	{"equal", []string{"parent==base@c2"}},
	{"and", []string{"kind==active,labels.team==storage"}},
	{"or", []string{"kind==view", "labels.team==storage"}},
	{"quoted", []string{`labels."a.b/c"==x`}},
	{"expression", []string{"name~=^a[12]$"}},
	{"worst expression", []string{`labels.long~="(?:a?){500}b"`}},
	{"widest", []string{strings.TrimSuffix(strings.Repeat("kind,", filters.MaxTerms), ",")}},
}

// longest is an entry on which an expression has most to do.
var longest = &info{labels: map[string]string{"long": strings.Repeat("a", volume.MaxLabelValueLength)}}

// BenchmarkMatch is one entry of a walk.
func BenchmarkMatch(b *testing.B) {
	for _, bench := range benchFilters {
		filter := mustParse(b, bench.texts...)
		entries := tree
		if bench.name == "worst expression" {
			entries = []*info{longest}
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				filter.Match(entries[i%len(entries)])
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range benchFilters {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := fields.Parse(bench.texts...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Package regexp keeps its machines in a pool, which the race detector empties at random.
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
