package worker

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// mayHaveSpilled reports whether answers of this volume can be in the bucket of
// outcomes: some were moved there, or the record that would tell is lost.
func (h *head) mayHaveSpilled() bool { return h.record.Spilled > 0 || h.recordLost() }

// recordLost reports whether the name once had a record and has none now, or an older one:
// its tombstone has run out, or somebody deleted it. The events still know its commands.
func (h *head) recordLost() bool { return (h.revision == 0 || h.outdated) && h.lastEvent != "" }

// makeRoom moves the older half of a full ring of outcomes to their bucket, before the
// record lets go of them: an answer is always in at least one of the two.
func (h *head) makeRoom(ctx context.Context, w *Worker) error {
	h.prune()
	if len(h.record.Outcomes) < fsm.MaxOutcomes {
		return nil
	}
	const half = fsm.MaxOutcomes / 2
	if err := w.spill(ctx, h.record.Key, h.record.Outcomes[:half]); err != nil {
		return err
	}
	h.record.Outcomes = slices.Clone(h.record.Outcomes[half:])
	h.record.Spilled += half
	return nil
}

// spillEarlierLife stores the answers that a lost record held, as the volume's events
// tell them, and returns how many there are, at least 1.
func (h *head) spillEarlierLife(ctx context.Context, w *Worker) (uint64, error) {
	var outcomes []volume.Outcome
	for outcome, err := range events.Outcomes(ctx, w.js, h.record.Key) {
		if err != nil {
			return 0, err
		}
		outcomes = append(outcomes, outcome)
	}
	return max(1, uint64(len(outcomes))), w.spill(ctx, h.record.Key, outcomes)
}

// spillsAtOnce bounds the writes in flight of one spill.
const spillsAtOnce = 16

// spill stores answers in the bucket of outcomes. It may be repeated.
func (w *Worker) spill(ctx context.Context, key volume.Key, outcomes []volume.Outcome) error {
	puts, ctx := errgroup.WithContext(ctx)
	puts.SetLimit(spillsAtOnce)
	for _, outcome := range outcomes {
		puts.Go(func() error {
			// gofail: var beforeSpill string
			// killAt(beforeSpill, "spill")

			_, err := w.outcomes.Put(ctx, key, outcome)
			// gofail: var afterSpill string
			// killAt(afterSpill, "spill")

			return err
		})
	}
	if err := puts.Wait(); err != nil {
		return fmt.Errorf("spill outcomes of volume %s: %w", key, err)
	}
	return nil
}
