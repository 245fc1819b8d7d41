package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/internal/bench"
	"github.com/jetvol/jetvol/internal/natsproc"
)

const benchLong = `Measures how many commands jetvol carries out in a second, and how long each takes, against
the limit that JetStream sets: the same writes, with the same sizes, order and concurrency, by a
bare client. The two take turns, and what counts is the ratio of neighbours.

It starts a NATS server, or three, in a directory of its own and ` + "`jetvol worker`" + ` processes, and
ends them. With --server URL or --context it uses a server that is there; no other worker may
serve it, and the volumes of the project bench-… stay there.

Workloads: create (new volumes), life (create, attach, detach, resize, delete), attach (attach
and detach of --volumes), mixed (lives with a random middle), hot (one volume), many (like
attach, of more volumes than workers remember).

The exit code is 0 if every command was answered with success and the server has exactly what
they must leave. docs/performance.md says what is measured, and how fair it is.`

// embeddedServer is the value of --server that means one of the bench's own.
const embeddedServer = "embedded"

type benchFlags struct {
	options  bench.Options
	sync     bench.Sync
	json     string
	progress bool
}

func (a *app) benchCommand() *cobra.Command {
	f := benchFlags{sync: bench.SyncDefault}
	o := &f.options
	o.Workload, o.Backend = bench.Create, null.DriverName
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure the speed, against the limit that JetStream sets",
		Long:  benchLong,
		Example: `  jetvol bench
  jetvol bench --workload life --inflight 64 --rounds 10 --json result.json
  jetvol bench --servers 3 --workers 2
  jetvol bench --workers 4 --backend-delay 5ms
  jetvol bench --rate 2000 --inflight 512`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.bench(c, &f) },
	}
	flags := command.Flags()
	choice(command, &oneOf[bench.Workload]{&o.Workload, bench.Workloads(), "WORKLOAD"}, "workload", "which commands are given", words(bench.Workloads()))
	choice(command, &oneOf[string]{&o.Backend, bench.Backends(), "BACKEND"}, "backend", "driver of the volumes", bench.Backends())
	choice(command, &oneOf[bench.Sync]{&f.sync, []bench.Sync{bench.SyncDefault, bench.SyncAlways}, "SYNC"}, "sync",
		"when servers write to disk what they acknowledge", []string{string(bench.SyncDefault), string(bench.SyncAlways)})
	flags.DurationVar(&o.BackendDelay, "backend-delay", 0, "how long each call of the null backend takes")
	flags.StringVar(&o.Dir, "dir", "", "empty directory for all data (default a temporary one)")
	flags.IntVar(&o.Servers, "servers", 1, "to be started: 1, or 3 as a cluster with three replicas")
	flags.IntVar(&o.Workers, "workers", bench.DefaultWorkers, "processes to be started")
	flags.StringArrayVar(&o.WorkerFlags, "worker-flag", nil, "flag of `jetvol worker` in addition, such as --concurrency=64; may be repeated")
	flags.IntVar(&o.Preload, "preload", 0, "volumes that are there before, of another project")
	flags.IntVar(&o.Volumes, "volumes", 0, "of the workloads attach (default 1024) and many (default 20000)")
	flags.IntSliceVar(&o.InFlight, "inflight", bench.DefaultInFlight(), "commands in flight; each number is measured")
	flags.Float64Var(&o.Rate, "rate", 0, "commands a second, however long they take (default as many as go)")
	flags.IntVar(&o.Rounds, "rounds", bench.DefaultRounds, "turns of jetvol, and of the ceiling")
	flags.DurationVar(&o.Duration, "duration", bench.DefaultDuration, "of one turn")
	flags.Uint64Var(&o.Seed, "seed", 1, "of random choices")
	flags.StringVar(&f.json, "json", "", "write the report to this file, or to stdout for -")
	flags.BoolVar(&f.progress, "progress", false, "tell on stderr how far it is, also if that is no terminal")
	command.AddCommand(a.ceilingCommand(), serverCommand(), a.scaleCommand())
	return command
}

func (a *app) bench(c *cobra.Command, f *benchFlags) error {
	if err := a.aim(c, f); err != nil {
		return err
	}
	o := f.options
	if err := o.Validate(); err != nil {
		return &usageError{cause: err}
	}
	progress := newProgressLine(a.stderr, f.progress)
	o.Tell = progress.tell
	o.Warn = func(line string) { fmt.Fprintln(a.stderr, "bench: warning: "+line) }
	table := &benchTable{to: a.stdout}
	o.Each = func(r bench.Round) {
		progress.clear()
		if f.json != "-" {
			table.round(r)
		}
	}
	report, err := bench.Run(c.Context(), o)
	progress.clear()
	if err != nil {
		return err
	}
	if f.json == "-" {
		return printJSON(a.stdout, report)
	}
	table.summary(report)
	if f.json == "" {
		return nil
	}
	return writeReport(f.json, report)
}

// aim says where the server is.
func (a *app) aim(c *cobra.Command, f *benchFlags) (err error) {
	f.options.Sync = f.sync
	if f.options.Program, err = os.Executable(); err != nil {
		return err
	}
	flags := c.Flags()
	if a.connection.server == embeddedServer || !flags.Changed("server") && !flags.Changed("context") {
		return nil
	}
	f.options.Target = &bench.Target{
		Connect: func(more ...nats.Option) (*nats.Conn, error) { return a.connect(flags, more...) },
		Flags:   a.connection.given(flags),
	}
	return nil
}

// given returns the connection's flags as they stand on the command line.
func (c *connection) given(flags *pflag.FlagSet) []string {
	var names []string
	for _, s := range c.settings() {
		names = append(names, s.flag)
	}
	var given []string
	flags.Visit(func(flag *pflag.Flag) {
		if slices.Contains(names, flag.Name) {
			given = append(given, "--"+flag.Name+"="+flag.Value.String())
		}
	})
	return given
}

func writeReport(path string, report any) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return printJSON(file, report)
}

// ceilingCommand is a process of `jetvol bench`.
func (a *app) ceilingCommand() *cobra.Command {
	var index, of int
	command := &cobra.Command{
		Use:    "ceiling-worker",
		Short:  "Do a worker's writes without its work, for jetvol bench",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(c *cobra.Command, _ []string) error { return a.serveCeiling(c, index, of) },
	}
	command.Flags().IntVar(&index, "index", 0, "number of this process, counted from 0")
	command.Flags().IntVar(&of, "of", 1, "how many there are")
	return command
}

// servedError is the end of a server of `jetvol bench` that failed, and has told why. Its exit
// code is package natsproc's.
type servedError struct{ code int }

func (e *servedError) Error() string { return "the NATS server has ended" }

// serverCommand is a server of `jetvol bench`.
func serverCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "nats-server",
		Short:  "Run a NATS server, for jetvol bench",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			code, served := natsproc.Main()
			switch {
			case !served:
				return usagef("only jetvol bench starts it; for a server of your own see jetvol up")
			case code != 0:
				return &servedError{code}
			}
			return nil
		},
	}
}
