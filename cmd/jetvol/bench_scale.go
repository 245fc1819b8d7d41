package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/internal/bench"
)

const benchScaleLong = `Measures whether a command costs the same however many volumes there are. It starts two NATS
servers with a worker each, one with --few volumes and one with --volumes, stored straight into
their streams. The two take turns with attaches and detaches, and with creates. Then a new
worker of the second server gets a command for each of --active volumes, and another one, and is
looked at: its memory, and whether what it kept for each of them is gone.

A million volumes take some minutes to store, 3 GB of disk and 2 GB of memory.

The exit code is 0 if every command was answered with success, each server has exactly what they
must leave, and the worker has come to rest. Neither time nor memory decides it.`

// rssGoal is what a worker should get along with, in MiB.
const rssGoal = 64

const mebibyte = 1 << 20

func (a *app) scaleCommand() *cobra.Command {
	var o bench.ScaleOptions
	var json string
	var progress bool
	command := &cobra.Command{
		Use:     "scale",
		Short:   "Measure the cost of a command with few volumes and with many",
		Long:    benchScaleLong,
		Example: `  jetvol bench scale --volumes 100000 --active 10000`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.scale(c, o, json, progress) },
	}
	flags := command.Flags()
	flags.IntVar(&o.Few, "few", bench.DefaultFew, "volumes on the one server, at least as many as are visited (6000, or all)")
	flags.IntVar(&o.Volumes, "volumes", bench.DefaultMost, "volumes on the other server")
	flags.IntVar(&o.Active, "active", 0, "volumes of the other server that get commands in the end (default 100000, or all)")
	flags.IntVar(&o.InFlight, "inflight", 0, "commands in flight (default 64)")
	flags.IntVar(&o.Rounds, "rounds", bench.DefaultRounds, "turns of each server, of each workload")
	flags.DurationVar(&o.Duration, "duration", bench.DefaultDuration, "of one turn")
	flags.StringVar(&o.Dir, "dir", "", "empty directory for all data (default a temporary one)")
	flags.StringArrayVar(&o.WorkerFlags, "worker-flag", nil, "flag of `jetvol worker` in addition, such as --pprof; may be repeated")
	flags.StringVar(&json, "json", "", "write the report to this file, or to stdout for -")
	flags.BoolVar(&progress, "progress", false, "tell on stderr how far it is, also if that is no terminal")
	return command
}

func (a *app) scale(c *cobra.Command, o bench.ScaleOptions, json string, told bool) (err error) {
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return &usageError{cause: err}
	}
	progress := newProgressLine(a.stderr, told)
	o.Tell = progress.tell
	table := &scaleTable{to: a.stdout}
	o.Each = func(r bench.ScaleRound) {
		progress.clear()
		if json != "-" {
			table.round(r)
		}
	}
	report, err := bench.Scale(c.Context(), o)
	progress.clear()
	if err != nil {
		return err
	}
	if json == "-" {
		return printJSON(a.stdout, report)
	}
	table.rest(report)
	if json == "" {
		return nil
	}
	return writeReport(json, report)
}

// scaleTable prints rounds as they end.
type scaleTable struct {
	to    io.Writer
	begun bool
}

const (
	scaleHead = "workload  round    few/s   many/s  ratio   few p50 ms  many p50 ms   worker cpu s/1000 few  many  ratio   server few  many  ratio\n"
	scaleLine = "%-8s  %5d  %7.0f  %7.0f  %5.2f   %10.2f  %11.2f   %21.3f %5.3f  %5.2f   %10.3f %5.3f  %5.2f\n"
)

func (t *scaleTable) round(r bench.ScaleRound) {
	if !t.begun {
		t.begun = true
		fmt.Fprint(t.to, scaleHead)
	}
	few, many := r.FewTurn, r.ManyTurn
	fmt.Fprintf(t.to, scaleLine, r.Workload, r.Round, few.Throughput, many.Throughput, r.Throughput, few.Latency.P50, many.Latency.P50,
		few.CPU.Workers, many.CPU.Workers, r.WorkerCPU, few.CPU.Servers, many.CPU.Servers, r.ServerCPU)
}

// rest prints all but the rounds, and in the end the result in one line.
func (t *scaleTable) rest(report bench.ScaleReport) {
	active := report.Active
	fmt.Fprintf(t.to, "\nservers: %d MiB with %d volumes, %d MiB with %d\n",
		report.Servers.Few/mebibyte, report.Few, report.Servers.Many/mebibyte, report.Volumes)
	fmt.Fprintf(t.to, "new worker: %s\n", footprint(active.Idle))
	for _, p := range active.Passes {
		fmt.Fprintf(t.to, "%s of %d volumes: %.0f/s, cpu s per 1000 %.3f (worker %.3f, server %.3f), up to %d lanes and %d MiB; afterwards %s\n",
			p.Verb, p.Commands, p.Throughput, p.CPU.Total(), p.CPU.Workers, p.CPU.Servers, p.MostLanes, p.MostRSS/mebibyte, footprint(p.After))
	}
	m := report.Machine
	fmt.Fprintf(t.to, "%d CPUs, %s, nats-server %s\n", m.CPUs, m.Go, m.NATS)
	fmt.Fprintf(t.to, "\nscale: passed, %d against %d volumes:", report.Volumes, report.Few)
	for _, s := range report.Summary {
		fmt.Fprintf(t.to, " %s worker cpu × %s, server cpu × %s, throughput × %s;", s.Workload, times(s.WorkerCPU), times(s.ServerCPU), times(s.Throughput))
	}
	last := active.Passes[len(active.Passes)-1].After
	fmt.Fprintf(t.to, " %d active volumes: worker %d MiB, at most %d (goal %d), %d lanes left\n",
		active.Volumes, last.RSS/mebibyte, last.Peak/mebibyte, rssGoal, last.Lanes)
}

func times(s bench.Spread) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max) }

func footprint(f bench.Footprint) string {
	return fmt.Sprintf("%d MiB (at most %d), %d goroutines, %d lanes", f.RSS/mebibyte, f.Peak/mebibyte, f.Goroutines, f.Lanes)
}
