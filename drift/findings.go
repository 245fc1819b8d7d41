package drift

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// markerTTL is how long the marker of a finding that is no more stays for watchers.
const markerTTL = time.Hour

// Findings is the bucket of findings, each under the text of its volume's key.
type Findings struct {
	*kv.Bucket[Finding]
}

// NewFindings returns the bucket of findings. It calls no server.
func NewFindings(js jetstream.JetStream) Findings {
	return Findings{kv.Open[Finding](js, kv.DriftBucket)}
}

// Put stores what was seen of a volume and returns it as it is stored: if the same was
// found before, it was found then. An orphan does not take the place of what was found of
// a record: of a name that is recorded at one backend and left over at another, the record
// comes first. It returns the errors of [kv.Bucket.CompareAndSet],
// among them [kv.ErrConflict] if another sweep was at the same volume: it has seen it too.
func (f Findings) Put(ctx context.Context, seen Finding) (Finding, error) {
	key := seen.Key.String()
	before, err := f.Get(ctx, key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return seen, err
	}
	if err == nil && seen.Is(volume.DriftOrphan) && !before.Value.Is(volume.DriftOrphan) {
		return before.Value, nil
	}
	if err == nil && before.Value.same(seen) && before.Value.FoundAt.Before(seen.FoundAt) {
		seen.FoundAt = before.Value.FoundAt
	}
	_, err = f.CompareAndSet(ctx, key, seen, before.Revision)
	return seen, err
}

// Forget removes a finding if it is still at the given revision. Gone or changed is no
// error: another sweep was there.
func (f Findings) Forget(ctx context.Context, key volume.Key, revision uint64) error {
	err := f.Delete(ctx, key.String(), revision, kv.TTL(markerTTL))
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrConflict) {
		return nil
	}
	return err
}

// Filter selects findings; empty fields select all.
type Filter struct {
	Project volume.Project
	Kind    volume.DriftKind
	Backend string
}

func (f Filter) matches(found Finding) bool {
	return (f.Kind == "" || found.Is(f.Kind)) && (f.Backend == "" || found.Backend == f.Backend)
}

// All yields the findings that match, as the bucket has them, page by page. One that
// changes meanwhile may be told twice. What cannot be read is an error of its own, after
// which the others follow; any other error is the last.
func (f Findings) All(ctx context.Context, filter Filter) iter.Seq2[kv.Entry[Finding], error] {
	return func(yield func(kv.Entry[Finding], error) bool) {
		options := kv.ListOptions{Limit: kv.MaxPageSize}
		if filter.Project != "" {
			options.Filter = string(filter.Project) + ".*"
		}
		for {
			page, next, err := f.List(ctx, options)
			if err != nil && !yield(kv.Entry[Finding]{}, err) || err != nil && !unreadable(err) {
				return
			}
			for _, entry := range page {
				if filter.matches(entry.Value) && !yield(entry, nil) {
					return
				}
			}
			if next == 0 {
				return
			}
			options.After = next
		}
	}
}

// unreadable reports whether err is only about single records of a page.
func unreadable(err error) bool { return errors.Is(err, kv.ErrSchema) || errors.Is(err, kv.ErrCorrupt) }
