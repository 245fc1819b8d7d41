package drift

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// passFindings forgets what is found no more, and what is corrupt. What this sweep did not see
// is looked at again, and kept if that cannot be told. It also counts all findings of the
// sweep's partitions for the gauge.
func (w *sweep) passFindings(ctx context.Context) error {
	if w.options.Findings == nil {
		w.metrics.count(w.counted)
		return nil
	}
	w.refresh()
	for entry, err := range w.options.Findings.All(ctx, Filter{Project: w.options.Project}) {
		if err != nil && !kv.Unreadable(err) {
			return err
		}
		if !w.takesFinding(entry.Key) {
			continue
		}
		switch {
		case err == nil:
			err = w.revisit(ctx, entry)
		case errors.Is(err, kv.ErrCorrupt):
			err = w.drop(ctx, entry, err)
		default: // of a newer jetvol
			err = w.skip(ctx, "finding of "+entry.Key, err)
		}
		if err != nil {
			return err
		}
	}
	w.metrics.count(w.counted)
	return nil
}

// takesFinding reports whether the finding is of this sweep. A key that is no volume's is of
// every sweep.
func (w *sweep) takesFinding(key string) bool {
	of, err := volume.ParseKey(key)
	return err != nil || w.takes(of)
}

// drop removes a finding that says nothing any more. If its volume differs, this sweep could
// not tell, or it would have replaced the finding; the next one may.
func (w *sweep) drop(ctx context.Context, entry kv.Entry[Finding], why error) error {
	w.log.Warn().Err(why).Str("volume", entry.Key).Msg("corrupt finding removed")
	return w.options.Findings.Forget(ctx, entry)
}

func (w *sweep) revisit(ctx context.Context, entry kv.Entry[Finding]) error {
	finding := entry.Value
	if finding.SeenAt.Before(w.began) {
		stays, err := w.again(ctx, finding)
		if err != nil {
			return err
		}
		if stays == agrees {
			return w.options.Findings.Forget(ctx, entry)
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
	entry, err := w.options.Findings.ByKey(ctx, key)
	if errors.Is(err, kv.ErrNotFound) || kv.Unreadable(err) || err == nil && entry.Value.Is(volume.DriftOrphan) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.options.Findings.Forget(ctx, entry)
}
