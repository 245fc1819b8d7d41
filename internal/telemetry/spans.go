package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/jetvol/jetvol/volume"
)

// Names of the spans. A span's name never holds that of a volume: its attributes do.
const (
	SpanPublishCommand = "publish volume.command" // a publisher, until the stream has the command
	SpanProcess        = "process volume.command" // a worker, from taking a command up to its end
	SpanTransition     = "transition"             // one event, made: its store and its publish
	SpanStore          = "store"                  // the compare-and-set of a record
	SpanPublishEvent   = "publish volume.event"   // sending an event, not waiting
	SpanAwaitEvent     = "await volume.event"     // waiting until the stream has it
	SpanAttempt        = "attempt"                // one attempt of an operation, with its backend calls
	SpanWait           = "wait"                   // for the next attempt
	SpanBury           = "bury"                   // making a dead letter
	spanBackend        = "backend "               // and the name of the call
)

// Subjects as templates: a trace's storage must not grow a name for each volume.
const (
	commandTemplate = "volume.command.<project>.<volume>.<verb>"
	eventTemplate   = "volume.event.<project>.<volume>.<event>"
)

// Attributes that are jetvol's own.
const (
	AttributeVolume     = attribute.Key("jetvol.volume")
	AttributeVerb       = attribute.Key("jetvol.verb")
	AttributeAttempt    = attribute.Key("jetvol.attempt")
	AttributeEvent      = attribute.Key("jetvol.event")
	AttributeGeneration = attribute.Key("jetvol.generation")
	AttributeOutcome    = attribute.Key("jetvol.outcome")
	AttributeState      = attribute.Key("jetvol.state")
	AttributeBackend    = attribute.Key("jetvol.backend")
	AttributeClass      = attribute.Key("jetvol.class")
)

func (who Identity) attributes() []attribute.KeyValue {
	list := []attribute.KeyValue{semconv.ServiceName(ServiceName)}
	if who.Version != "" {
		list = append(list, semconv.ServiceVersion(who.Version))
	}
	if who.Instance != "" {
		list = append(list, semconv.ServiceInstanceID(who.Instance))
	}
	return list
}

// Tracer begins spans. A nil Tracer begins none: contexts come back as they are, spans
// are zero, and nothing is allocated.
type Tracer struct{ tracer trace.Tracer }

// NewTracer returns a tracer whose spans go to the provider.
func NewTracer(provider trace.TracerProvider, version string) *Tracer {
	return &Tracer{provider.Tracer("github.com/jetvol/jetvol", trace.WithInstrumentationVersion(version))}
}

// Span is a span under way, or none if it is zero.
type Span struct{ span trace.Span }

// Begin begins a span within that of ctx.
func (t *Tracer) Begin(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, Span{span}
}

// Publish begins the span of a publisher of the command.
func (t *Tracer) Publish(ctx context.Context, command volume.Command) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, SpanPublishCommand, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messaging(command, "publish", semconv.MessagingOperationTypeSend)...))
	return ctx, Span{span}
}

// Process begins the span of a worker that took the command up at the given time, within
// the publisher's span. If the command has none, it is within the one of parent, which may
// be empty too; then it begins a trace. What is no W3C traceparent counts as empty.
func (t *Tracer) Process(ctx context.Context, command volume.Command, parent string, taken time.Time) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if command.TraceParent != "" {
		parent = command.TraceParent
	}
	ctx, span := t.tracer.Start(remote(ctx, parent), SpanProcess, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithTimestamp(taken), trace.WithAttributes(messaging(command, "process", semconv.MessagingOperationTypeProcess)...))
	return ctx, Span{span}
}

// PublishEvent begins the span of an event that is sent.
func (t *Tracer) PublishEvent(ctx context.Context, made volume.Transition) Span {
	if t == nil {
		return Span{}
	}
	_, span := t.tracer.Start(ctx, SpanPublishEvent, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingOperationName("publish"),
		semconv.MessagingOperationTypeSend, semconv.MessagingDestinationName(eventTemplate),
		semconv.MessagingMessageID(made.ID)))
	return Span{span}
}

// Bury begins the span of a dead letter, within that of ctx, or within the publisher's if
// ctx has none.
func (t *Tracer) Bury(ctx context.Context, traceParent string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = remote(ctx, traceParent)
	}
	ctx, span := t.tracer.Start(ctx, SpanBury, trace.WithSpanKind(trace.SpanKindConsumer))
	return ctx, Span{span}
}

