package worker_test

import (
	"regexp"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

// assumed counts the records that a worker tries to store only where nothing lies, with those
// that are refused.
func (s *system) assumed(name string) func() int {
	s.t.Helper()
	return s.counting("$KV.volumes."+key(name).String(), func(m *nats.Msg) bool {
		return m.Header.Get("Nats-Expected-Last-Subject-Sequence") == "0"
	})
}

// counted returns how often the next worker has begun a command again. That a request takes long
// is no reason for it.
func (s *system) counted() (restarts func() float64) {
	registry := prometheus.NewRegistry()
	s.config.Registerer, s.config.RequestTimeout = registry, limit
	return func() float64 {
		s.t.Helper()
		families, err := registry.Gather()
		s.must(err)
		for _, family := range families {
			if family.GetName() == "jetvol_command_restarts_total" {
				return family.GetMetric()[0].GetCounter().GetValue()
			}
		}
		s.t.Fatal("the metric is missing")
		return 0
	}
}

// TestWorker_RememberedName_NothingIsAssumed: a create of a name that the worker remembers is
// decided by that, whether it is refused or begins another life.
func TestWorker_RememberedName_NothingIsAssumed(t *testing.T) {
	s := start(t)
	assumed := s.assumed("v")
	s.create("v", volume.MiB)
	if n := assumed(); n != 1 {
		t.Fatalf("create of a new name: got %d records assumed, want 1", n)
	}
	s.wantReply(s.create("v", volume.MiB), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	s.verb("v", volume.VerbDelete)
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	if n := assumed(); n != 0 {
		t.Errorf("creates of a remembered name: got %d records assumed, want none", n)
	}
}

// TestWorker_AssumedRecordRefused_CommandIsNotBegunAgain: that a record lies there is to be
// expected. It costs the command no wait, and nobody is asked to whom the partition belongs, as
// after a conflict.
func TestWorker_AssumedRecordRefused_CommandIsNotBegunAgain(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.must(s.stop())
	restarts, assumed := s.counted(), s.assumed("v")
	s.startWorker()
	s.wantReply(s.create("v", volume.MiB), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	if n := assumed(); n != 1 {
		t.Fatalf("got %d records assumed, want 1 that is refused", n)
	}
	if n := restarts(); n != 0 {
		t.Errorf("got %v restarts, want none", n)
	}
}

// beginning holds the command with the id in the moment in which its span begins, which is after
// it was decided whether anything is assumed.
type beginning struct {
	sdktrace.Sampler
	id      string
	once    sync.Once
	entered chan struct{}
	release chan struct{}
}

func (b *beginning) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	for _, a := range p.Attributes {
		if p.Name == telemetry.SpanProcess && a.Key == "messaging.message.id" && a.Value.AsString() == b.id {
			b.once.Do(func() {
				close(b.entered)
				<-b.release
			})
		}
	}
	return b.Sampler.ShouldSample(p)
}

// TestWorker_QuotaComesWhileACreateAssumes_IsRefusedAtOnce: the quota that refuses it was not known
// when the create began. Like every refusal it is decided again, by what is known of the name.
func TestWorker_QuotaComesWhileACreateAssumes_IsRefusedAtOnce(t *testing.T) {
	s := prepare(t)
	held := &beginning{
		Sampler: sdktrace.NeverSample(), id: "late", entered: make(chan struct{}), release: make(chan struct{}),
	}
	release := sync.OnceFunc(func() { close(held.release) })
	s.config.Tracer = telemetry.NewTracer(sdktrace.NewTracerProvider(sdktrace.WithSampler(held)), "v1.2.3")
	restarts := s.counted()
	s.startWorker()
	t.Cleanup(release) // before the worker is stopped
	late := createOf("v")
	late.ID = "late"
	s.publish(late)
	<-held.entered
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(0)})
	s.wantReply(s.create("another", volume.MiB), volume.Rejected, "", volume.ErrQuotaExceeded) // the worker has it
	release()
	s.await("the create's end", func() bool { return s.queued("v") == 0 })
	outcome, _ := s.record("v").Outcome("late")
	if outcome.Failure == nil || outcome.Failure.Code != volume.ErrQuotaExceeded {
		t.Errorf("create: got %+v, want %s", outcome, volume.ErrQuotaExceeded)
	}
	if n := restarts(); n != 0 {
		t.Errorf("got %v restarts, want none", n)
	}
	s.wantWitnesses("v", volume.EventRejected)
	s.wantUsed(quotas.Usage{})
}

// TestWorker_AssumedRecordLost_NextAttemptLooks: whether the record was stored is not known after
// an error. The next attempt assumes nothing.
func TestWorker_AssumedRecordLost_NextAttemptLooks(t *testing.T) {
	s := prepare(t)
	lost := &sieve{lost: regexp.MustCompile(`(?s)HPUB \$KV\.volumes\.default\.v .*?\r\n\r\n\{.*?\}\r\n`)}
	stop := s.startOn(s.server.Connect(t, nats.SetCustomDialer(lost)), s.config)
	t.Cleanup(func() { must(t, stop()) })
	reads := s.reads()
	s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	lost.once.Do(func() { t.Error("no record was lost") })
	if n := reads(); n < 2 {
		t.Errorf("got %d reads, want that of the record and that of the last event", n)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}
