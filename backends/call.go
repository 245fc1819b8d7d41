package backends

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// call is one call of a Backend's method, for its error texts and for Observe.
type call struct {
	method   string
	key      volume.Key          // zero if the call is not for one volume
	snapshot volume.SnapshotName // of the volume, empty for none
	detail   string              // " to node " or " from node "
	node     volume.Node         // follows detail
	evicts   bool                // it does not wait for the volume's turn
	invalid  error               // why the driver must not see this call
	long     bool                // it may take as long as copying a volume
}

// String says what was called: "attach volume default.db-01 to node n12". Invalid
// arguments are left out: the error that follows quotes them.
func (c call) String() string {
	switch {
	case c.key == volume.Key{}:
		return c.method
	case c.invalid != nil:
		return c.method + " volume"
	case c.snapshot != "":
		return c.method + " volume " + c.key.String() + "@" + string(c.snapshot)
	}
	return c.method + " volume " + c.key.String() + c.detail + string(c.node)
}

// needs refuses the call as Unsupported if the driver is not able and nothing else is
// wrong with it.
func (c call) needs(able bool, reason string) call {
	if !able && c.invalid == nil {
		c.invalid = Errorf(volume.Unsupported, "%s", reason)
	}
	return c
}

// outcome is what a driver's method returned.
type outcome[T any] struct {
	result T
	err    error
}

// errNoAnswer is the error of a driver that ended its goroutine.
var errNoAnswer = Errorf(volume.Internal, "driver returned no answer")

// change is perform for a method without a result.
func (b *Backend) change(ctx context.Context, c call, f func(context.Context) error) error {
	_, err := perform(ctx, b, c, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f(ctx)
	})
	return err
}

// perform makes one driver call with all that a Backend promises of it.
func perform[T any](ctx context.Context, b *Backend, c call, f func(context.Context) (T, error)) (T, error) {
	ctx, began := b.begin(ctx, c)
	result, err := attempt(ctx, b, c, f)
	return result, b.finish(ctx, c, began, err)
}

func attempt[T any](ctx context.Context, b *Backend, c call, f func(context.Context) (T, error)) (T, error) {
	var none T
	release, err := b.admit(ctx, c)
	if err != nil {
		return none, err
	}
	ctx, cancel := b.bounded(ctx, c)
	defer cancel()
	// gofail: var backendHeld string
	// if err := held(backendHeld, c.method); err != nil {
	// 	release()
	// 	return none, err
	// }
	done := start(ctx, release, f)
	select {
	case out := <-done:
		return out.result, classify(ctx, out.err)
	case <-ctx.Done():
	}
	// An answer that came at the same moment is better than none.
	select {
	case out := <-done:
		return out.result, classify(ctx, out.err)
	default:
		return none, abandoned(ctx)
	}
}

// start runs f in its own goroutine, because a driver may be stuck in a call that
// nothing can end. Release is called when f has returned, however late.
func start[T any](ctx context.Context, release func(), f func(context.Context) (T, error)) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	go func() {
		out := outcome[T]{err: errNoAnswer}
		defer func() {
			if value := recover(); value != nil {
				out.err = &PanicError{Value: value, Stack: debug.Stack()}
			}
			// Release before answering: the caller's next call finds its turn free.
			release()
			done <- out
		}()
		out.result, out.err = f(ctx)
	}()
	return done
}

// begin reports the call to Observe.
func (b *Backend) begin(ctx context.Context, c call) (context.Context, time.Time) {
	began := time.Now()
	if b.opts.Observe != nil {
		ctx = b.opts.Observe.Begin(ctx, c.method)
	}
	return ctx, began
}

// finish reports the call's end to Observe and puts its name before its error.
func (b *Backend) finish(ctx context.Context, c call, began time.Time, err error) error {
	if b.opts.Observe != nil {
		b.opts.Observe.End(ctx, c.method, err, time.Since(began))
	}
	return b.explain(c, err)
}

func (b *Backend) explain(c call, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: backend %s: %w", c, b.name, err)
}

// abandoned is the error of a call whose driver did not return when ctx ended.
func abandoned(ctx context.Context) error {
	return Errorf(endClass(context.Cause(ctx)), "gave up waiting, outcome unknown: %w", context.Cause(ctx))
}

// classify gives a class to an error that has none. An error returned after ctx has
// ended is put down to that: drivers return all kinds of them then.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil, classified(err):
		return err
	case ctx.Err() != nil:
		return Errorf(endClass(context.Cause(ctx)), "%w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Errorf(endClass(err), "%w", err)
	default:
		return Errorf(volume.Internal, "%w", err)
	}
}

func classified(err error) bool {
	return volume.ClassOf(err) != volume.Internal || errors.Is(err, volume.Internal)
}

// endClass is the class of a call that ended early for the given cause.
func endClass(cause error) volume.Class {
	if errors.Is(cause, context.DeadlineExceeded) {
		return volume.Unavailable
	}
	return volume.Aborted
}

// PanicError is a panic of a driver, told as an error of class Internal.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked, for the log
}

// Error tells the value that the driver panicked with, without the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("driver panicked: %v: %s", e.Value, volume.Internal)
}

// Is reports whether target is [volume.Internal].
func (e *PanicError) Is(target error) bool { return target == error(volume.Internal) }
