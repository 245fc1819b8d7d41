package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/volume"
)

const auditLong = `Proves from what is stored that events and records are what was written: generations
without gap or double, transitions of the state machine, the hash chain of each volume, and
each record as its events say. It changes nothing and may run beside workers.`

const verifyLong = auditLong + `

The first fault of each volume is named. Without --project or --volume everything is read;
-p counts only if it is given. The exit code is 0 without faults and 1 with some.

If old events have aged out, each volume begins where the last checkpoint left it. What no
checkpoint vouches for is counted as unproven, which is a fault only with --strict.`

func (a *app) auditCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "audit",
		Short: "Prove that events and records are what was written",
		Long:  auditLong,
	})
	command.AddCommand(a.auditVerifyCommand(), a.auditCheckpointCommand())
	return command
}

// auditFlags are those of both commands.
type auditFlags struct {
	strict, asJSON bool
	maxVolumes     int
}

func (f *auditFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.BoolVar(&f.strict, "strict", false, "what cannot be proven is a fault")
	flags.BoolVar(&f.asJSON, "json", false, "print the report as one line of JSON")
	flags.IntVar(&f.maxVolumes, "max-volumes", audit.DefaultMaxVolumes, "volumes remembered at once; with more the events are read several times")
}

func (f *auditFlags) options(a *app) (audit.Options, error) {
	if f.maxVolumes < 1 {
		return audit.Options{}, usagef("max-volumes %d: want 1 or more", f.maxVolumes)
	}
	return audit.Options{Strict: f.strict, MaxVolumes: f.maxVolumes, Progress: a.auditProgress}, nil
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var f auditFlags
	var name string
	var since bool
	command := &cobra.Command{
		Use:   "verify",
		Short: "Compare all events and records with each other",
		Long:  verifyLong,
		Example: `  jetvol audit verify
  jetvol audit verify --volume db-01 --json
  jetvol audit verify --since-checkpoint --strict`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options(a)
			if err != nil {
				return err
			}
			o.SinceCheckpoint = since
			if err := a.narrow(c, name, &o); err != nil {
				return err
			}
			return a.verify(c, o, f.asJSON)
		},
	}
	f.register(command)
	command.Flags().StringVar(&name, "volume", "", "only the volume with this name")
	command.Flags().BoolVar(&since, "since-checkpoint", false, "only what came after the last checkpoint")
	return command
}

// narrow restricts an audit to the project and volume that were asked for.
func (a *app) narrow(c *cobra.Command, name string, o *audit.Options) error {
	if !c.Flags().Changed("project") && name == "" {
		return nil
	}
	argument := name
	if name == "" {
		argument = "any" // for the check of the project
	}
	key, err := a.keyOf(argument)
	if err != nil {
		return err
	}
	o.Project = key.Project
	if name != "" {
		o.Volume = key.Name
	}
	return nil
}

func (a *app) verify(c *cobra.Command, o audit.Options, asJSON bool) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := audit.Verify(c.Context(), js, o)
	if err != nil {
		return err
	}
	if err := a.showAudit(report, asJSON); err != nil {
		return err
	}
	if o.Volume != "" && report.Volumes == 0 {
		return volume.Errorf(volume.ErrVolumeNotFound, "audit volume %s: it has neither events nor a record",
			volume.Key{Project: o.Project, Name: o.Volume})
	}
	return nil
}

func (a *app) auditProgress(p audit.Progress) {
	if p.Sequence == p.To {
		return
	}
	fmt.Fprintf(a.stderr, "pass %d of %d: event %d of %d\n", p.Pass, p.Passes, p.Sequence, p.To)
}

// showAudit prints what was found. It returns an error if there are faults.
func (a *app) showAudit(r audit.Report, asJSON bool) error {
	if asJSON {
		if err := printJSON(a.stdout, r); err != nil {
			return err
		}
	} else {
		auditText(a.stdout, r)
	}
	switch {
	case len(r.Faults) > 0:
		return fmt.Errorf("audit: faults in %d volumes", len(r.Faults))
	case !r.Clean():
		return fmt.Errorf("audit: %d volumes were not looked at: %w", r.Unlooked, volume.Internal)
	}
	return nil
}

func auditText(w io.Writer, r audit.Report) {
	for _, fault := range r.Faults {
		fmt.Fprintln(w, plain(fault.String()))
	}
	for _, span := range r.UnprovenVolumes {
		fmt.Fprintf(w, "%s: unproven before generation %d\n", plain(span.Volume), span.Before)
	}
	fmt.Fprintf(w, "%d events (%d refusals), sequences %d to %d, of %d volumes, and %d records: %d faults\n",
		r.Events, r.Rejected, r.FromSequence, r.ToSequence, r.Volumes, r.Records, len(r.Faults))
	if r.Unchained > 0 || r.Unproven > 0 {
		fmt.Fprintf(w, "%d events from before the hash chain; %d volumes with unproven generations\n", r.Unchained, r.Unproven)
	}
	if r.Checkpoint != nil {
		fmt.Fprintf(w, "on the checkpoint %s\n", markText(*r.Checkpoint))
	}
	fmt.Fprintf(w, "%.1f s, %.0f events/s, passes: %d\n", r.Seconds, r.Rate, r.Passes)
}

func markText(m audit.CheckpointMark) string {
	return fmt.Sprintf("at sequence %d, of %d volumes, by %s at %s, digest %s", m.Sequence, m.Volumes, plain(m.By), stamp(m.TakenAt), m.Digest)
}
