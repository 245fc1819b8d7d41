package worker_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/otlptest"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const (
	publisherTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	publisherSpan  = "00f067aa0ba902b7"
)

// traced is a system whose worker sends its spans to a collector.
type traced struct {
	*system
	collector *otlptest.Collector
}

func startTraced(t *testing.T, change ...func(*worker.Config)) *traced {
	t.Helper()
	s := &traced{system: prepare(t, change...), collector: otlptest.Start(t)}
	s.collector.Setenv(t)
	tracing, err := telemetry.StartTracing(t.Context(), telemetry.Identity{Instance: "worker-1", Version: "v1.2.3"}, s.config.Logger)
	s.must(err)
	t.Cleanup(func() { // when the worker has stopped
		s.collector.Release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
		defer cancel()
		s.must(tracing.Shutdown(ctx))
	})
	calls := telemetry.NewBackendCalls(prometheus.NewRegistry(), tracing.Tracer())
	backend := backends.New("local", shared{s.backend}, backends.Options{Observe: calls.Observer("local")})
	t.Cleanup(func() { s.must(backend.Close()) })
	s.config.Backends = map[string]*backends.Backend{"local": backend}
	s.config.Tracer = tracing.Tracer()
	s.startWorker()
	return s
}

// shared is a driver of two backends, of which the other one closes it.
type shared struct{ *hooked }

func (shared) Close() error { return nil }

// spansOf returns the spans of a command once the last of them has come.
func (s *traced) spansOf(id volume.CommandID) []otlptest.Span {
	s.t.Helper()
	trace := ""
	spans := s.collector.Await(s.t, "the spans of "+string(id), func(spans []otlptest.Span) bool {
		for _, span := range spans {
			if span.Name == telemetry.SpanProcess && span.Attributes["messaging.message.id"] == string(id) {
				trace = span.Trace
			}
		}
		return trace != ""
	})
	return slices.DeleteFunc(spans, func(span otlptest.Span) bool { return span.Trace != trace })
}

// named returns the spans of a name, in the order in which they began.
func named(spans []otlptest.Span, name string) (found []otlptest.Span) {
	for _, span := range spans {
		if span.Name == name {
			found = append(found, span)
		}
	}
	slices.SortFunc(found, func(a, b otlptest.Span) int { return a.Began.Compare(b.Began) })
	return found
}

// only returns the one span of a name.
func (s *traced) only(spans []otlptest.Span, name string) otlptest.Span {
	s.t.Helper()
	found := named(spans, name)
	if len(found) != 1 {
		s.t.Fatalf("got %d spans %q, want 1:\n%s", len(found), name, otlptest.Show(spans))
	}
	return found[0]
}

