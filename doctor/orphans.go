package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxNamed is how many orphans a text names.
const maxNamed = 5

// checkOrphans counts what sweeps have found at backends and no record knows. There is no
// record that the check of the volumes could see it in.
func checkOrphans(ctx context.Context, e *examination) []Finding {
	var o orphans
	records := kv.NewVolumes(e.js)
	for entry, err := range drift.NewFindings(e.js).All(ctx, drift.Filter{Kind: volume.DriftOrphan}) {
		switch {
		case errors.Is(err, kv.ErrSchema), errors.Is(err, kv.ErrCorrupt):
			o.findings = append(o.findings, note("drift.unreadable", Finding{Text: err.Error()}))
			continue
		case err != nil:
			return []Finding{note("drift.unknown", Finding{Text: "the findings of sweeps: " + why(err)})}
		}
		if o.seen++; o.seen > kv.MaxPageSize && !e.Deep {
			o.more = true
			break
		}
		record, err := records.ByKey(ctx, entry.Value.Key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return []Finding{note("drift.unknown", Finding{Text: "the records: " + why(err)})}
		}
		if !entry.Value.Outdated(record.Value) {
			o.add(entry.Value)
		}
	}
	return o.result()
}

// orphans are objects without a record.
type orphans struct {
	seen     int
	more     bool // than were counted
	named    []string
	at       map[string]int // how many there are, by backend
	findings []Finding
}

func (o *orphans) add(found drift.Finding) {
	if o.at == nil {
		o.at = map[string]int{}
	}
	o.at[found.Backend]++
	if len(o.named) < maxNamed {
		o.named = append(o.named, found.Key.String())
	}
}

func (o *orphans) result() []Finding {
	total, where := 0, []string{}
	for _, backend := range slices.Sorted(maps.Keys(o.at)) {
		total += o.at[backend]
		where = append(where, fmt.Sprintf("%d at %s", o.at[backend], backend))
	}
	if total == 0 {
		if o.findings == nil {
			o.findings = []Finding{note("drift.none", Finding{Text: "sweeps of workers have found no object without a record"})}
		}
		return o.findings
	}
	found := count(total, "object")
	if o.more {
		found = "at least " + found
	}
	names := strings.Join(o.named, ", ")
	if total > len(o.named) {
		names += " and others"
	}
	return append(o.findings, note("drift.orphans", Finding{
		Found: found, Wanted: "none",
		Text: fmt.Sprintf("%s at backends without a record (%s): %s", found, strings.Join(where, ", "), names),
	}))
}
