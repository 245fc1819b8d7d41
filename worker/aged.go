package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// agedOut reports whether the events of the outbox were on the stream and have aged out, with
// all others of the volume: they are old enough, and their command was acknowledged, which it
// is only when they are stored. Who published them again would tell every subscriber twice.
func (h *head) agedOut(ctx context.Context, w *Worker, hasEvents bool) (bool, error) {
	outbox := h.record.Outbox
	if hasEvents {
		return false, nil
	}
	aged, err := w.publisher.AgedOut(ctx, outbox[len(outbox)-1].Time)
	if err != nil || !aged {
		return false, err
	}
	_, err = w.stream.GetMsg(ctx, h.record.CommandSequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		h.record.Assumed = false // the first of them proved it
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up command %d: %w: %w", h.record.CommandSequence, volume.Unavailable, err)
	}
	return false, nil
}
