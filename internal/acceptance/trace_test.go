package acceptance

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/otlptest"
	"github.com/jetvol/jetvol/volume"
)

// find returns the first span of a name that was sent under a worker's id; that of the
// jetvol which publishes is empty.
func find(spans []otlptest.Span, worker, name string) (otlptest.Span, bool) {
	i := slices.IndexFunc(spans, func(s otlptest.Span) bool {
		return s.Name == name && s.Resource["service.instance.id"] == worker
	})
	if i < 0 {
		return otlptest.Span{}, false
	}
	return spans[i], true
}

// awaitCreate returns the span in which a worker carries out a create that another one has begun,
// and that of the event that it makes. It took the name for new before, in spans of their own
// that have not failed.
func awaitCreate(t *testing.T, c *otlptest.Collector, worker string) (process, made otlptest.Span) {
	t.Helper()
	c.Await(t, worker+" creates", func(spans []otlptest.Span) bool {
		for _, span := range spans {
			if span.Resource["service.instance.id"] != worker {
				continue
			}
			if span.Error != "" {
				t.Errorf("%s failed: %s", span.Name, span.Error)
			}
			if span.Name == "process volume.command" && span.Attributes["jetvol.outcome"] == "succeeded" {
				process = span
			}
		}
		i := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Name == "transition" && s.Parent == process.ID })
		if i >= 0 {
			made = spans[i]
		}
		return process.ID != "" && i >= 0
	})
	return process, made
}

// await returns the first span of a name under a worker's id, once it has come.
func await(t *testing.T, c *otlptest.Collector, worker, name string) otlptest.Span {
	t.Helper()
	spans := c.Await(t, worker+" "+name, func(spans []otlptest.Span) bool {
		_, ok := find(spans, worker, name)
		return ok
	})
	span, _ := find(spans, worker, name)
	return span
}

// The command line publishes, one worker is killed in the middle of the backend's call, and
// the next one carries on: all of it is one trace, and each event leads to it.
func TestTrace_KillInTheBackendCall_NextWorkerIsInTheSameTrace(t *testing.T) {
	dependOnSources(t)
	collector := otlptest.Start(t)
	collector.Setenv(t) // for all programs that this test starts
	s := &server{url: natstest.Start(t).URL(), workDir: t.TempDir()}
	first := startWorker(t, s, "--id worker-1 --backend null --null-latency 1h")
	create := startProgram(t, s, s.url, "exec jetvol volume create db-01 --size 4MiB --id create-1")
	began := await(t, collector, "worker-1", "transition")
	first.kill()
	startWorker(t, s, "--id worker-2 --backend null")
	if printed, err := create.end(); err != nil {
		t.Fatalf("create: %v\n%s", err, printed)
	}
	publish := await(t, collector, "", "publish volume.command")
	process, ended := awaitCreate(t, collector, "worker-2")
	attempt := await(t, collector, "worker-2", "attempt")
	call := await(t, collector, "worker-2", "backend create")
	for _, span := range []otlptest.Span{began, process, attempt, call, ended} {
		if span.Trace != publish.Trace {
			t.Errorf("%s of %s: got trace %s, want the publisher's %s", span.Name, span.Resource["service.instance.id"], span.Trace, publish.Trace)
		}
	}
	if publish.Parent != "" || publish.Kind != "producer" {
		t.Errorf("publish: got %+v, want a producer that begins the trace", publish)
	}
	if process.Parent != publish.ID || attempt.Parent != process.ID || call.Parent != attempt.ID || ended.Parent != process.ID {
		t.Errorf("got other than publish > process > attempt > call: %+v, %+v, %+v, %+v", publish, process, attempt, call)
	}
	_, js := s.connect(t)
	made := map[volume.Event]string{volume.EventCreate: began.TraceParent(), volume.EventReady: ended.TraceParent()}
	for stored, err := range events.Read(t.Context(), js, events.Filter{Project: project, Volume: "db-01"}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := made[stored.Data.Event]; stored.Data.TraceParent != want {
			t.Errorf("event %s: got traceparent %q, want %q of the span that made it", stored.Data.ID, stored.Data.TraceParent, want)
		}
	}
}

// A sweep finds that a volume is lost, and the command line repairs it: both publish commands.
func TestTrace_SweepAndRepair_BeginTraces(t *testing.T) {
	collector := otlptest.Start(t)
	collector.Setenv(t)
	s := startServer(t, "--id", "w1", "--reconcile-interval", "100ms")
	s.shell(t, "jetvol volume create db-01 --size 4MiB")
	for _, file := range filesOf(t, s, "default.db-01") {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	await(t, collector, "w1", "publish volume.command")
	s.shell(t, awaiting("jetvol drift show db-01", "error"))
	s.shell(t, "jetvol drift repair db-01 --believe backend --yes")
	const created, repaired = 1, 2 // by a reconcile and a delete
	collector.Await(t, "publish volume.command of drift repair", func(spans []otlptest.Span) bool {
		return len(published(spans)) == created+repaired
	})
	s.stop(t)
}

// published returns the spans of what the command line published.
func published(spans []otlptest.Span) []otlptest.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s otlptest.Span) bool {
		return s.Name != "publish volume.command" || s.Resource["service.instance.id"] != ""
	})
}

func TestTrace_CollectorThatHangs_ProgramsDoTheirWorkAndEnd(t *testing.T) {
	collector := otlptest.Start(t)
	collector.Setenv(t)
	collector.Hang()
	s := startServer(t) // whose stop wants it to drain
	if printed := s.shell(t, "jetvol volume create db-01 --size 4MiB"); !strings.Contains(printed, "available") {
		t.Errorf("create printed\n%s\nwant the volume to be available", printed)
	}
	s.stop(t)
	if collector.Asked() == 0 {
		t.Error("got no request, so nothing was in anybody's way")
	}
}

func TestTrace_NoCollectorThere_ProgramsDoTheirWorkAndTellIt(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // nobody listens there
	s := startServer(t)
	printed := s.shell(t, "jetvol volume create db-01 --size 4MiB")
	for _, want := range []string{"available", "traces are not sent"} {
		if !strings.Contains(printed, want) {
			t.Errorf("create printed\n%s\nwant %q", printed, want)
		}
	}
	s.stop(t)
}
