package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/jetvol/jetvol/internal/otlptest"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

var createDB01 = volume.Command{
	ID: "create-1", Key: volume.Key{Project: "default", Name: "db-01"}, Verb: volume.VerbCreate,
	TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}

// useSpans makes every kind of span once, as a worker and a publisher do.
func useSpans(ctx context.Context, tracer *telemetry.Tracer, calls telemetry.CallObserver, err error) {
	began := time.Time{}
	ctx, process := tracer.Process(ctx, createDB01, "", began)
	_, publish := tracer.Publish(ctx, createDB01)
	publish.End(err)
	ctx = process.Within(ctx)
	inner, attempt := tracer.Begin(ctx, telemetry.SpanAttempt)
	attempt.Attempt(2)
	attempt.Made(nil)
	call := calls.Begin(inner, "create")
	calls.End(call, "create", err, time.Second)
	tracer.PublishEvent(ctx, volume.Transition{}).End(err)
	_, bury := tracer.Bury(ctx, "")
	bury.Buried(volume.ErrInvalidPayload)
	bury.HandedBack()
	bury.BegunAgain()
	bury.End(nil)
	attempt.End(err)
	process.Ended(volume.Outcome{}, "succeeded")
	_ = process.TraceParent()
	process.End(err)
}

func TestTracer_Off_AllocatesNothing(t *testing.T) {
	observer := telemetry.NewBackendCalls(prometheus.NewRegistry(), nil).Observer("local")
	ctx := t.Context()
	for name, err := range map[string]error{"well": nil, "failing": volume.Busy} {
		if allocations := testing.AllocsPerRun(100, func() { useSpans(ctx, nil, observer, err) }); allocations > 0 {
			t.Errorf("%s: got %v allocations, want 0", name, allocations)
		}
	}
}

// startTracing sends the spans of this process to the collector until the test ends.
func startTracing(t *testing.T, log zerolog.Logger) *telemetry.Tracing {
	t.Helper()
	tracing, err := telemetry.StartTracing(t.Context(), telemetry.Identity{Version: "v1.2.3"}, log)
	if err != nil || tracing == nil {
		t.Fatalf("start tracing: got %v and %v, want one that sends", tracing, err)
	}
	return tracing
}

func TestStartTracing_Environment_DecidesWhetherAnythingIsSent(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   map[string]string
		sends bool
		told  string
	}{
		{"nothing", nil, false, ""},
		{"endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		{"endpoint of traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true, ""},
		{"none", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		{"another exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "zipkin"}, false, "zipkin"},
		{"grpc", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "http/protobuf"},
		{"http", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.set {
				t.Setenv(name, value)
			}
			var out strings.Builder
			tracing, err := telemetry.StartTracing(t.Context(), telemetry.Identity{}, zerolog.New(&out))
			if err != nil {
				t.Fatal(err)
			}
			if sends := tracing.Tracer() != nil; sends != test.sends {
				t.Errorf("sends: got %t, want %t", sends, test.sends)
			}
			if !strings.Contains(out.String(), test.told) || test.told == "" && out.Len() > 0 {
				t.Errorf("log: got %q, want it to tell %q", out.String(), test.told)
			}
			if err := tracing.Shutdown(t.Context()); err != nil {
				t.Errorf("shutdown with nothing to send: %v", err)
			}
		})
	}
}

func TestTracing_Spans_SentAtTheLatestWithShutdown(t *testing.T) {
	collector := otlptest.Start(t)
	collector.Setenv(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // what comes comes by Shutdown
	t.Setenv("OTEL_SERVICE_NAME", "volumes")
	tracing := startTracing(t, zerolog.Nop())
	observer := telemetry.NewBackendCalls(prometheus.NewRegistry(), tracing.Tracer()).Observer("local")
	useSpans(t.Context(), tracing.Tracer(), observer, volume.Busy)
	if err := tracing.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := collector.Await(t, "all spans", func(spans []otlptest.Span) bool { return len(spans) >= 6 })
	for _, span := range spans {
		if span.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("got %+v, want it in the publisher's trace", span)
		}
		if span.Resource["service.name"] != "volumes" || span.Resource["service.version"] != "v1.2.3" {
			t.Errorf("got resource %v, want the environment's name and the program's version", span.Resource)
		}
	}
}

func TestTracing_Sampler_OfTheEnvironment(t *testing.T) {
	collector := otlptest.Start(t)
	collector.Setenv(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	tracing := startTracing(t, zerolog.Nop())
	_, span := tracing.Tracer().Publish(t.Context(), createDB01)
	if parent := span.TraceParent(); parent != "" {
		t.Errorf("got %q for a span that is not sent, want none", parent)
	}
	span.End(nil)
	if err := tracing.Shutdown(t.Context()); err != nil || collector.Asked() != 0 {
		t.Errorf("got %v and %d requests, want none", err, collector.Asked())
	}
}

// A collector that takes no end must not hold up who works, nor the end of the program.
func TestTracing_CollectorThatHangs_NobodyWaits(t *testing.T) {
	collector := otlptest.Start(t)
	collector.Setenv(t)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	collector.Hang()
	tracing := startTracing(t, zerolog.Nop())
	observer := telemetry.NewBackendCalls(prometheus.NewRegistry(), tracing.Tracer()).Observer("local")
	for range 1000 { // far more than the queue takes: what does not fit is dropped
		useSpans(t.Context(), tracing.Tracer(), observer, nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracing.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: got %v, want the deadline of its context", err)
	}
	collector.Release()
}
