package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// putsAtOnce bounds the writes in flight of a checkpoint.
const putsAtOnce = 64

// TakeCheckpoint verifies everything, on the checkpoint before if there is one, and if that
// is clean stores where each volume stands. By says who takes it. With faults it stores
// nothing that counts: the mark returned is nil, and the report says why. It returns
// [kv.ErrConflict] if another one was taken meanwhile, and else the errors of [Verify].
func TakeCheckpoint(ctx context.Context, js jetstream.JetStream, by string, o Options) (*CheckpointMark, Report, error) {
	o.Project, o.Volume = "", ""
	a, err := newAuditor(ctx, js, o)
	if err != nil {
		return nil, Report{}, err
	}
	mark := CheckpointMark{SchemaVersion: volume.SchemaVersion, Sequence: a.to, By: by, Slot: slots[0]}
	revision := uint64(0)
	if a.base != nil {
		revision = a.base.revision
		if a.base.mark.Slot == slots[0] {
			mark.Slot = slots[1]
		}
	}
	bucket, err := js.KeyValue(ctx, kv.CheckpointsBucket)
	if err != nil {
		return nil, Report{}, fmt.Errorf("bucket %s: %w: %w", kv.CheckpointsBucket, volume.Unavailable, err)
	}
	seal := newSealer()
	report, err := a.run(ctx, func(states map[string]*state) error {
		stands := a.asOfStream(states)
		seal.add(stands)
		return putAll(ctx, bucket, mark, stands)
	})
	if err != nil || !report.Clean() {
		return nil, report, err
	}
	mark.Volumes, mark.Digest, mark.TakenAt = seal.volumes, seal.digest(), time.Now().UTC().Round(0)
	if _, err := kv.Open[CheckpointMark](js, kv.CheckpointsBucket).CompareAndSet(ctx, markKey, mark, revision); err != nil {
		return nil, report, err
	}
	return &mark, report, nil
}

// asOfStream returns the states of volumes that have events or a checkpoint: a volume whose
// first event came after the end of the pass is none of it.
func (a *auditor) asOfStream(states map[string]*state) map[string]*state {
	stands := make(map[string]*state, len(states))
	for name, s := range states {
		if s.begun && s.sequence <= a.to {
			stands[name] = s
		}
	}
	return stands
}

func putAll(ctx context.Context, bucket jetstream.KeyValue, mark CheckpointMark, states map[string]*state) error {
	puts, ctx := errgroup.WithContext(ctx)
	puts.SetLimit(putsAtOnce)
	for name, s := range states {
		data, err := json.Marshal(s.mark(name, mark.Sequence))
		if err != nil {
			return fmt.Errorf("encode checkpoint of volume %s: %w", name, err)
		}
		puts.Go(func() error {
			_, err := bucket.Put(ctx, mark.Slot+"."+name, data)
			return err
		})
	}
	if err := puts.Wait(); err != nil {
		return fmt.Errorf("store checkpoint: %w: %w", volume.Unavailable, err)
	}
	return nil
}
