package bench

import (
	"runtime"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is all that a run has measured.
type Report struct {
	Rounds  []Round   `json:"rounds"`
	Summary []Summary `json:"summary"`
	Machine Machine   `json:"machine"`
}

// Latency is in milliseconds, from the moment at which a command was due to its answer.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

// Round is one turn of jetvol and one of the ceiling, directly one after the other.
type Round struct {
	Workload Workload `json:"workload"`
	InFlight int      `json:"inflight"`
	Rate     float64  `json:"rate,omitempty"` // asked for in an open loop; 0 for a closed one
	Round    int      `json:"round"`          // counted from 1

	Commands   int     `json:"commands"`   // of jetvol
	Throughput float64 `json:"throughput"` // commands answered in a second
	Ceiling    float64 `json:"ceiling"`    // the same without jetvol
	// Ratio is left out of an open loop: there both sides answer what they are asked, and it
	// would be 1 by construction.
	Ratio float64 `json:"ratio_to_ceiling,omitzero"`

	Latency        Latency `json:"latency_ms"`
	CeilingLatency Latency `json:"ceiling_latency_ms"`
	CPU            CPU     `json:"cpu_s_per_1000"`
	CeilingCPU     CPU     `json:"ceiling_cpu_s_per_1000"`
	// Bytes is how much larger the streams and buckets have become for each command, by
	// what their state says.
	Bytes        float64 `json:"bytes_per_command"`
	CeilingBytes float64 `json:"ceiling_bytes_per_command"`
	// RoundTrips is there for creates one after another.
	RoundTrips *RoundTrips `json:"round_trips,omitempty"`
}

// Spread is a median with the smallest and largest value.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Summary is what the rounds of one number in flight come to.
type Summary struct {
	Workload   Workload `json:"workload"`
	InFlight   int      `json:"inflight"`
	Rate       float64  `json:"rate,omitempty"`
	Rounds     int      `json:"rounds"`
	Throughput Spread   `json:"throughput"`
	Ceiling    Spread   `json:"ceiling"`
	Ratio      Spread   `json:"ratio_to_ceiling,omitzero"` // not of an open loop
	P50        Spread   `json:"p50_ms"`
	P99        Spread   `json:"p99_ms"`
	P999       Spread   `json:"p999_ms"`
	// CPU is of all processes, and on a busy machine steadier than the throughput.
	CPU        Spread `json:"cpu_s_per_1000"`
	CeilingCPU Spread `json:"ceiling_cpu_s_per_1000"`
	Bytes      Spread `json:"bytes_per_command"`
	// RoundTrips is the ratio to the sum of the round trips, if they were measured.
	RoundTrips *Spread `json:"ratio_to_round_trips,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
	NATS string `json:"nats"`
}

func thisMachine(natsVersion string) Machine {
	return Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), NATS: natsVersion}
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Latency{at(50), at(99), at(99.9)}
}

// ratio returns a/b, 0 if there is no b.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// spread returns the zero value for no values. Of an even number the median is between the
// two in the middle.
func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// summarise returns a summary of rounds that differ in nothing but their number.
func summarise(rounds []Round) Summary {
	of := func(value func(Round) float64) Spread {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = value(r)
		}
		return spread(values)
	}
	s := Summary{
		Workload: rounds[0].Workload, InFlight: rounds[0].InFlight, Rate: rounds[0].Rate, Rounds: len(rounds),
		Throughput: of(func(r Round) float64 { return r.Throughput }),
		Ceiling:    of(func(r Round) float64 { return r.Ceiling }),
		Ratio:      of(func(r Round) float64 { return r.Ratio }),
		P50:        of(func(r Round) float64 { return r.Latency.P50 }),
		P99:        of(func(r Round) float64 { return r.Latency.P99 }),
		P999:       of(func(r Round) float64 { return r.Latency.P999 }),
		CPU:        of(func(r Round) float64 { return r.CPU.Total() }),
		CeilingCPU: of(func(r Round) float64 { return r.CeilingCPU.Total() }),
		Bytes:      of(func(r Round) float64 { return r.Bytes }),
	}
	if rounds[0].RoundTrips != nil {
		trips := of(func(r Round) float64 { return r.RoundTrips.Ratio })
		s.RoundTrips = &trips
	}
	return s
}
