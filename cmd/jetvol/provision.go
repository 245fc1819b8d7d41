package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/volume"
)

const provisionLong = `Makes the streams and buckets that are missing and tells how existing ones differ from
what jetvol wants. Existing ones are changed only with --update. The exit code is 1 if
differences remain. A cluster without a leader is waited for, up to 30 s.`

const provisionExample = `  jetvol provision --replicas 3
  jetvol provision --update --json`

type provisionFlags struct {
	consent
	replicas  int
	retention time.Duration
	update    bool
	asJSON    bool
}

func (a *app) provisionCommand() *cobra.Command {
	var f provisionFlags
	command := &cobra.Command{
		Use:     "provision",
		Short:   "Make the streams and buckets on a NATS server",
		Long:    provisionLong,
		Example: provisionExample,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.provision(c, &f) },
	}
	flags := command.Flags()
	flags.IntVar(&f.replicas, "replicas", 0, "of each stream: 1, 3 or 5 (default 1, existing ones as they are)")
	flags.DurationVar(&f.retention, "outcome-retention", 0, "how long answers to commands are kept (default 168h, existing as it is)")
	flags.BoolVar(&f.update, "update", false, "change existing streams that differ")
	f.register(command)
	flags.BoolVar(&f.asJSON, "json", false, "print the report as one line of JSON")
	return command
}

func (a *app) provision(c *cobra.Command, f *provisionFlags) error {
	if err := validateReplicas(f.replicas); err != nil {
		return err
	}
	if f.retention < 0 {
		return usagef("outcome-retention %s: want 0 or more", f.retention)
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := provision.Apply(c.Context(), js, provision.Options{
		Replicas: f.replicas, OutcomeRetention: f.retention, Update: f.update, DryRun: f.dryRun, Waiting: a.tellWaiting(),
	})
	if err != nil {
		return explainJetStream(err)
	}
	if f.dryRun && !f.asJSON {
		fmt.Fprintln(a.stdout, "nothing is changed; this would be so:")
	}
	if err := a.showReport(report, f.asJSON); err != nil {
		return err
	}
	if len(report.Differences) > 0 {
		return volume.Errorf(volume.ErrInternal, "provision: %d settings differ, `%s provision --update` changes them",
			len(report.Differences), a.program)
	}
	return nil
}

// tellWaiting returns a function that tells once on stderr what provisioning waits for.
func (a *app) tellWaiting() func(reason error) {
	told := false
	return func(reason error) {
		if !told {
			fmt.Fprintf(a.stderr, "waiting up to %s for the cluster: %v\n", provision.DefaultPatience, reason)
		}
		told = true
	}
}

func (a *app) showReport(report provision.Report, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, provision.Report{
			Created:     list(report.Created),
			Updated:     list(report.Updated),
			Existing:    list(report.Existing),
			Differences: list(report.Differences),
		})
	}
	for _, part := range []struct {
		what    string
		streams []string
	}{{"created", report.Created}, {"updated", report.Updated}, {"existing", report.Existing}} {
		for _, stream := range part.streams {
			fmt.Fprintf(a.stdout, "%-8s  %s\n", part.what, stream)
		}
	}
	for _, difference := range report.Differences {
		weight := ""
		if difference.Fatal {
			weight = " (fatal)"
		}
		fmt.Fprintf(a.stdout, "%-8s  %s%s\n", "differs", difference, weight)
	}
	return nil
}

// list makes an empty list of no list, which JSON would show as null.
func list[T any](values []T) []T { return append([]T{}, values...) }
