package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/mattn/go-isatty"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/internal/bench"
	"github.com/jetvol/jetvol/internal/telemetry"
)

// ceilingReconnects is how often a ceiling worker looks for a server that has gone away.
const ceilingReconnects = 5

// serveCeiling is what `jetvol bench ceiling-worker` does.
func (a *app) serveCeiling(c *cobra.Command, index, of int) error {
	if index < 0 || index >= of {
		return usagef("index %d: want one of %d, counted from 0", index, of)
	}
	log := telemetry.NewLogger(a.stderr, "warn")
	ctx, orphaned := context.WithCancel(c.Context())
	defer orphaned()
	// Without a server there is no bench any more.
	conn, err := a.connectHome(c.Flags(), nats.Name("jetvol ceiling worker"), nats.MaxReconnects(ceilingReconnects),
		nats.ClosedHandler(func(*nats.Conn) { orphaned() }))
	if err != nil {
		return err
	}
	defer conn.Close()
	return bench.ServeCeiling(ctx, conn, index, of, log, func() {
		fmt.Fprintf(a.stdout, "%s %d of %d\n", bench.CeilingReady, index, of)
	})
}

// benchTable prints rounds as they end.
type benchTable struct {
	to    io.Writer
	begun bool
}

// The columns of both tables, as wide as what stands in them.
const (
	roundHead  = "workload  inflight  round     jetvol/s   ceiling/s  ratio   p50 ms   p99 ms  p99.9 ms  cpu s/1000 (workers servers client)  bytes\n"
	roundLine  = "%-8s  %8d  %5d  %11.0f %11.0f  %5s %8.2f %8.2f  %8.2f      %6.3f (%.3f %.3f %.3f)  %8.0f\n"
	ceilingRow = "%-8s  %8s  %5s  %11s %11s  %5s %8.2f %8.2f  %8.2f      %6.3f (%.3f %.3f %.3f)  %8.0f\n"
)

func (t *benchTable) round(r bench.Round) {
	if !t.begun {
		t.begun = true
		fmt.Fprint(t.to, roundHead)
	}
	fmt.Fprintf(t.to, roundLine, r.Workload, r.InFlight, r.Round, r.Throughput, r.Ceiling, toCeiling(r),
		r.Latency.P50, r.Latency.P99, r.Latency.P999, r.CPU.Total(), r.CPU.Workers, r.CPU.Servers, r.CPU.Client, r.Bytes)
	c := r.CeilingLatency
	fmt.Fprintf(t.to, ceilingRow, "  ceiling", "", "", "", "", "", c.P50, c.P99, c.P999,
		r.CeilingCPU.Total(), r.CeilingCPU.Workers, r.CeilingCPU.Servers, r.CeilingCPU.Client, r.CeilingBytes)
	if trips := r.RoundTrips; trips != nil {
		fmt.Fprintf(t.to, "  its round trips by bare calls, p50 ms:")
		for _, leg := range trips.Legs {
			fmt.Fprintf(t.to, " %s %.3f,", leg.Name, leg.P50)
		}
		fmt.Fprintf(t.to, " sum %.3f; jetvol takes %.2f times as long\n", trips.Sum, trips.Ratio)
	}
}

// toCeiling is the ratio, which an open loop has not.
func toCeiling(r bench.Round) string {
	if r.Rate > 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.Ratio)
}

// spreadLine is a line of a summary.
type spreadLine struct {
	name, format string
	value        bench.Spread
}

func (t *benchTable) summary(report bench.Report) {
	for _, s := range report.Summary {
		fmt.Fprintf(t.to, "\n%s, %d in flight, median of %d rounds (least to most):\n", s.Workload, s.InFlight, s.Rounds)
		lines := []spreadLine{
			{"commands/s", "%.0f", s.Throughput},
			{"ceiling/s", "%.0f", s.Ceiling},
			{"p50 ms", "%.2f", s.P50},
			{"p99 ms", "%.2f", s.P99},
			{"p99.9 ms", "%.2f", s.P999},
			{"cpu s per 1000", "%.3f", s.CPU},
			{"ceiling's", "%.3f", s.CeilingCPU},
			{"bytes per command", "%.0f", s.Bytes},
		}
		if s.Rate == 0 {
			lines = slices.Insert(lines, 2, spreadLine{"ratio to ceiling", "%.3f", s.Ratio})
		}
		if s.RoundTrips != nil {
			lines = append(lines, spreadLine{"ratio to its round trips", "%.2f", *s.RoundTrips})
		}
		for _, line := range lines {
			fmt.Fprintf(t.to, "  %-24s "+line.format+" ("+line.format+" to "+line.format+")\n", line.name, line.value.Median, line.value.Min, line.value.Max)
		}
	}
	m := report.Machine
	fmt.Fprintf(t.to, "\n%d CPUs, %s, nats-server %s\n", m.CPUs, m.Go, m.NATS)
}

// progressLine tells how far something is: on a terminal in one line, that changes, else in
// one line after another, if that is wanted. It is safe for concurrent use.
type progressLine struct {
	to       io.Writer
	wanted   bool
	terminal bool
	mu       sync.Mutex // guards to
}

// eraseLine takes away what stands in a terminal's line.
const eraseLine = "\r\x1b[K"

func newProgressLine(to io.Writer, wanted bool) *progressLine {
	file, isFile := to.(*os.File)
	terminal := isFile && isatty.IsTerminal(file.Fd())
	return &progressLine{to: to, wanted: wanted || terminal, terminal: terminal}
}

func (p *progressLine) tell(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.terminal:
		fmt.Fprint(p.to, eraseLine+"bench: "+line)
	case p.wanted:
		fmt.Fprintln(p.to, "bench: "+line)
	}
}

// clear makes room for another line.
func (p *progressLine) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.to, eraseLine)
	}
}
