package main

import (
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/doctor"
)

const doctorLong = `Looks at the server, the permissions of who asks, the settings and replicas of streams
and buckets, clocks, workers, commands that wait, dead letters, volumes that are stuck, and
backends, and tells what is wrong, what that means and what helps. It changes nothing.
docs/doctor.md lists all that it can find.

What a client's connection does not show is told as unknown: the servers' sync interval
unless --monitor names their monitoring ports, and the backends unless --config or --dir
says where they are, or the workers tell.

The exit code is 0 if there is no error, whatever warnings there are, and else 1.`

type doctorFlags struct {
	options   doctor.Options
	roles     []doctor.Role
	file, dir string
	asJSON    bool
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what is wrong with the server, the streams and the workers",
		Long:  doctorLong,
		Example: `  jetvol doctor
  jetvol doctor --json --deep
  jetvol doctor --creds publisher.creds --role publisher -p billing
  jetvol doctor --monitor http://n1:8222 --monitor http://n2:8222 --config /etc/jetvol/jetvol.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c, &f) },
	}
	flags := command.Flags()
	flags.Var(&manyOf[doctor.Role]{&f.roles, doctor.Roles(), "ROLE"}, "role", "what the user has to be allowed: worker, publisher, auditor, operator or provisioner; may be repeated")
	complete(command, "role", func() []string { return words(doctor.Roles()) })
	flags.StringArrayVar(&f.options.Monitor, "monitor", nil, "URL of a server's monitoring port, such as http://n1:8222; may be repeated")
	flags.BoolVar(&f.options.Deep, "deep", false, "look at all volumes, not only at those that were changed longest ago")
	flags.DurationVar(&f.options.OldCommand, "old-command", doctor.DefaultOldCommand, "how long a command may take")
	flags.DurationVar(&f.options.StuckAfter, "stuck-after", doctor.DefaultStuckAfter, "how long an operation may stand still")
	flags.StringVar(&f.file, fileFlag, "", "configuration file of the workers, whose backends are asked")
	completeFile(command, fileFlag, configExtensions)
	flags.StringVar(&f.dir, "dir", "", "directory of a worker's data, whose backend local is looked at")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as one line of JSON")
	command.MarkFlagsMutuallyExclusive(fileFlag, "dir")
	return command
}

func (a *app) doctor(c *cobra.Command, f *doctorFlags) error {
	options, err := f.doctorOptions(a)
	if err != nil {
		return err
	}
	var report doctor.Report
	// What the user may not do is a finding; the client's library would print it, too.
	conn, err := a.connect(c.Flags(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	switch {
	case exitCode(err) == exitUsage:
		return err
	case err != nil:
		report = doctor.Unreachable(err)
	default:
		defer conn.Close()
		options.Timeout = a.connection.timeout
		if prefix := a.connection.apiPrefix; prefix != "" {
			options.APIPrefix = prefix + "."
		}
		report = doctor.Examine(c.Context(), conn, options)
	}
	if err := a.showFindings(report, f.asJSON); err != nil {
		return err
	}
	if report.Errors > 0 {
		return fmt.Errorf("doctor found what keeps jetvol from working or from what it promises")
	}
	return nil
}

func (f *doctorFlags) doctorOptions(a *app) (doctor.Options, error) {
	options := f.options
	options.Project, options.Roles = a.project, f.roles
	if options.OldCommand <= 0 || options.StuckAfter <= 0 {
		return options, usagef("old-command and stuck-after: want more than 0")
	}
	for _, monitor := range options.Monitor {
		if u, err := url.Parse(monitor); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return options, usagef("monitor %q: want a URL like http://n1:8222", monitor)
		}
	}
	backends, err := f.examined()
	options.Backends = backends
	return options, err
}

func (a *app) showFindings(report doctor.Report, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, report)
	}
	if err := showReportTable(a.stdout, report.Findings); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, report)
	return nil
}

// showReportTable shows findings, each with its remedy in the line below.
func showReportTable(w io.Writer, findings []doctor.Finding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		object := f.Object
		if object != "" {
			object += ": "
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Check, f.Severity, plain(object+f.Text))
		if f.Remedy != "" && f.Severity != doctor.Info {
			fmt.Fprintf(table, "\t\t  → %s\n", plain(f.Remedy))
		}
	}
	return table.Flush()
}
