package worker

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// trace begins the span of the command, within its publisher's, and returns ctx with it. A
// command of a publisher that traces nothing gets a trace here. The record keeps it with the
// operation, so that a next owner goes on in the same one.
func (e *execution) trace(ctx context.Context) context.Context {
	parent := ""
	if op := e.head.record.Op; op != nil && op.CommandID == e.command.ID {
		parent = op.TraceParent
	}
	ctx, e.span = e.worker.config.Tracer.Process(ctx, e.command, parent, e.taken)
	e.cancellable = e.span.Within(e.cancellable)
	if e.command.TraceParent == "" {
		e.command.TraceParent = e.span.TraceParent()
	}
	return ctx
}

// traced ends the span of the command. One that is handed back has not failed, nor has one
// that goes on in a span of its own, with what is known of its name.
func (e *execution) traced(err error) {
	switch {
	case errors.Is(err, errHandBack):
		e.span.HandedBack()
		err = nil
	case errors.Is(err, errKnown):
		e.span.BegunAgain()
		err = nil
	}
	e.span.End(err)
}

// failure returns err as the spans of a record's writes tell it: that a name is known which was
// taken for new is no failure.
func failure(record volume.Record, err error) error {
	if record.Assumed && (errors.Is(err, kv.ErrExists) || errors.Is(err, events.ErrConflict)) {
		return nil
	}
	return err
}

// traceCommit begins the span of a decision that is stored, and puts it into the event: who
// audits the event finds what made it.
func (e *execution) traceCommit(ctx context.Context, decision fsm.Decision) (context.Context, telemetry.Span) {
	if decision.Transition == nil {
		return ctx, telemetry.Span{}
	}
	ctx, span := e.worker.config.Tracer.Begin(ctx, telemetry.SpanTransition)
	span.Made(decision.Transition)
	if maker := span.TraceParent(); maker != "" {
		decision.Transition.TraceParent = maker
	}
	return ctx, span
}

// traceBurial begins the span of a dead letter. What cannot be decoded has no other.
func (w *Worker) traceBurial(ctx context.Context, d *delivery, why error) (context.Context, telemetry.Span) {
	ctx, span := w.config.Tracer.Bury(ctx, d.Header.Get(commands.HeaderTraceParent))
	span.Buried(why)
	return ctx, span
}
