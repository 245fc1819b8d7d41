package drift

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// passFindings forgets what is found no more. What this sweep did not see is looked at
// again, and kept if that cannot be told. It also counts all findings of the sweep's
// partitions for the gauge.
func (w *sweep) passFindings(ctx context.Context) error {
	if w.options.Findings == nil {
		w.metrics.count(w.counted)
		return nil
	}
	w.refresh()
	for entry, err := range w.options.Findings.All(ctx, Filter{Project: w.options.Project}) {
		if unreadable(err) {
			if err := w.skip(ctx, "findings", err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if !w.takes(entry.Value.Key) {
			continue
		}
		if err := w.revisit(ctx, entry); err != nil {
			return err
		}
	}
	w.metrics.count(w.counted)
	return nil
}

func (w *sweep) revisit(ctx context.Context, entry kv.Entry[Finding]) error {
	finding := entry.Value
	if finding.SeenAt.Before(w.began) {
		stays, err := w.again(ctx, finding)
		if err != nil {
			return err
		}
		if stays == agrees {
			return w.options.Findings.Forget(ctx, finding.Key, entry.Revision)
		}
	}
	w.count(finding)
	return nil
}

// again looks for one finding anew.
func (w *sweep) again(ctx context.Context, finding Finding) (answer, error) {
	if !finding.Is(volume.DriftOrphan) {
		return w.examine(ctx, finding.Key)
	}
	backend := w.options.Backends[finding.Backend]
	if backend == nil {
		return unknown, nil
	}
	return w.confirm(ctx, backend, backends.Ref{Key: finding.Key, ID: finding.ObjectID})
}

// forget removes what was found of a record that agrees with its backend by now. An orphan
// of the name is another matter.
func (w *sweep) forget(ctx context.Context, key volume.Key) error {
	if w.options.Findings == nil {
		return nil
	}
	entry, err := w.options.Findings.Get(ctx, key.String())
	if errors.Is(err, kv.ErrNotFound) || unreadable(err) || err == nil && entry.Value.Is(volume.DriftOrphan) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.options.Findings.Forget(ctx, key, entry.Revision)
}
