package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const (
	maxOrphans = 1000 // counted, unless all are asked for
	maxNamed   = 5    // in the text
)

// checkOrphans counts what sweeps have found at backends and no record knows. There is no
// record that the check of the volumes could see it in.
func checkOrphans(ctx context.Context, e *examination) []Finding {
	o := orphans{at: map[string]int{}}
	for found, err := range drift.NewFindings(e.js).Unsettled(ctx, drift.Filter{Kind: volume.DriftOrphan}) {
		switch {
		case kv.Unreadable(err):
			o.findings = append(o.findings, note("orphans.unreadable", Finding{Text: err.Error()}))
			continue
		case err != nil:
			return []Finding{note("orphans.unknown", Finding{Text: "the findings of sweeps, or the records: " + why(err)})}
		}
		if o.more = o.total == maxOrphans && !e.Deep; o.more {
			break
		}
		o.add(found)
	}
	return o.result()
}

// orphans are objects without a record.
type orphans struct {
	total    int
	more     bool // than were counted
	named    []string
	at       map[string]int // how many there are, by backend
	findings []Finding
}

func (o *orphans) add(found drift.Finding) {
	o.total++
	o.at[found.Backend]++
	if len(o.named) < maxNamed {
		o.named = append(o.named, found.Key.String())
	}
}

func (o *orphans) result() []Finding {
	if o.total == 0 {
		if o.findings == nil {
			o.findings = []Finding{note("orphans.none", Finding{Text: "sweeps of workers have found no object without a record"})}
		}
		return o.findings
	}
	var where []string
	for _, backend := range slices.Sorted(maps.Keys(o.at)) {
		where = append(where, fmt.Sprintf("%d at %s", o.at[backend], backend))
	}
	found := count(o.total, "object")
	if o.more {
		found = "at least " + found
	}
	names := strings.Join(o.named, ", ")
	if o.total > len(o.named) {
		names += " and others"
	}
	return append(o.findings, note("orphans.present", Finding{
		Found: found, Wanted: "none",
		Text: fmt.Sprintf("%s at backends without a record (%s): %s", found, strings.Join(where, ", "), names),
	}))
}
