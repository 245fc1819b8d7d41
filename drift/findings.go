package drift

import (
	"context"
	"errors"
	"fmt"
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
	records kv.Volumes
}

// NewFindings returns the bucket of findings. It calls no server.
func NewFindings(js jetstream.JetStream) Findings {
	return Findings{kv.Open[Finding](js, kv.DriftBucket), kv.NewVolumes(js)}
}

// ByKey returns what was found of a volume, as the stream's leader has it. It returns the
// errors of [kv.Bucket.Get], and [kv.ErrCorrupt] also if the finding says that it is another
// volume's.
func (f Findings) ByKey(ctx context.Context, key volume.Key) (kv.Entry[Finding], error) {
	entry, err := f.Get(ctx, key.String())
	if err != nil {
		return entry, err
	}
	return checked(entry)
}

// checked takes the value from a finding that is not its key's.
func checked(entry kv.Entry[Finding]) (kv.Entry[Finding], error) {
	if says := entry.Value.Key; entry.Key != says.String() {
		entry.Value = Finding{}
		return entry, fmt.Errorf("finding %s: %w: it is that of %s", entry.Key, kv.ErrCorrupt, says)
	}
	return entry, nil
}

// Put stores what was seen of a volume and returns it as it is stored: if the same was
// found before, it was found then. An orphan does not take the place of what was found of
// a record: of a name that is recorded at one backend and left over at another, the record
// comes first. What is corrupt is replaced; [kv.ErrSchema] says that a newer jetvol wrote what
// is there. It returns the errors of [kv.Bucket.CompareAndSet],
// among them [kv.ErrConflict] if another sweep was at the same volume: it has seen it too.
func (f Findings) Put(ctx context.Context, seen Finding) (Finding, error) {
	before, err := f.ByKey(ctx, seen.Key)
	switch {
	case errors.Is(err, kv.ErrNotFound), errors.Is(err, kv.ErrCorrupt):
	case err != nil:
		return seen, err
	case seen.Is(volume.DriftOrphan) && !before.Value.Is(volume.DriftOrphan):
		return before.Value, nil
	case before.Value.same(seen) && before.Value.FoundAt.Before(seen.FoundAt):
		seen.FoundAt = before.Value.FoundAt
	}
	_, err = f.CompareAndSet(ctx, seen.Key.String(), seen, before.Revision)
	return seen, err
}

// Forget removes a finding, readable or not, if it is still as it was read. Gone or changed is
// no error: another sweep was there.
func (f Findings) Forget(ctx context.Context, entry kv.Entry[Finding]) error {
	err := f.Delete(ctx, entry.Key, entry.Revision, kv.TTL(markerTTL))
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

// keys is the filter of the bucket's keys.
func (f Filter) keys() string {
	if f.Project == "" {
		return ""
	}
	return string(f.Project) + ".*"
}

// All yields the findings that match, as [kv.Bucket.All] does. What cannot be read might
// match: it comes with an error as [Findings.ByKey] returns it, and the others follow.
func (f Findings) All(ctx context.Context, filter Filter) iter.Seq2[kv.Entry[Finding], error] {
	return func(yield func(kv.Entry[Finding], error) bool) {
		for entry, err := range f.Bucket.All(ctx, filter.keys()) {
			if err == nil {
				entry, err = checked(entry)
			}
			if (err != nil || filter.matches(entry.Value)) && !yield(entry, err) {
				return
			}
		}
	}
}

// Unsettled yields the findings that match and that no record shows to be settled since, one
// read of a record each; see [Finding.Outdated]. A record that cannot be read shows nothing.
// What else goes wrong is told as by [Findings.All]: a finding that cannot be read, as an error
// for which [kv.Unreadable] holds, and the others follow; any other error is the last.
func (f Findings) Unsettled(ctx context.Context, filter Filter) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for entry, err := range f.All(ctx, filter) {
			settled := false
			if err == nil {
				settled, err = f.settled(ctx, entry.Value)
			}
			if !settled && !yield(entry.Value, err) || err != nil && !kv.Unreadable(err) {
				return
			}
		}
	}
}

func (f Findings) settled(ctx context.Context, found Finding) (bool, error) {
	record, err := f.records.ByKey(ctx, found.Key)
	switch {
	case kv.Unreadable(err):
		return false, nil
	case err != nil && !errors.Is(err, kv.ErrNotFound):
		return false, err
	}
	return found.Outdated(record.Value), nil
}
