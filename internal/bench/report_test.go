package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread_OfValues(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   Spread
	}{
		"none": {nil, Spread{}},
		"one":  {[]float64{3}, Spread{3, 3, 3}},
		"odd":  {[]float64{5, 1, 3}, Spread{3, 1, 5}},
		"even": {[]float64{4, 1, 2, 10}, Spread{3, 1, 10}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestSpread_LeavesItsValuesAsTheyAre(t *testing.T) {
	values := []float64{2, 1}
	spread(values)
	if !slices.Equal(values, []float64{2, 1}) {
		t.Errorf("got %v", values)
	}
}

func TestRatio_NoCeiling_IsNothing(t *testing.T) {
	if got := ratio(3, 0); got != 0 {
		t.Errorf("got %g, want 0", got)
	}
	if got := ratio(3, 4); got != 0.75 {
		t.Errorf("got %g, want 0.75", got)
	}
}

// Below saturation both sides answer what they are asked: a ratio of 1 would say nothing.
func TestNewRound_OpenLoop_HasNoRatio(t *testing.T) {
	turn := measured{outcome: outcome{latencies: newHistogram(), answered: 30, inTime: 30}}
	for rate, want := range map[float64]bool{0: true, 30: false} {
		round := newRound(Create, load{inFlight: 4, rate: rate, duration: time.Second}, 1, turn, turn)
		if round.Throughput != 30 || round.Ceiling != 30 {
			t.Errorf("rate %g: got %+v, want 30 a second of both", rate, round)
		}
		for _, report := range []any{round, summarise([]Round{round})} {
			text, err := json.Marshal(report)
			must(t, err)
			if got := strings.Contains(string(text), `"ratio_to_ceiling"`); got != want {
				t.Errorf("rate %g: got a ratio %t in %s, want %t", rate, got, text, want)
			}
		}
	}
}

// The ratio of a run is the median of its rounds' ratios, each of neighbours: not the ratio
// of medians, which may be of rounds in which the machine was another.
func TestSummarise_Ratio_IsOfNeighbours(t *testing.T) {
	round := func(jetvol, ceiling float64) Round {
		return Round{Workload: Create, InFlight: 64, Throughput: jetvol, Ceiling: ceiling, Ratio: ratio(jetvol, ceiling)}
	}
	got := summarise([]Round{round(80, 100), round(10, 20), round(90, 100)})
	if want := (Spread{0.8, 0.5, 0.9}); got.Ratio != want {
		t.Errorf("ratio: got %+v, want %+v", got.Ratio, want)
	}
	if want := (Spread{80, 10, 90}); got.Throughput != want || got.Rounds != 3 || got.InFlight != 64 || got.Workload != Create {
		t.Errorf("got %+v, want throughput %+v of 3 rounds", got, want)
	}
	if got.RoundTrips != nil {
		t.Errorf("got round trips %+v, want none", got.RoundTrips)
	}
}

func TestSummarise_RoundTrips_OfTheRoundsThatHaveThem(t *testing.T) {
	got := summarise([]Round{{RoundTrips: &RoundTrips{Ratio: 1.5}}, {RoundTrips: &RoundTrips{Ratio: 2.5}}})
	if want := (Spread{2, 1.5, 2.5}); got.RoundTrips == nil || *got.RoundTrips != want {
		t.Errorf("got %+v, want %+v", got.RoundTrips, want)
	}
}

// Others read these names.
func TestReport_JSON_HasTheseNames(t *testing.T) {
	r := Round{Ratio: 1, RoundTrips: &RoundTrips{}}
	text, err := json.Marshal(Report{Rounds: []Round{r}, Summary: []Summary{summarise([]Round{r})}, Machine: thisMachine("2.15.2")})
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	round := report["rounds"].([]any)[0].(map[string]any)
	for name, c := range map[string]struct {
		object any
		want   []string
	}{
		"report":  {report, []string{"machine", "rounds", "summary"}},
		"machine": {report["machine"], []string{"cpus", "go", "nats"}},
		"round": {round, []string{
			"bytes_per_command", "ceiling", "ceiling_bytes_per_command", "ceiling_cpu_s_per_1000", "ceiling_latency_ms", "commands",
			"cpu_s_per_1000", "inflight", "latency_ms", "ratio_to_ceiling", "round", "round_trips", "throughput", "workload",
		}},
		"latency": {round["latency_ms"], []string{"p50", "p99", "p999"}},
		"cpu":     {round["cpu_s_per_1000"], []string{"client", "servers", "workers"}},
	} {
		if got := slices.Sorted(maps.Keys(c.object.(map[string]any))); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestCPU_Per1000_IsTheDifferenceOfTwoReadings(t *testing.T) {
	got := CPU{Workers: 3, Servers: 6, Client: 1}.per1000(CPU{Workers: 1, Servers: 2, Client: 1}, 2000)
	if want := (CPU{Workers: 1, Servers: 2}); got != want || got.Total() != 3 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
