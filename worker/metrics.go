package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/jetvol/jetvol/volume"
)

// metrics are the worker's own. No label ever holds a volume's name.
type metrics struct {
	commands    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	lag         prometheus.Histogram
	transitions *prometheus.CounterVec
	retries     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	reloads     prometheus.Counter
	losses      prometheus.Counter
	partitions  prometheus.Gauge
	takeovers   prometheus.Counter
	lanes       prometheus.Gauge
	queued      prometheus.Gauge
	pending     *prometheus.GaugeVec
	events      *prometheus.CounterVec
	waits       prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	m := &metrics{
		commands: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_commands_total", Help: "Commands ended, by verb, outcome and error code.",
		}, []string{"verb", "outcome", "code"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jetvol_command_duration_seconds", Help: "From taking a command up to its acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"verb"}),
		lag: factory.NewHistogram(prometheus.HistogramOpts{
			Name: "jetvol_command_lag_seconds", Help: "From the storing of a command to its being taken up.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}),
		transitions: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_transitions_total", Help: "Transitions stored, by event.",
		}, []string{"event"}),
		retries: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_retries_total", Help: "Backend operations tried again, by verb.",
		}, []string{"verb"}),
		deadLetters: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_dead_letters_total", Help: "Commands buried as dead letters, by error code.",
		}, []string{"code"}),
		reloads: factory.NewCounter(prometheus.CounterOpts{
			Name: "jetvol_command_restarts_total", Help: "Commands begun again from the stored record after a conflict or an unreachable server.",
		}),
		losses: factory.NewCounter(prometheus.CounterOpts{
			Name: "jetvol_partition_losses_total", Help: "Partitions lost to another owner or a fault, not given up in order.",
		}),
		partitions: factory.NewGauge(prometheus.GaugeOpts{
			Name: "jetvol_partitions", Help: "Partitions that the worker serves.",
		}),
		takeovers: factory.NewCounter(prometheus.CounterOpts{
			Name: "jetvol_operation_takeovers_total", Help: "Operations begun by another worker and carried on by this one.",
		}),
		lanes: factory.NewGauge(prometheus.GaugeOpts{
			Name: "jetvol_lanes", Help: "Volumes being worked on.",
		}),
		queued: factory.NewGauge(prometheus.GaugeOpts{
			Name: "jetvol_lane_commands", Help: "Commands waiting in lanes behind others of their volume.",
		}),
		pending: factory.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jetvol_commands_pending", Help: "Commands stored and not yet taken, by partition, of those that the worker serves.",
		}, []string{"partition"}),
		events: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "jetvol_events_published_total", Help: "Events published and known to be on the stream, by event.",
		}, []string{"event"}),
		waits: factory.NewGauge(prometheus.GaugeOpts{
			Name: "jetvol_retry_waits", Help: "Commands that wait for the next attempt of their backend operation.",
		}),
	}
	m.begin()
	return m
}

// begin has the counters of what should not happen begin at 0: of one that appears with its
// first increment nobody sees that it was incremented.
func (m *metrics) begin() {
	for _, verb := range volume.Verbs() {
		m.retries.WithLabelValues(string(verb))
	}
	for code, class := range volume.Codes() {
		if class == volume.InvalidArgument || code == volume.ErrCommandIDReused || code == volume.ErrInternal {
			m.deadLetters.WithLabelValues(string(code))
		}
	}
}

// registerGauges registers what is looked up whenever metrics are read.
func (w *Worker) registerGauges(registerer prometheus.Registerer) {
	factory := promauto.With(registerer)
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jetvol_oldest_command_age_seconds",
		Help: "Time since the storing of the oldest command that the worker was given and has not ended; 0 if there is none.",
	}, func() float64 { return w.oldest(time.Now()).Seconds() })
	factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "jetvol_lease_renew_failures_total", Help: "Renewals of the worker's lease that failed.",
	}, func() float64 { return float64(w.member.Failures()) })
}

// oldest returns the age of the oldest command that the worker holds, by the server's
// clock when it was stored and this one's now.
func (w *Worker) oldest(now time.Time) (age time.Duration) {
	for _, p := range w.partitions {
		if t := p.tenure.Load(); t != nil {
			age = max(age, t.oldest(now))
		}
	}
	return age
}

func (t *tenure) oldest(now time.Time) (age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.held {
		age = max(age, now.Sub(d.StoredAt))
	}
	return age
}