func TestWorker_Traced_OneTraceFromThePublisherToTheBackend(t *testing.T) {
	s := startTraced(t)
	reply := s.do(commands.Request{
		Key: key("db-01"), Verb: volume.VerbCreate, ID: "create-1", Args: volume.Args{Size: 4 * volume.MiB},
		TraceParent: "00-" + publisherTrace + "-" + publisherSpan + "-01",
	})
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	spans := s.spansOf("create-1")
	process := s.only(spans, telemetry.SpanProcess)
	if process.Trace != publisherTrace || process.Parent != publisherSpan || process.Kind != "consumer" || process.Error != "" {
		t.Errorf("got %+v, want a consumer within the publisher's span", process)
	}
	for name, want := range map[string]string{
		"messaging.system": "nats", "messaging.operation.type": "process", "messaging.operation.name": "process",
		"messaging.destination.name": "volume.command.<project>.<volume>.<verb>", "messaging.message.id": "create-1",
		"jetvol.volume": "default.db-01", "jetvol.verb": "create", "jetvol.outcome": "succeeded",
		"jetvol.state": "available", "jetvol.generation": "2",
	} {
		if got := process.Attributes[name]; got != want {
			t.Errorf("attribute %s: got %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"service.name": "jetvol", "service.instance.id": "worker-1", "service.version": "v1.2.3"} {
		if got := process.Resource[name]; got != want {
			t.Errorf("resource %s: got %q, want %q", name, got, want)
		}
	}
	attempt, call := s.only(spans, telemetry.SpanAttempt), s.only(spans, "backend create")
	if attempt.Parent != process.ID || attempt.Attributes["jetvol.attempt"] != "1" {
		t.Errorf("got %+v, want attempt 1 within %s", attempt, process.ID)
	}
	if call.Parent != attempt.ID || call.Kind != "client" || call.Attributes["jetvol.backend"] != "local" {
		t.Errorf("got %+v, want a call within %s", call, attempt.ID)
	}
	transitions := named(spans, telemetry.SpanTransition)
	told := s.events("db-01")
	if len(transitions) != 2 || len(told) != 2 {
		t.Fatalf("got %d transitions and %d events, want 2:\n%s", len(transitions), len(told), otlptest.Show(spans))
	}
	for i, span := range transitions {
		if span.Parent != process.ID || span.Attributes["jetvol.event"] != string(told[i].Event) {
			t.Errorf("got %+v, want %s within %s", span, told[i].Event, process.ID)
		}
		if told[i].TraceParent != span.TraceParent() {
			t.Errorf("event %s: got traceparent %q, want that of its maker %q", told[i].ID, told[i].TraceParent, span.TraceParent())
		}
		for _, step := range []string{telemetry.SpanStore, telemetry.SpanPublishEvent} {
			if within := named(spans, step); within[i].Parent != span.ID {
				t.Errorf("%s: got %+v, want it within %s", step, within[i], span.ID)
			}
		}
	}
}

func TestWorker_Traced_RetriesShowAsAttempts(t *testing.T) {
	s := startTraced(t)
	failures := 2
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call != "create" || failures == 0 {
			return nil
		}
		failures--
		return backends.Errorf(volume.Unavailable, "no monitor answers")
	}, nil)
	s.wantReply(s.do(commands.Request{
		Key: key("db-01"), Verb: volume.VerbCreate, ID: "create-1", Args: volume.Args{Size: 4 * volume.MiB},
	}), volume.Succeeded, volume.StateAvailable, "")
	spans := s.spansOf("create-1")
	attempts, calls := named(spans, telemetry.SpanAttempt), named(spans, "backend create")
	if len(attempts) != 3 || len(calls) != 3 || len(named(spans, telemetry.SpanWait)) != 2 {
		t.Fatalf("got other than 3 attempts with 3 calls and 2 waits:\n%s", otlptest.Show(spans))
	}
	for i, attempt := range attempts {
		class, code, failed := calls[i].Attributes["jetvol.class"], attempt.Attributes["error.type"], attempt.Error != ""
		if attempt.Attributes["jetvol.attempt"] != strconv.Itoa(i+1) || calls[i].Parent != attempt.ID || failed != (i < 2) {
			t.Errorf("attempt %d: got %+v and %+v", i+1, attempt, calls[i])
		}
		if failed && (class != string(volume.Unavailable) || code != string(volume.ErrBackendUnavailable)) {
			t.Errorf("attempt %d: got class %q and code %q", i+1, class, code)
		}
	}
	if process := s.only(spans, telemetry.SpanProcess); process.Error != "" || process.Parent != "" {
		t.Errorf("got %+v, want a span of its own trace that ended well", process)
	}
}

func TestWorker_TracedRefusal_SpanHasItsCode(t *testing.T) {
	s := startTraced(t)
	s.do(commands.Request{Key: key("db-01"), Verb: volume.VerbDelete, ID: "delete-1"})
	process := s.only(s.spansOf("delete-1"), telemetry.SpanProcess)
	if process.Error == "" || process.Attributes["error.type"] != string(volume.ErrVolumeNotFound) ||
		process.Attributes["jetvol.outcome"] != string(volume.Rejected) {
		t.Errorf("got %+v, want a refusal", process)
	}
}

func TestWorker_TraceParentThatIsNone_BeginsATrace(t *testing.T) {
	for name, given := range map[string]string{
		"no form": "00-zz", "no ids": "00-00000000000000000000000000000000-0000000000000000-01",
		"version of the future": "ff-" + publisherTrace + "-" + publisherSpan + "-01",
	} {
		t.Run(name, func(t *testing.T) {
			s := startTraced(t)
			msg, err := commands.NewMessage(volume.Command{
				ID: "create-1", Key: key("db-01"), Verb: volume.VerbCreate, Args: volume.Args{Size: 4 * volume.MiB},
			}, "")
			s.must(err)
			msg.Header.Set(commands.HeaderTraceParent, given)
			_, err = s.js.PublishMsg(s.ctx, msg)
			s.must(err)
			s.awaitEvent("db-01", ofEvent(volume.EventReady))
			process := s.only(s.spansOf("create-1"), telemetry.SpanProcess)
			if process.Parent != "" || process.Trace == publisherTrace {
				t.Errorf("got %+v, want a trace of its own", process)
			}
		})
	}
}

