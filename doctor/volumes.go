package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// maxTold is how many volumes of one kind are told one by one.
const maxTold = 20

// checkVolumes reads the records that were changed longest ago: what is stuck is not changed
// any more, so that it is among them, in the order of its age.
func checkVolumes(ctx context.Context, e *examination) []Finding {
	v := ward{e: e, told: map[string]int{}, now: e.serverTime("KV_" + kv.VolumesBucket)}
	bucket := kv.NewVolumes(e.js)
	for after, more := uint64(0), true; more; {
		page, next, err := bucket.List(ctx, kv.ListOptions{After: after, Limit: kv.MaxPageSize})
		switch {
		case kv.Unreadable(err):
			v.add("volumes.unreadable", Finding{Text: err.Error()})
		case err != nil:
			return []Finding{note("volumes.unknown", Finding{Text: "the records: " + why(err)})}
		}
		for _, entry := range page {
			v.look(entry.Value)
		}
		after, more = next, next > 0 && e.Deep
		if next > 0 && !e.Deep {
			v.add("volumes.bounded", Finding{Text: fmt.Sprintf("%d volumes were looked at, those that were changed longest ago; there are more", v.seen)})
		}
	}
	return v.result()
}

// ward collects what is wrong with volumes.
type ward struct {
	e        *examination
	now      time.Time
	seen     int
	told     map[string]int // findings by code, also those that are not listed
	findings []Finding
}

func (w *ward) add(code string, f Finding) {
	if w.told[code]++; w.told[code] <= maxTold {
		w.findings = append(w.findings, note(code, f))
	}
}

func (w *ward) look(r volume.Record) {
	w.seen++
	f := Finding{Object: r.Key.String(), Found: string(r.State)}
	idle := w.now.Sub(r.UpdatedAt)
	switch {
	case r.State == volume.StateError:
		f.Text = "in the state error since " + r.UpdatedAt.Format(time.RFC3339) + ": it takes reconcile and delete only"
		w.add("volumes.error", f)
	case !r.State.InProgress() || idle < w.e.StuckAfter:
	case w.alive(r.Owner):
		f.Text = fmt.Sprintf("%s for %s; its worker %s is alive", r.State, idle.Round(time.Second), r.Owner.Worker)
		w.add("volumes.slow", f)
	default:
		f.Wanted = "a live worker"
		f.Text = fmt.Sprintf("%s for %s, and its worker %q is gone", r.State, idle.Round(time.Second), r.Owner.Worker)
		w.add("volumes.stuck", f)
	}
	if r.Drift != nil {
		w.add("volumes.drifted", Finding{
			Object: r.Key.String(), Found: count(len(r.Drift.Differences), "difference"), Wanted: "none",
			Text: "the backend differs from the record since " + r.Drift.FoundAt.Format(time.RFC3339),
		})
	}
}

// alive reports whether the run of the worker that acted on the volume last is alive.
func (w *ward) alive(owner volume.Owner) bool {
	for _, lease := range w.e.leases {
		if lease.Value.Instance == owner.Instance {
			return true
		}
	}
	return false
}

func (w *ward) result() []Finding {
	fine := true
	for code, n := range w.told {
		if code != "volumes.bounded" {
			fine = false
		}
		if more := n - maxTold; more > 0 {
			w.findings = append(w.findings, note(code, Finding{
				Object: "others", Found: fmt.Sprint(more), Text: fmt.Sprintf("%d more like these", more), Remedy: "jetvol volume list --all-projects",
			}))
		}
	}
	if fine {
		w.findings = append(w.findings, note("volumes.fine", Finding{Text: count(w.seen, "volume") + " looked at, none needs anybody"}))
	}
	return w.findings
}
