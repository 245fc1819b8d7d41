package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/drift"
)

const driftScanLong = `Compares all volumes with their backends now, from here, as workers do now and then. It prints
what differs, and changes nothing; with --repair --yes it does what a worker would: it
publishes a reconcile for each volume whose record that would change, an adopt for each orphan
if the backend's policy is to import, and keeps what it finds for ` + "`jetvol drift list`" + `.

The exit code is 0 if nothing is left to do, and 1 if something differs or could not be looked
at. What a command was published for is left, until another scan finds it no more. With --repair
and without --yes or --dry-run it is 6 if something differs.

The backends are those of --config or --dir, which have to be the workers' own. Without them
only the records are read: what they tell of drift, and operations that were left behind.`

// backendSource says which backends a client opens by itself, if any.
type backendSource struct{ file, dir string }

func (f *backendSource) register(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.file, fileFlag, "", "YAML file that names the backends, as for `jetvol worker`")
	completeFile(command, fileFlag, configExtensions)
	flags.StringVar(&f.dir, "dir", "", "directory of the backend local, as for `jetvol up`")
	command.MarkFlagsMutuallyExclusive(fileFlag, "dir")
}

// open opens the backends, none if no source is given. A directory has to be there: all
// volumes would seem lost in a new one.
func (f *backendSource) open(ctx context.Context) (*served, error) {
	if f.file == "" && f.dir == "" {
		return &served{}, nil
	}
	if f.dir != "" {
		if _, err := os.Stat(filepath.Join(f.dir, volumesDir)); err != nil {
			return nil, &usageError{cause: err}
		}
	}
	w := workerFlags{file: f.file, dir: f.dir, backend: local.DriverName}
	var err error
	if w.backends, err = w.configuration(); err != nil {
		return nil, err
	}
	return w.openBackends(ctx, prometheus.NewRegistry(), nil, zerolog.Nop())
}

type driftScanFlags struct {
	nodeScope
	backendSource
	consent
	rate   float64
	repair bool
	asJSON bool
}

func (a *app) driftScanCommand() *cobra.Command {
	var f driftScanFlags
	command := &cobra.Command{
		Use:   "scan",
		Short: "Compare all volumes with their backends now",
		Long:  driftScanLong,
		Example: `  jetvol drift scan --dir ./jetvol-data
  jetvol -p billing drift scan --config jetvol.yaml --repair --yes`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.driftScan(c, &f) },
	}
	f.nodeScope.register(command)
	f.backendSource.register(command)
	flags := command.Flags()
	flags.Float64Var(&f.rate, "rate", drift.DefaultRate, "volumes compared a second, at most")
	flags.BoolVar(&f.repair, "repair", false, "do what a worker would")
	f.registerAsking(command, "--repair")
	flags.BoolVar(&f.asJSON, "json", false, "print one volume as JSON per line, and then the report")
	return command
}

func (a *app) driftScan(c *cobra.Command, f *driftScanFlags) (err error) {
	options := drift.Options{Rate: f.rate, Actor: defaultActor(), Logger: zerolog.New(a.stderr).Level(zerolog.ErrorLevel)}
	if options.Project, err = f.project(a, c); err != nil {
		return err
	}
	if f.rate <= 0 {
		return usagef("rate %g: want more than 0", f.rate)
	}
	if f.file == "" && f.dir == "" {
		fmt.Fprintln(a.stderr, "only the records are read: --config or --dir says where the backends are")
	}
	opened, err := f.open(c.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	options.Backends, options.RecordOnly = opened.byName, opened.recordOnly
	conn, js, err := a.openJetStream(c.Flags(), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer conn.Close()
	if f.repair && !f.shows(true) {
		client, err := a.commandClient(c.Context(), conn)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		findings := drift.NewFindings(js)
		options.Import, options.Publish, options.Findings = opened.imports, publishWith(client), &findings
	}
	return a.scan(c.Context(), js, f, options)
}

func (a *app) scan(ctx context.Context, js jetstream.JetStream, f *driftScanFlags, options drift.Options) error {
	out := newFindingTable(a.stdout, f.asJSON)
	var behind []drift.Found
	var printing error
	differ := 0
	options.Told = func(found drift.Found) {
		differ++
		switch {
		case f.asJSON:
			printing = errors.Join(printing, printJSON(a.stdout, foundJSON(found)))
		case len(found.Differences) == 0:
			behind = append(behind, found)
		default:
			printing = errors.Join(printing, out.add(found.Finding))
		}
	}
	sweeper, err := drift.New(ctx, js, options)
	if err != nil {
		return err
	}
	report, err := sweeper.Sweep(ctx, drift.All())
	if err := errors.Join(err, printing, out.flush()); err != nil {
		return err
	}
	if f.asJSON {
		err = printJSON(a.stdout, struct {
			Report drift.Report `json:"report"`
		}{report})
	} else {
		a.showBehind(behind)
		_, err = fmt.Fprintf(a.stdout, "%d volumes, %d objects, %d skipped, %d commands published\n",
			report.Volumes, report.Objects, report.Skipped, report.Commands)
	}
	if err != nil {
		return err
	}
	return f.verdict(differ, report.Skipped)
}

// verdict returns the error that tells by the exit code what a scan has found, as driftScanLong
// says. What --yes would do is told before what it could not look at, either way.
func (f *driftScanFlags) verdict(differ, skipped int) error {
	switch {
	case differ > 0 && f.repair && f.shows(true) && !f.dryRun:
		return f.shown("does what a worker would")
	case skipped > 0:
		return fmt.Errorf("drift: %d could not be looked at, %d differ", skipped, differ)
	case differ > 0:
		return fmt.Errorf("drift: %d differ", differ)
	}
	return nil
}

// showBehind names the volumes whose record a reconcile would bring further.
func (a *app) showBehind(behind []drift.Found) {
	for _, found := range behind {
		what := "the backend says more"
		switch {
		case found.Left != "":
			what = fmt.Sprintf("command %s is gone from the stream", found.Left)
		case found.Lost:
			what = "by its events; its record is lost"
		}
		fmt.Fprintf(a.stdout, "%s is %s: %s\n", found.Key, found.State, what)
	}
}

// foundJSON is what is printed of one volume.
func foundJSON(found drift.Found) any {
	return struct {
		drift.Finding
		State   string `json:"state,omitempty"`
		Left    string `json:"left_command,omitempty"`
		Lost    bool   `json:"lost_record,omitempty"`
		Command string `json:"command,omitempty"`
	}{found.Finding, string(found.State), string(found.Left), found.Lost, string(found.Command.Verb)}
}
