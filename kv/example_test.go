package kv_test

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// A change is decided on what was read; if another writer got there first, it is
// decided again on what that one left.
func ExampleBucket_CompareAndSet() {
	rename := func(ctx context.Context, js jetstream.JetStream, key volume.Key, label string) error {
		volumes := kv.NewVolumes(js)
		for {
			entry, err := volumes.ByKey(ctx, key)
			if err != nil {
				return err
			}
			changed := entry.Value
			changed.Labels = volume.Labels{"name": label}
			_, err = volumes.CompareAndSet(ctx, key.String(), changed, entry.Revision)
			if !errors.Is(err, kv.ErrConflict) {
				return err
			}
		}
	}
	_ = rename
}

// Page by page through the volumes of one project.
func ExampleBucket_List() {
	count := func(ctx context.Context, js jetstream.JetStream) (int, error) {
		total, cursor := 0, uint64(0)
		for {
			page, next, err := kv.NewVolumes(js).List(ctx, kv.ListOptions{Filter: "default.*", After: cursor})
			total += len(page)
			if err != nil || next == 0 {
				return total, err
			}
			cursor = next
		}
	}
	_ = count
}
