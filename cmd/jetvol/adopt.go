package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/volume"
)

const adoptLong = `Takes volumes that only a backend has into records: objects with jetvol's marks, left over
by a lost record or brought by another jetvol. Each is a command ` + "`adopt`" + ` to the volume.

--all takes the orphans that workers have found (jetvol drift list --kind orphan), or with
--config or --dir those that are found there now. With --dry-run the workers are only asked
whether they would; so they are for --all without --yes, with exit code 6.

--image takes in what jetvol never made, or has let go of: the backend renames and marks the
image and keeps its data. Not before the image was looked at, and the project's quota has a
place for it, is anything changed; --dry-run tells what would be.`

type adoptFlags struct {
	nodeScope
	backendSource
	consent
	backend string
	image   string
	all     bool
	actor   string
	asJSON  bool
	wait    time.Duration
}

func (a *app) adoptCommand() *cobra.Command {
	var f adoptFlags
	command := &cobra.Command{
		Use:   "adopt [NAME...|--all] --backend BACKEND|NAME --image IMAGE",
		Short: "Take volumes that only a backend has into records, or an image as a volume",
		Long:  adoptLong,
		Example: `  jetvol adopt db-07 db-08 --backend ceph-ssd --dry-run
  jetvol adopt --all --backend ceph-ssd --yes
  jetvol adopt web-01 --image web-disk --backend ceph-ssd --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return a.adopt(c, &f, args) },
	}
	f.nodeScope.register(command)
	f.backendSource.register(command)
	flags := command.Flags()
	flags.StringVar(&f.backend, "backend", "", "backend that has the volumes (default with --image the worker's)")
	flags.StringVar(&f.image, "image", "", "what the backend has as that is to become the volume")
	flags.BoolVar(&f.all, "all", false, "all orphans of the backend")
	f.registerAsking(command, "--all")
	flags.StringVar(&f.actor, "actor", "", "who asks, for the events (default user@host)")
	flags.BoolVar(&f.asJSON, "json", false, "print one reply as JSON per line")
	flags.DurationVar(&f.wait, "wait", defaultWait, "how long to wait for all commands; 0 is for ever")
	command.MarkFlagsOneRequired("backend", "image")
	command.MarkFlagsMutuallyExclusive("image", "all")
	return command
}

func (a *app) adopt(c *cobra.Command, f *adoptFlags, args []string) error {
	if err := f.validate(c.Flags(), args); err != nil {
		return err
	}
	wanted, err := a.adoptNamed(f, args)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags(), nats.MaxReconnects(-1)) // the wait is bounded by its context
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := bounded(c.Context(), f.wait)
	defer cancel()
	if f.all {
		if wanted, err = a.adoptAll(ctx, c, js, f); err != nil {
			return err
		}
	}
	client, err := a.commandClient(ctx, conn)
	if err != nil {
		return err
	}
	if f.image != "" {
		return errors.Join(a.adoptImage(ctx, client, f, wanted[0]), client.Close())
	}
	return errors.Join(a.adoptEach(ctx, client, f, wanted), client.Close())
}

// validate returns a usageError for what is no backend or image, and for flags and names that
// say nothing together.
func (f *adoptFlags) validate(flags *pflag.FlagSet, names []string) error {
	switch {
	case f.wait < 0:
		return usagef("wait %s: want 0 or more", f.wait)
	case f.all == (len(names) > 0):
		return usagef("want names of volumes or --all")
	case flags.Changed("image") && len(names) != 1:
		return usagef("want one name with --image")
	case !f.all && (f.file != "" || f.dir != "" || f.allProjects):
		return usagef("want --all with --%s, --dir and --all-projects: they say where it looks", fileFlag)
	}
	var faults []error
	if flags.Changed("backend") {
		faults = append(faults, volume.ValidateBackend(f.backend))
	}
	if flags.Changed("image") {
		faults = append(faults, volume.Image(f.image).Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return &usageError{cause: err}
	}
	return nil
}

// adoptNamed returns the commands for the names of the command line.
func (a *app) adoptNamed(f *adoptFlags, args []string) ([]commands.Request, error) {
	var wanted []commands.Request
	for _, name := range args {
		key, err := a.keyOf(name)
		if err != nil {
			return nil, err
		}
		request := drift.Adopt(key, f.backend, "")
		request.Args.Image = volume.Image(f.image)
		wanted = append(wanted, request)
	}
	return wanted, nil
}

// adoptAll returns the commands for the orphans of the backend.
func (a *app) adoptAll(ctx context.Context, c *cobra.Command, js jetstream.JetStream, f *adoptFlags) (wanted []commands.Request, err error) {
	project, err := f.project(a, c)
	if err != nil {
		return nil, err
	}
	if f.file == "" && f.dir == "" {
		filter := drift.Filter{Project: project, Kind: volume.DriftOrphan, Backend: f.backend}
		err = eachFinding(ctx, js, filter, func(found drift.Finding) error {
			wanted = append(wanted, drift.Adopt(found.Key, found.Backend, found.ObjectID))
			return nil
		})
		return wanted, err
	}
	opened, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	backend := opened.byName[f.backend]
	if backend == nil {
		return nil, usagef("backend %s: not among those that were opened", f.backend)
	}
	sweeper, err := drift.New(ctx, js, drift.Options{
		Project: project, Logger: zerolog.New(a.stderr).Level(zerolog.ErrorLevel),
		Told: func(found drift.Found) {
			wanted = append(wanted, drift.Adopt(found.Key, found.Backend, found.ObjectID))
		},
	})
	if err != nil {
		return nil, err
	}
	err = sweeper.Orphans(ctx, backend)
	return wanted, err
}

// adoptEach asks for each volume whether it would be taken, and takes it if so.
func (a *app) adoptEach(ctx context.Context, client *commands.Client, f *adoptFlags, wanted []commands.Request) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if !f.asJSON {
		fmt.Fprintln(table, "VOLUME\tBACKEND\tID\tOUTCOME\tSTATE\tGENERATION")
	}
	refused := 0
	for _, request := range wanted {
		request.Actor = cmp.Or(f.actor, defaultActor())
		reply, _, err := adoptOne(ctx, client, request, f.shows(f.all))
		if reply.Outcome == "" {
			return errors.Join(table.Flush(), err)
		}
		if err != nil {
			refused++
		}
		if f.asJSON {
			err = printJSON(a.stdout, reply)
		} else {
			_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", request.Key, f.backend,
				orDash(string(cmp.Or(reply.VolumeID, request.Args.ID))), outcomeText(reply), orDash(string(reply.State)), reply.Generation)
		}
		if err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case refused > 0:
		return fmt.Errorf("%d of %d volumes not adopted: %w", refused, len(wanted), volume.FailedPrecondition)
	case f.shows(f.all) && len(wanted) > 0:
		return f.shown("adopts these volumes")
	}
	return nil
}

// adoptOne asks first, so that a refusal leaves no event. It also returns the plan in the
// answer to that, nil for what is no image.
func adoptOne(ctx context.Context, client *commands.Client, request commands.Request, dryRun bool) (commands.Reply, *volume.Plan, error) {
	ask := request
	ask.ValidateOnly = true
	reply, err := client.Do(ctx, ask)
	plan := reply.Plan
	if err == nil && !dryRun {
		reply, err = client.Do(ctx, request)
	}
	return reply, plan, err
}

// outcomeText is the outcome, with the code of what is no success.
func outcomeText(reply commands.Reply) string {
	if reply.Failure == nil {
		return string(reply.Outcome)
	}
	return string(reply.Outcome) + " " + string(reply.Failure.Code)
}
