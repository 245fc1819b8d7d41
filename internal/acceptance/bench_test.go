package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/natstest"
)

// measured is what others read of a report.
type measured struct {
	Rounds []struct {
		Workload   string             `json:"workload"`
		InFlight   int                `json:"inflight"`
		Round      int                `json:"round"`
		Throughput float64            `json:"throughput"`
		Ceiling    float64            `json:"ceiling"`
		Ratio      float64            `json:"ratio_to_ceiling"`
		Latency    map[string]float64 `json:"latency_ms"`
		CPU        map[string]float64 `json:"cpu_s_per_1000"`
		Bytes      float64            `json:"bytes_per_command"`
		Ceilings   float64            `json:"ceiling_bytes_per_command"`
		RoundTrips *struct {
			Sum   float64 `json:"sum_ms"`
			Ratio float64 `json:"ratio_to_sum"`
			Legs  []any   `json:"legs"`
		} `json:"round_trips"`
	} `json:"rounds"`
	Summary []struct {
		InFlight int                `json:"inflight"`
		Ratio    map[string]float64 `json:"ratio_to_ceiling"`
	} `json:"summary"`
	Machine struct {
		CPUs int    `json:"cpus"`
		Go   string `json:"go"`
		NATS string `json:"nats"`
	} `json:"machine"`
}

// bench runs `jetvol bench` with short turns and returns its report. Its data are in dir.
func bench(t *testing.T, dir string, args ...string) measured {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	args = append([]string{"bench", "--dir", dir, "--json", "-", "--progress", "--duration", "300ms"}, args...)
	command := exec.CommandContext(ctx, filepath.Join(tools, "jetvol"), args...)
	command.Env = environment(t.TempDir(), "")
	var stdout bytes.Buffer
	command.Stdout, command.Stderr = &stdout, t.Output()
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stdout.Bytes())
	}
	var report measured
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout.Bytes())
	}
	return report
}

// TestBench_ServersSettings_MakeNoServerOfTheBinary: a variable of the environment alone does not.
func TestBench_ServersSettings_MakeNoServerOfTheBinary(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(tools, "jetvol"), "version")
	command.Env = append(environment(t.TempDir(), ""), "JETVOL_NATSPROC={")
	if told, err := command.CombinedOutput(); err != nil || !bytes.Contains(told, []byte("jetvol")) {
		t.Errorf("got %s, %v, want the version", told, err)
	}
}

func TestBench_ShortRun_MeasuresAgainstTheCeiling(t *testing.T) {
	dir := t.TempDir()
	report := bench(t, dir, "--rounds", "2", "--inflight", "8,1")
	if len(report.Rounds) != 4 || len(report.Summary) != 2 {
		t.Fatalf("got %+v, want two rounds each of 8 and of 1", report)
	}
	for i, r := range report.Rounds {
		if r.Workload != "create" || r.InFlight != []int{8, 8, 1, 1}[i] || r.Round != i%2+1 {
			t.Errorf("got %+v, want a round of creates", r)
		}
		if r.Throughput <= 0 || r.Ceiling <= 0 || r.Ratio != r.Throughput/r.Ceiling {
			t.Errorf("got %+v, want a ratio of two rates", r)
		}
		if r.Latency["p50"] <= 0 || r.Latency["p99"] < r.Latency["p50"] || r.Latency["p999"] < r.Latency["p99"] {
			t.Errorf("got latencies %v, want more and more", r.Latency)
		}
		if len(r.CPU) != 3 {
			t.Errorf("got processor times %v, want three", r.CPU)
		}
		// The ceiling stores what jetvol does; numbers in it may be a digit longer.
		if r.Bytes <= 0 || r.Ceilings/r.Bytes < 0.95 || r.Ceilings/r.Bytes > 1.05 {
			t.Errorf("got %g bytes a command and %g of the ceiling, want the same", r.Bytes, r.Ceilings)
		}
		if trips := r.RoundTrips; (trips != nil) != (r.InFlight == 1) {
			t.Errorf("got round trips %+v with %d in flight", trips, r.InFlight)
		} else if trips != nil && (len(trips.Legs) != 6 || trips.Sum <= 0 || trips.Ratio <= 0) {
			t.Errorf("got round trips %+v, want a command, two records, two events and a reply", *trips)
		}
	}
	if report.Machine.CPUs < 1 || report.Machine.Go == "" || report.Machine.NATS == "" {
		t.Errorf("got machine %+v", report.Machine)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v left, want nothing", left, err)
	}
}

func TestBench_GivenServer_LeavesNoStreamsOfItsOwn(t *testing.T) {
	server := natstest.Start(t)
	report := bench(t, t.TempDir(), "--server", server.URL(), "--workload", "mixed", "--workers", "2", "--inflight", "4", "--rounds", "1", "--rate", "100")
	if len(report.Rounds) != 1 || report.Rounds[0].InFlight != 4 || report.Rounds[0].CPU["servers"] != 0 {
		t.Errorf("got %+v, want one round, without the processor time of servers", report.Rounds)
	}
	if r := report.Rounds[0]; r.Throughput <= 0 || r.Ceiling <= 0 || r.Ratio != 0 {
		t.Errorf("got %+v, want what both sides answered, and no ratio of an open loop", r)
	}
	js := server.JetStream(t)
	for stream := range js.ListStreams(t.Context()).Info() {
		if strings.Contains(stream.Config.Name, "LIMITS") || strings.Contains(stream.Config.Name, "ceiling") {
			t.Errorf("got stream %s left", stream.Config.Name)
		}
	}
	if waiting, told := messages(t, js, commands.StreamName), messages(t, js, events.StreamName); waiting != 0 || told == 0 {
		t.Errorf("got %d commands and %d events, want no commands and some events", waiting, told)
	}
}

func TestBench_GivenServerOfAnotherBench_IsRefused(t *testing.T) {
	server := natstest.Start(t)
	js := server.JetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "KV_ceiling", Subjects: []string{"$KV.ceiling.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "$KV.ceiling.p.v", nil); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(tools, "jetvol"), "bench", "--server", server.URL(), "--dir", t.TempDir())
	command.Env = environment(t.TempDir(), "")
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "nats stream rm -f KV_ceiling") {
		t.Errorf("got %v, want to be told how to delete the stream\n%s", err, output)
	}
	if got := messages(t, js, "KV_ceiling"); got != 1 {
		t.Errorf("got %d messages in the other's stream, want 1", got)
	}
	if _, err := js.Stream(t.Context(), commands.StreamName); err == nil {
		t.Error("got a worker's streams, want nothing started")
	}
}

func messages(t *testing.T, js jetstream.JetStream, name string) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func TestBench_WrongFlags_AreUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"--servers", "2"}, {"--workload", "all"}, {"--inflight", "0"}, {"--backend", "local", "--backend-delay", "1ms"}} {
		command := exec.CommandContext(t.Context(), filepath.Join(tools, "jetvol"), append([]string{"bench"}, args...)...)
		output, err := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != 2 {
			t.Errorf("%v: got code %d, %v, want 2\n%s", args, code, err, output)
		}
	}
}
