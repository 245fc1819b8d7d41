package telemetry

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/jetvol/jetvol/volume"
)

// NewRegistry returns a registry that tells of the Go runtime and the process already.
func NewRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// RegisterBuild registers the metric jetvol_build_info of a program of the given version.
func RegisterBuild(registerer prometheus.Registerer, version string) {
	promauto.With(registerer).NewGauge(prometheus.GaugeOpts{
		Name:        "jetvol_build_info",
		Help:        "1, with the version of jetvol and that of Go.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}).Set(1)
}

// BackendCalls measures the calls of all backends of a process, and makes spans of them.
type BackendCalls struct {
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	tracer   *Tracer
}

// NewBackendCalls registers the metrics jetvol_backend_call_duration_seconds, whose
// count is the number of calls, and jetvol_backend_calls_in_flight. It may be called once
// per registerer. The tracer may be nil.
func NewBackendCalls(registerer prometheus.Registerer, tracer *Tracer) BackendCalls {
	return BackendCalls{
		duration: promauto.With(registerer).NewHistogramVec(prometheus.HistogramOpts{
			Name:    "jetvol_backend_call_duration_seconds",
			Help:    "Calls of a backend, by method and error class; the class is ok if there was no error.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"backend", "call", "class"}),
		inFlight: promauto.With(registerer).NewGaugeVec(prometheus.GaugeOpts{
			Name: "jetvol_backend_calls_in_flight",
			Help: "Calls of a backend that are waited for, those that wait for their turn included.",
		}, []string{"backend"}),
		tracer: tracer,
	}
}

// Observer returns what a backend of the given name tells of its calls.
func (c BackendCalls) Observer(backend string) CallObserver {
	return CallObserver{calls: c, backend: backend, inFlight: c.inFlight.WithLabelValues(backend)}
}

// CallObserver is told of each call of one backend.
type CallObserver struct {
	calls    BackendCalls
	backend  string
	inFlight prometheus.Gauge
}

// Begin is told of a call that begins, and returns ctx with the span of the call.
func (o CallObserver) Begin(ctx context.Context, call string) context.Context {
	o.inFlight.Inc()
	return o.calls.tracer.Call(ctx, o.backend, call)
}

// End is told how a call ended that was begun with ctx.
func (o CallObserver) End(ctx context.Context, call string, err error, took time.Duration) {
	o.inFlight.Dec()
	class := volume.ClassOf(err)
	if class == "" {
		class = "ok"
	}
	o.calls.duration.WithLabelValues(o.backend, call, string(class)).Observe(took.Seconds())
	o.calls.tracer.Returned(ctx, err)
}

// ObserveBackend registers the metric jetvol_backend_up of one backend. Whenever metrics
// are read, probe is called, for as long as a check of readiness at most.
func ObserveBackend(registerer prometheus.Registerer, backend string, probe func(ctx context.Context) error) {
	promauto.With(registerer).NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "jetvol_backend_up",
		Help:        "1 if the backend answers, 0 if not.",
		ConstLabels: prometheus.Labels{"backend": backend},
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
		defer cancel()
		if probe(ctx) != nil {
			return 0
		}
		return 1
	})
}
