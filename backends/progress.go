package backends

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/volume"
)

type progressKey struct{}

// WithProgress returns a context under which the progress that a driver tells by
// [ReportProgress] reaches report. It is called on the driver's goroutine, also after a
// call that was given up has returned, and must not wait.
func WithProgress(ctx context.Context, report func(volume.Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// ReportProgress tells how far the call with the context has come, for use by drivers in
// those methods of [Snapshotter] and [Cloner] that may copy a volume. It also renews the time that a [Backend] gives
// them, so a driver that copies much should call it at least every second. A total of 0 says
// that it is not known: the call is alive, and nothing else.
func ReportProgress(ctx context.Context, done, total uint64) {
	if report, ok := ctx.Value(progressKey{}).(func(volume.Progress)); ok {
		report(volume.Progress{Done: done, Total: total})
	}
}

// bounded returns the context for a driver's call. A long call ends after the timeout
// without progress, every other one after the timeout.
func (b *Backend) bounded(ctx context.Context, c call) (context.Context, context.CancelFunc) {
	if !c.long {
		return context.WithTimeout(ctx, b.opts.Timeout)
	}
	outer, _ := ctx.Value(progressKey{}).(func(volume.Progress))
	ctx, cancel := context.WithCancelCause(ctx)
	idle := time.AfterFunc(b.opts.Timeout, func() { cancel(context.DeadlineExceeded) })
	ctx = WithProgress(ctx, func(p volume.Progress) {
		idle.Reset(b.opts.Timeout)
		if outer != nil {
			outer(p)
		}
	})
	return ctx, func() {
		idle.Stop()
		cancel(context.Canceled)
	}
}
