package bench

// ScaleReport is all that [Scale] has measured.
type ScaleReport struct {
	Few     int            `json:"few"`
	Volumes int            `json:"volumes"`
	Rounds  []ScaleRound   `json:"rounds"`
	Summary []ScaleSummary `json:"summary"`
	Servers ServerMemory   `json:"server_rss_bytes"`
	Active  Active         `json:"active"`
	Machine Machine        `json:"machine"`
}

// ScaleTurn is one turn with one of the servers.
type ScaleTurn struct {
	Commands   int     `json:"commands"`
	Throughput float64 `json:"throughput"` // commands answered in a second
	Latency    Latency `json:"latency_ms"`
	CPU        CPU     `json:"cpu_s_per_1000"`
}

// ScaleRound is a turn with few and one with many volumes. Ratios are many to few.
type ScaleRound struct {
	Workload   Workload  `json:"workload"`
	Round      int       `json:"round"` // counted from 1
	FewTurn    ScaleTurn `json:"few"`
	ManyTurn   ScaleTurn `json:"many"`
	Throughput float64   `json:"throughput_ratio"`
	WorkerCPU  float64   `json:"worker_cpu_ratio"`
	ServerCPU  float64   `json:"server_cpu_ratio"`
	P50        float64   `json:"p50_ratio"`
}

// ScaleSummary is what the rounds of one workload come to.
type ScaleSummary struct {
	Workload   Workload `json:"workload"`
	Rounds     int      `json:"rounds"`
	Throughput Spread   `json:"throughput_ratio"`
	WorkerCPU  Spread   `json:"worker_cpu_ratio"`
	ServerCPU  Spread   `json:"server_cpu_ratio"`
	P50        Spread   `json:"p50_ratio"`
}

// ServerMemory is the resident memory of the two servers after the rounds, in bytes.
type ServerMemory struct {
	Few  uint64 `json:"few"`
	Many uint64 `json:"many"`
}

// Footprint is what a worker takes at one moment.
type Footprint struct {
	RSS        uint64 `json:"rss_bytes"`
	Peak       uint64 `json:"peak_rss_bytes"` // since its start
	Goroutines int    `json:"goroutines"`
	Lanes      int    `json:"lanes"`
}

// Active is what became of a worker by commands to many volumes.
type Active struct {
	Volumes int        `json:"volumes"`
	Idle    Footprint  `json:"idle"` // before the first
	Passes  []Activity `json:"passes"`
}

// Activity is one command for each of the volumes.
type Activity struct {
	Verb       string    `json:"verb"`
	Commands   int       `json:"commands"`
	Throughput float64   `json:"throughput"`
	CPU        CPU       `json:"cpu_s_per_1000"`
	MostLanes  int       `json:"most_lanes"` // of those seen
	MostRSS    uint64    `json:"most_rss_bytes"`
	After      Footprint `json:"after"` // the last command
}

func newScaleRound(w Workload, n int, few, many ScaleTurn) ScaleRound {
	return ScaleRound{
		Workload: w, Round: n, FewTurn: few, ManyTurn: many,
		Throughput: ratio(many.Throughput, few.Throughput),
		WorkerCPU:  ratio(many.CPU.Workers, few.CPU.Workers),
		ServerCPU:  ratio(many.CPU.Servers, few.CPU.Servers),
		P50:        ratio(many.Latency.P50, few.Latency.P50),
	}
}

// summariseScale returns a summary of rounds of one workload.
func summariseScale(rounds []ScaleRound) ScaleSummary {
	of := func(value func(ScaleRound) float64) Spread {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = value(r)
		}
		return spread(values)
	}
	return ScaleSummary{
		Workload: rounds[0].Workload, Rounds: len(rounds),
		Throughput: of(func(r ScaleRound) float64 { return r.Throughput }),
		WorkerCPU:  of(func(r ScaleRound) float64 { return r.WorkerCPU }),
		ServerCPU:  of(func(r ScaleRound) float64 { return r.ServerCPU }),
		P50:        of(func(r ScaleRound) float64 { return r.P50 }),
	}
}
