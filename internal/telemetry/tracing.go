package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ServiceName is what traces are told under, unless OTEL_SERVICE_NAME says otherwise.
const ServiceName = "jetvol"

// complaintInterval is how often, at most, it is logged that spans cannot be sent.
const complaintInterval = time.Minute

// Identity says whose spans they are.
type Identity struct {
	Instance string // the worker's id; empty for a program that only sends commands
	Version  string
}

// Tracing sends spans to a collector. A nil Tracing has none to send.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   *Tracer
}

// StartTracing begins to send spans by OTLP over HTTP, as the environment variables of
// OpenTelemetry say (OTEL_EXPORTER_OTLP_ENDPOINT and others). It returns nil if they name
// no endpoint, or switch tracing off; also, and the log tells, if they ask for what is not
// built in. The collector need not be there: what cannot be sent is dropped, and the log
// tells so now and then. It returns an error for a variable that makes no sense.
func StartTracing(ctx context.Context, who Identity, log zerolog.Logger) (*Tracing, error) {
	wanted, why := tracingWanted(os.Getenv)
	if why != "" {
		log.Warn().Str("reason", why).Msg("no traces are sent")
	}
	if !wanted {
		return nil, nil //nolint:nilnil // nil is a tracing that does nothing
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("trace exporter: %w", err)
	}
	described, err := resource.New(ctx, resource.WithAttributes(who.attributes()...),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(fmt.Errorf("trace resource: %w", err), exporter.Shutdown(ctx))
	}
	otel.SetErrorHandler(&complainer{log: log})
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described))
	return &Tracing{provider: provider, tracer: NewTracer(provider, who.Version)}, nil
}

// tracingWanted reports whether the environment asks for traces, and why not if it asks for
// something else.
func tracingWanted(getenv func(string) string) (wanted bool, why string) {
	endpoint := getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if endpoint == "" || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, ""
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return false, ""
	default:
		return false, fmt.Sprintf("OTEL_TRACES_EXPORTER %q: there is only otlp", exporter)
	}
	protocol := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Sprintf("OTEL_EXPORTER_OTLP_PROTOCOL %q: there is only http/protobuf", protocol)
	}
	return true, ""
}

// Tracer returns what begins spans. It is nil, and costs nothing, if there is no tracing.
func (t *Tracing) Tracer() *Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Shutdown sends what is left, until ctx ends, and then nothing more. It returns the error
// with which that failed; the spans are lost then.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// complainer logs that spans cannot be sent, and not each time.
type complainer struct {
	log  zerolog.Logger
	mu   sync.Mutex // guards the one below
	last time.Time
}

// Handle logs the error unless another one was logged lately.
func (c *complainer) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.last.IsZero() || now.Sub(c.last) >= complaintInterval {
		c.last = now
		c.log.Warn().Err(err).Msg("traces are not sent")
	}
}
