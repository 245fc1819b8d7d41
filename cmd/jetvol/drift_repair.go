package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/volume"
)

const driftRepairLong = `Makes a volume and its backend agree, by ordinary commands to the volume: the events tell of
each. What the commands are depends on who is right: the record, as after somebody changed a
volume at the backend by hand, or the backend, as when that change was meant. Not everything
can be done by commands: no volume is made smaller, and no lost data comes back. What cannot
is told, and nothing is done.

Without --yes it only prints the commands, with exit code 6.`

type driftRepairFlags struct {
	consent
	believe drift.Side
	actor   string
	asJSON  bool
	wait    time.Duration
}

func (a *app) driftRepairCommand() *cobra.Command {
	var f driftRepairFlags
	command := &cobra.Command{
		Use:   "repair NAME --believe record|backend",
		Short: "Make a volume and its backend agree",
		Long:  driftRepairLong,
		Example: `  jetvol drift repair db-01 --believe backend
  jetvol drift repair db-01 --believe record --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := a.keyOf(args[0])
			if err != nil {
				return err
			}
			return a.driftRepair(c, &f, key)
		},
	}
	flags := command.Flags()
	choice(command, &oneOf[drift.Side]{&f.believe, drift.Sides(), "SIDE"}, "believe", "who is right: record or backend", words(drift.Sides()))
	required(command, "believe")
	flags.StringVar(&f.actor, "actor", "", "who asks, for the events (default user@host)")
	f.registerAsking(command, "")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan, or with --yes each reply, as JSON per line")
	flags.DurationVar(&f.wait, "wait", defaultWait, "how long to wait for all commands; 0 is for ever")
	return command
}

func (a *app) driftRepair(c *cobra.Command, f *driftRepairFlags, key volume.Key) error {
	if f.wait < 0 {
		return usagef("wait %s: want 0 or more", f.wait)
	}
	conn, js, err := a.openJetStream(c.Flags(), nats.MaxReconnects(-1)) // the wait is bounded by its context
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := bounded(c.Context(), f.wait)
	defer cancel()
	found, err := findDrift(ctx, js, key)
	if err != nil {
		return err
	}
	plan := drift.Repair(found.Finding, found.record, f.believe)
	if err := a.announcePlan(f, key, plan); err != nil {
		return err
	}
	if f.shows(true) {
		return f.shown("carries these commands out")
	}
	client, err := a.commandClient(ctx, conn)
	if err != nil {
		return err
	}
	return errors.Join(a.carryOutPlan(ctx, client, f, found, plan), client.Close())
}

// announcePlan prints what is to be done. It returns an error if it cannot be done.
func (a *app) announcePlan(f *driftRepairFlags, key volume.Key, plan drift.Plan) error {
	if f.asJSON && f.shows(true) {
		if err := printJSON(a.stdout, plan); err != nil {
			return err
		}
	}
	if !f.asJSON && plan.Obstacle == "" {
		showPlan(a.stdout, key, plan)
	}
	if plan.Obstacle != "" {
		return fmt.Errorf("repair volume %s as the %s is right: %s: %w", key, plan.Side, plan.Obstacle, volume.Unsupported)
	}
	return nil
}

// carryOutPlan sends one command after the other. Each expects the volume as the one before
// has left it, the first as it was found; the first that does not succeed is the last.
func (a *app) carryOutPlan(ctx context.Context, client *commands.Client, f *driftRepairFlags, found drifted, plan drift.Plan) error {
	actor := f.actor
	if actor == "" {
		actor = defaultActor()
	}
	var generation *uint64
	if found.record.Exists() {
		generation = &found.record.Generation
	}
	for _, step := range plan.Steps {
		reply, err := client.Do(ctx, commands.Request{
			Key: found.Key, Verb: step.Verb, Args: step.Args, Actor: actor,
			Preconditions: volume.Preconditions{IfGeneration: generation},
		})
		if reply.Outcome == "" {
			return err
		}
		if f.asJSON {
			if err := printJSON(a.stdout, reply); err != nil {
				return err
			}
		}
		if err != nil {
			return &outcomeError{reply}
		}
		if !f.asJSON {
			fmt.Fprintf(a.stdout, "%s: %s is %s (generation %d)\n", step.Verb, found.Key, reply.State, reply.Generation)
		}
		after := reply.Generation
		generation = &after
	}
	return nil
}
