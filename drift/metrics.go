package drift

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/jetvol/jetvol/volume"
)

// metrics are what a sweeper tells Prometheus; never a volume's name as a label.
type metrics struct {
	drift    *prometheus.GaugeVec
	sweeps   *prometheus.CounterVec
	looks    prometheus.Counter
	skipped  prometheus.Counter
	commands *prometheus.CounterVec
	duration prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	m := &metrics{
		drift: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jetvol_drift", Help: "Volumes that differ from their backend, by kind, in the partitions that the worker swept last.",
		}, []string{"kind"}),
		sweeps: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_sweeps_total", Help: "Comparisons of records with backends, by result.",
		}, []string{"result"}),
		looks: factory.NewCounter(prometheus.CounterOpts{
			Name: "jetvol_sweep_looks_total", Help: "Volumes that sweeps asked a backend for.",
		}),
		skipped: factory.NewCounter(prometheus.CounterOpts{
			Name: "jetvol_sweep_skips_total", Help: "Volumes and backends that a sweep could not look at.",
		}),
		commands: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_sweep_commands_total", Help: "Commands that sweeps published, by verb.",
		}, []string{"verb"}),
		duration: factory.NewHistogram(prometheus.HistogramOpts{
			Name: "jetvol_sweep_duration_seconds", Help: "How long a sweep took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 11),
		}),
	}
	// What has not happened yet counts 0, so that its first time is seen as an increase.
	m.count(nil)
	for _, result := range []string{succeeded, failed} {
		m.sweeps.WithLabelValues(result)
	}
	for _, verb := range []volume.Verb{volume.VerbReconcile, volume.VerbAdopt} {
		m.commands.WithLabelValues(string(verb))
	}
	return m
}

// The results of a sweep.
const (
	succeeded = "succeeded"
	failed    = "failed"
)

// kinds are all that the gauge tells, so that each is 0 where there is none.
var kinds = []volume.DriftKind{
	volume.DriftGhost, volume.DriftOrphan, volume.DriftOwner, volume.DriftSize, volume.DriftNode, volume.DriftSnapshots,
}

// count sets the gauge to what the findings say.
func (m *metrics) count(found map[volume.DriftKind]int) {
	for _, kind := range kinds {
		m.drift.WithLabelValues(string(kind)).Set(float64(found[kind]))
	}
}
