// Package otlptest gives tests a collector of traces: an HTTP server that decodes what
// OpenTelemetry's exporters send, as the protocol has it.
package otlptest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// patience is how long a test waits for spans.
const patience = 30 * time.Second

// tracesPath is where the protocol has traces sent to, below the endpoint.
const tracesPath = "/v1/traces"

// Span is a span as it was sent.
type Span struct {
	Trace, ID, Parent string // lower-case hexadecimal; Parent is empty for none
	Name              string
	Kind              string // "producer", "consumer", "client", "internal", …
	Attributes        map[string]string
	Error             string // the status' message; empty unless the status is an error
	Resource          map[string]string
	Began, Ended      time.Time
}

// TraceParent returns the span in W3C's form, as one that is sampled.
func (s Span) TraceParent() string { return "00-" + s.Trace + "-" + s.ID + "-01" }

// Collector takes spans. It is safe for concurrent use.
type Collector struct {
	server *httptest.Server

	mu      sync.Mutex // guards all below
	spans   []Span
	faults  []string
	changed chan struct{} // closed and replaced when spans come
	hang    chan struct{} // requests wait until it is closed; nil for none
	asked   int           // requests, also those that hang
}

// Start runs a collector until the test ends, and fails the test for what is no OTLP.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{changed: make(chan struct{})}
	c.server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(func() {
		c.Release()
		c.server.Close()
		for _, fault := range c.faults {
			t.Errorf("collector: %s", fault)
		}
	})
	return c
}

// Environment returns the variables that have a process send its spans here, soon.
func (c *Collector) Environment() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.server.URL, "OTEL_BSP_SCHEDULE_DELAY=50"}
}

// Setenv has this process send its spans here.
func (c *Collector) Setenv(t testing.TB) {
	t.Helper()
	for _, variable := range c.Environment() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// Hang makes requests wait for [Collector.Release].
func (c *Collector) Hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hang = make(chan struct{})
}

// Release ends all waiting. It may be called again.
func (c *Collector) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hang != nil {
		close(c.hang)
		c.hang = nil
	}
}

// Asked returns how many requests have come, those that hang included.
func (c *Collector) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Await returns all spans as soon as they fulfil the condition, and fails the test if they
// do not in time. Spans come in the order in which they ended.
func (c *Collector) Await(t testing.TB, what string, fulfilled func([]Span) bool) []Span {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		c.mu.Lock()
		spans, changed := slices.Clone(c.spans), c.changed
		c.mu.Unlock()
		if fulfilled(spans) {
			return spans
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("collector: waited for %s, got:\n%s", what, Show(spans))
		}
	}
}

// Show returns the spans as text, one a line.
func Show(spans []Span) string {
	var text strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&text, "%s %s<-%s %-24s %s %v %s\n", s.Trace, s.ID, s.Parent, s.Name, s.Kind, s.Attributes, s.Error)
	}
	return text.String()
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	hang := c.hang
	c.asked++
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done(): // the exporter has lost its patience, or was killed
			return
		}
	}
	if err == nil {
		err = c.keep(r, body)
	}
	if err != nil {
		c.mu.Lock()
		c.faults = append(c.faults, err.Error())
		c.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK) // an empty body is an empty response
}

func (c *Collector) keep(r *http.Request, body []byte) error {
	if r.Method != http.MethodPost || r.URL.Path != tracesPath || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("got %s %s with %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		described := attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, decode(span, described))
			}
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func decode(span *otlp.Span, resource map[string]string) Span {
	decoded := Span{
		Trace: fmt.Sprintf("%x", span.GetTraceId()), ID: fmt.Sprintf("%x", span.GetSpanId()),
		Parent: fmt.Sprintf("%x", span.GetParentSpanId()), Name: span.GetName(),
		Kind:       strings.ToLower(strings.TrimPrefix(span.GetKind().String(), "SPAN_KIND_")),
		Attributes: attributes(span.GetAttributes()), Resource: resource,
		Began: time.Unix(0, int64(span.GetStartTimeUnixNano())), //nolint:gosec // until the year 2262
		Ended: time.Unix(0, int64(span.GetEndTimeUnixNano())),   //nolint:gosec // the same
	}
	if span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
		decoded.Error = span.GetStatus().GetMessage()
	}
	return decoded
}

func attributes(list []*common.KeyValue) map[string]string {
	values := map[string]string{}
	for _, attribute := range list {
		switch value := attribute.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			values[attribute.GetKey()] = value.StringValue
		case *common.AnyValue_IntValue:
			values[attribute.GetKey()] = fmt.Sprint(value.IntValue)
		default:
			values[attribute.GetKey()] = attribute.GetValue().String()
		}
	}
	return values
}
