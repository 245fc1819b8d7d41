package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

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
	w := slotWriter{js: js, revision: a.marked, inForce: CheckpointMark{SchemaVersion: volume.SchemaVersion}}
	if a.base != nil {
		w.inForce = a.base.mark
		if a.base.mark.Slot == slots[0] {
			mark.Slot = slots[1]
		}
	}
	seal := newSealer()
	report, err := a.run(ctx, func(states map[string]*state) error {
		stands := a.asOfStream(states)
		seal.add(stands)
		return w.put(ctx, mark, stands)
	})
	if err != nil || !report.Clean() {
		return nil, report, err
	}
	mark.Volumes, mark.Digest, mark.TakenAt = seal.volumes, seal.digest(), time.Now().UTC().Round(0)
	if _, err := kv.Open[CheckpointMark](js, kv.CheckpointsBucket).CompareAndSet(ctx, markKey, mark, w.revision); err != nil {
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

// slotWriter writes into the slot that is not in force. With each batch it also writes the mark
// that is, unchanged, at the revision that its last batch has left: of two checkpoints that
// are taken at once only one goes on, and what the other has written is written over.
type slotWriter struct {
	js       jetstream.JetStream
	inForce  CheckpointMark
	revision uint64
}

func (w *slotWriter) put(ctx context.Context, mark CheckpointMark, states map[string]*state) error {
	for names := range slices.Chunk(slices.Collect(maps.Keys(states)), kv.MaxBatchSize-1) {
		batch := kv.NewBatch(w.js, kv.CheckpointsBucket)
		batch.CompareAndSet(markKey, w.inForce, w.revision)
		for _, name := range names {
			batch.Put(mark.Slot+"."+name, states[name].mark(name, mark.Sequence))
		}
		revisions, err := batch.Commit(ctx)
		if err != nil {
			return fmt.Errorf("store checkpoint: %w", err)
		}
		w.revision = revisions[markKey]
	}
	return nil
}
