package telemetry

import (
	"context"
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

// BackendCalls measures the calls of all backends of a process.
type BackendCalls struct {
	duration *prometheus.HistogramVec
}

// NewBackendCalls registers the metric jetvol_backend_call_duration_seconds, whose
// count is the number of calls. It may be called once per registerer.
func NewBackendCalls(registerer prometheus.Registerer) BackendCalls {
	return BackendCalls{promauto.With(registerer).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "jetvol_backend_call_duration_seconds",
		Help:    "Calls of a backend, by method and error class; the class is ok if there was no error.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
	}, []string{"backend", "call", "class"})}
}

// Observer returns the function that a backend tells each of its calls to.
func (c BackendCalls) Observer(backend string) func(call string, class volume.Class, took time.Duration) {
	return func(call string, class volume.Class, took time.Duration) {
		if class == "" {
			class = "ok"
		}
		c.duration.WithLabelValues(backend, call, string(class)).Observe(took.Seconds())
	}
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
