package acceptance

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBench_Scale_CountsAreRight is the short form of make scale. What it measures means
// nothing with so few volumes; that it measures, and what it counts, does.
func TestBench_Scale_CountsAreRight(t *testing.T) {
	const volumes, active = 1000, 500
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	dir := t.TempDir()
	command := exec.CommandContext(ctx, filepath.Join(tools, "jetvol"), "bench", "scale", "--dir", dir, "--json", "-", "--progress",
		"--few", "100", "--volumes", "1000", "--active", "500", "--inflight", "16", "--rounds", "1", "--duration", "200ms")
	command.Env = environment(t.TempDir(), "")
	command.Stderr = t.Output()
	stdout, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	var report struct {
		Rounds []struct {
			Workload string                       `json:"workload"`
			Ratio    float64                      `json:"throughput_ratio"`
			Few      struct{ Throughput float64 } `json:"few"`
			Many     struct{ Throughput float64 } `json:"many"`
		} `json:"rounds"`
		Summary []struct{ Workload string } `json:"summary"`
		Servers map[string]float64          `json:"server_rss_bytes"`
		Active  struct {
			Volumes int                `json:"volumes"`
			Idle    map[string]float64 `json:"idle"`
			Passes  []struct {
				Verb     string             `json:"verb"`
				Commands int                `json:"commands"`
				After    map[string]float64 `json:"after"`
			} `json:"passes"`
		} `json:"active"`
	}
	if err := json.Unmarshal(stdout, &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	workloads := []string{"attach", "many", "create"}
	if len(report.Rounds) != len(workloads) || len(report.Summary) != len(workloads) {
		t.Fatalf("got rounds %+v, want one for each of %v", report.Rounds, workloads)
	}
	for i, r := range report.Rounds {
		if r.Workload != workloads[i] || r.Few.Throughput <= 0 || r.Ratio != r.Many.Throughput/r.Few.Throughput {
			t.Errorf("got %+v, want %s with a ratio of two rates", r, workloads[i])
		}
	}
	if report.Servers["few"] <= 0 || report.Servers["many"] <= 0 || report.Active.Volumes != active || len(report.Active.Passes) != 2 {
		t.Fatalf("got %+v, want the memory of two servers, and an attach and a detach of %d of %d volumes", report, active, volumes)
	}
	for i, p := range report.Active.Passes {
		if p.Verb != []string{"attach", "detach"}[i] || p.Commands != active || p.After["rss_bytes"] <= 0 || p.After["lanes"] != 0 {
			t.Errorf("got %+v, want %d commands and no lanes left", p, active)
		}
	}
	if report.Active.Idle["goroutines"] <= 0 {
		t.Errorf("got %+v before, want goroutines", report.Active.Idle)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v left, want nothing", left, err)
	}
}
