package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/internal/provision"
	"github.com/jetvol/jetvol/internal/telemetry"
	"github.com/jetvol/jetvol/volume"
)

const workerLong = `Carries out the commands that are stored on an existing NATS server with
JetStream. Missing streams and buckets are made first; existing ones are never changed.

A server that cannot be reached at the start is an error; later the worker reconnects
for as long as it takes. Ctrl-C or SIGTERM drains, a second signal kills.`

const workerExample = `  jetvol worker -s nats://nats.example.com:4222 --creds worker.creds --dir /srv/jetvol
  jetvol worker --context production --replicas 3 --metrics :9090`

type serverWorkerFlags struct {
	workerFlags
	noProvision bool
	replicas    int
}

func (a *app) workerCommand() *cobra.Command {
	var f serverWorkerFlags
	command := &cobra.Command{
		Use:     "worker",
		Short:   "Run a worker against an existing NATS server",
		Long:    workerLong,
		Example: workerExample,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.work(c, &f) },
	}
	f.register(command, "info")
	command.MarkFlagsMutuallyExclusive(fileFlag, "dir")
	command.Flags().BoolVar(&f.noProvision, "no-provision", false, "make no streams: they must exist")
	command.Flags().IntVar(&f.replicas, "replicas", 0, "of streams to be made: 1, 3 or 5 (default 1)")
	return command
}

// gcPercent lets a worker's heap grow by so much before it is collected: what it remembers is
// little and what it throws away is much. docs/performance.md has what it gives and costs.
const gcPercent = 200

// collectLess sets [gcPercent] unless the environment has its own setting.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

func (a *app) work(c *cobra.Command, f *serverWorkerFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	if err := validateReplicas(f.replicas); err != nil {
		return err
	}
	collectLess()
	ctx, log := c.Context(), telemetry.NewLogger(a.stderr, f.logLevel)
	conn, err := a.connectHome(c.Flags(), workerOptions(log)...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !f.noProvision {
		err := a.provisionStreams(ctx, conn, provision.Options{Replicas: f.replicas})
		if err != nil && ctx.Err() != nil { // asked to end before it began: nothing is left undone
			fmt.Fprintln(a.stdout, "jetvol stopped: it had not begun")
			return nil
		}
		if err != nil {
			return err
		}
	}
	err = a.serve(ctx, conn, &f.workerFlags, log, func(_ context.Context, s *service) (bool, error) {
		fmt.Fprintf(a.stdout, "jetvol worker ready: %s (%s)\n",
			conn.ConnectedUrlRedacted(), s.facts(s.backends.String()))
		return true, nil
	})
	switch {
	case f.noProvision && errors.Is(err, volume.Unavailable):
		return fmt.Errorf("%w: `%s provision` makes what is missing", err, a.program)
	case err == nil:
		fmt.Fprintln(a.stdout, "jetvol stopped: drained")
	}
	return err
}

// validateReplicas returns a usageError unless JetStream knows that number; 0 leaves
// it open.
func validateReplicas(replicas int) error {
	switch replicas {
	case 0, 1, 3, 5:
		return nil
	}
	return usagef("replicas %d: want 1, 3 or 5", replicas)
}