// Call begins the span of a backend's call.
func (t *Tracer) Call(ctx context.Context, backend, call string) context.Context {
	if t == nil {
		return ctx
	}
	ctx, _ = t.tracer.Start(ctx, spanBackend+call, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(AttributeBackend.String(backend)))
	return ctx
}

// Returned ends the span that [Tracer.Call] put into ctx.
func (t *Tracer) Returned(ctx context.Context, err error) {
	if t == nil {
		return
	}
	span := Span{trace.SpanFromContext(ctx)}
	if err != nil {
		span.span.SetAttributes(AttributeClass.String(string(volume.ClassOf(err))))
	}
	span.End(err)
}

// Within returns ctx with the span, for a context that another was not derived from.
func (s Span) Within(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// Attempt notes which attempt it is, from 1 on.
func (s Span) Attempt(number int) {
	if s.span != nil {
		s.span.SetAttributes(AttributeAttempt.Int(number))
	}
}

// Made notes the event that the span is about.
func (s Span) Made(t *volume.Transition) {
	if s.span != nil && t != nil {
		s.span.SetAttributes(AttributeEvent.String(string(t.Event)), AttributeState.String(string(t.To)),
			AttributeGeneration.Int64(int64(t.Generation)), AttributeAttempt.Int(t.Attempt)) //nolint:gosec // no volume has so many transitions
	}
}

// Ended notes how a command ended. A failure makes the span one of an error.
func (s Span) Ended(outcome volume.Outcome, result string) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(AttributeOutcome.String(result), AttributeState.String(string(outcome.State)),
		AttributeGeneration.Int64(int64(outcome.Generation))) //nolint:gosec // the same
	if f := outcome.Failure; f != nil {
		s.span.SetAttributes(semconv.ErrorTypeKey.String(string(f.Code)))
		s.span.SetStatus(codes.Error, f.Message)
	}
}

// Buried notes why a command was made a dead letter.
func (s Span) Buried(why error) {
	if s.span != nil {
		s.span.SetAttributes(errorType(why))
		s.span.SetStatus(codes.Error, why.Error())
	}
}

// HandedBack notes that the command is left to the next owner of its volume.
func (s Span) HandedBack() {
	if s.span != nil {
		s.span.SetAttributes(AttributeOutcome.String("handed_back"))
	}
}

// BegunAgain notes that the command goes on in a span of its own: what it was begun on is not so.
func (s Span) BegunAgain() {
	if s.span != nil {
		s.span.SetAttributes(AttributeOutcome.String("begun_again"))
	}
}

// End ends the span. An error is noted with its code.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil {
		s.span.SetAttributes(errorType(err))
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}

// errorType is the code of an error, or the class of one that has no code yet.
func errorType(err error) attribute.KeyValue {
	text := string(volume.CodeOf(err))
	if text == string(volume.ErrInternal) {
		text = string(volume.ClassOf(err))
	}
	return semconv.ErrorTypeKey.String(text)
}

// traceContext writes and reads the W3C form.
var traceContext propagation.TraceContext

const traceParentKey = "traceparent"

// TraceParent returns the span in the form of the header `traceparent`. It is empty if the
// span is not sent to anybody: nothing could be found under it.
func (s Span) TraceParent() string {
	if s.span == nil || !s.span.SpanContext().IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	traceContext.Inject(trace.ContextWithSpan(context.Background(), s.span), carrier)
	return carrier[traceParentKey]
}

// remote returns ctx within a span of another process; what is no traceparent is ignored.
func remote(ctx context.Context, traceParent string) context.Context {
	if traceParent == "" {
		return ctx
	}
	return traceContext.Extract(ctx, propagation.MapCarrier{traceParentKey: traceParent})
}

func messaging(command volume.Command, operation string, kind attribute.KeyValue) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKey.String("nats"),
		semconv.MessagingOperationName(operation),
		kind,
		semconv.MessagingDestinationName(commandTemplate),
		semconv.MessagingMessageID(string(command.ID)),
		AttributeVerb.String(string(command.Verb)),
		AttributeVolume.String(command.Key.String()),
	}
}
