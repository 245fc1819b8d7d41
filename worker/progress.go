package worker

import (
	"context"
	"errors"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// DefaultProgressInterval is how often a long operation tells how far it has come.
const DefaultProgressInterval = 5 * time.Second

// long makes a backend call that may copy a whole volume, and tells of its progress by
// events.
func (e *execution) long(ctx context.Context, call func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	latest := make(chan volume.Progress, 1)
	done := make(chan error, 1)
	go func() { done <- call(backends.WithProgress(ctx, func(p volume.Progress) { replace(latest, p) })) }()
	ticker := time.NewTicker(e.worker.config.ProgressInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
		}
		select {
		case p := <-latest:
			if ctx.Err() != nil {
				continue // the call is about to end
			}
			if err := e.tell(ctx, p); err != nil {
				stop()
				return errors.Join(beginAgain(err), <-done)
			}
		default:
		}
	}
}

// replace puts the value into a channel of one place, over an older one.
func replace[T any](latest chan T, value T) {
	for {
		select {
		case latest <- value:
			return
		default:
		}
		select {
		case <-latest:
		default:
		}
	}
}

// tell stores and publishes how far the operation has come.
func (e *execution) tell(ctx context.Context, p volume.Progress) error {
	e.head.prune()
	decision, err := fsm.Advance(e.head.record, p, now())
	if err != nil {
		return err
	}
	return e.commit(ctx, decision)
}