func TestWorker_TracedBurial_IsOfThePublishersTrace(t *testing.T) {
	s := startTraced(t)
	msg, err := commands.NewMessage(volume.Command{ID: "create-1", Key: key("db-01"), Verb: volume.VerbDelete}, "")
	s.must(err)
	msg.Data = []byte("no JSON")
	msg.Header.Set(commands.HeaderTraceParent, "00-"+publisherTrace+"-"+publisherSpan+"-01")
	_, err = s.js.PublishMsg(s.ctx, msg)
	s.must(err)
	spans := s.collector.Await(t, "a burial", func(spans []otlptest.Span) bool { return len(named(spans, telemetry.SpanBury)) > 0 })
	bury := s.only(spans, telemetry.SpanBury)
	if bury.Trace != publisherTrace || bury.Parent != publisherSpan || bury.Attributes["error.type"] != string(volume.ErrInvalidPayload) {
		t.Errorf("got %+v, want one within the publisher's span that tells why", bury)
	}
}

// A worker that goes on finds the trace in the record if the publisher gave none.
func TestWorker_TracedTakeover_GoesOnInTheSameTrace(t *testing.T) {
	s := startTraced(t, func(c *worker.Config) { c.Retry.InitialWait, c.Retry.MaxWait = limit, limit })
	s.backend.hook(func(context.Context, string, backends.Ref) error {
		return backends.Errorf(volume.Unavailable, "no monitor answers")
	}, nil)
	s.publish(commands.Request{Key: key("db-01"), Verb: volume.VerbCreate, ID: "create-1", Args: volume.Args{Size: 4 * volume.MiB}})
	s.awaitEvent("db-01", ofEvent(volume.EventError))
	s.must(s.stop()) // in the middle of the wait
	s.backend.hook(nil, nil)
	next := s.config
	next.ID, next.Retry = "worker-2", quickRetry()
	stop := s.startAnother(next)
	t.Cleanup(func() { s.must(stop()) })
	s.awaitEvent("db-01", ofEvent(volume.EventReady))
	traces, workers := map[string]bool{}, map[string]bool{}
	for _, event := range s.events("db-01") {
		traces[event.TraceParent[:len("00-")+len(publisherTrace)]], workers[event.Worker] = true, true
	}
	if len(traces) != 1 || len(workers) != 2 {
		t.Errorf("got events of the traces %v and the workers %v, want of one and two", traces, workers)
	}
}

// Tracing that hangs must cost the commands nothing.
func TestWorker_CollectorThatHangs_StopsNothing(t *testing.T) {
	s := startTraced(t)
	s.collector.Hang()
	for _, verb := range []volume.Verb{volume.VerbCreate, volume.VerbDelete} {
		s.wantReply(s.do(commands.Request{Key: key("db-01"), Verb: verb, Args: volume.Args{Size: sizeFor(verb)}}),
			volume.Succeeded, map[volume.Verb]volume.State{volume.VerbCreate: volume.StateAvailable, volume.VerbDelete: volume.StateDeleted}[verb], "")
	}
	if err := s.stop(); err != nil {
		t.Errorf("drain: got %v, want nil", err)
	}
}

func sizeFor(verb volume.Verb) volume.Bytes {
	if verb == volume.VerbCreate {
		return 4 * volume.MiB
	}
	return 0
}

// BenchmarkWorker_Create tells what one command costs: with -benchmem the allocations,
// which tracing that is off must not add to.
func BenchmarkWorker_Create(b *testing.B) {
	s := prepare(b, func(c *worker.Config) { c.Logger = c.Logger.Level(5) })
	stop := s.startAnother(s.config)
	b.Cleanup(func() { s.must(stop()) })
	s.create("warm", 4*volume.MiB)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.create("v"+strconv.Itoa(i), 4*volume.MiB)
	}
}
