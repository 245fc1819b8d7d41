package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/audit"
)

const checkpointLong = `Verifies everything and, if there is no fault, stores where each volume stands. From then
on the events before it may age out: verify begins each volume at its checkpoint.

Keep the digest that it prints where those cannot write who can write to the server: it
tells whether the checkpoint is still the one that was taken.`

func (a *app) auditCheckpointCommand() *cobra.Command {
	var f auditFlags
	var agreed consent
	var by string
	command := &cobra.Command{
		Use:     "checkpoint",
		Short:   "Verify, and store where each volume stands",
		Long:    checkpointLong,
		Example: `  jetvol audit checkpoint --by alice`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.options(a)
			if err != nil {
				return err
			}
			if by == "" {
				by = defaultActor()
			}
			if agreed.dryRun {
				return a.verify(c, o, f.asJSON)
			}
			return a.checkpoint(c, by, o, f.asJSON)
		},
	}
	f.register(command)
	agreed.register(command)
	command.Flags().StringVar(&by, "by", "", "who takes it (default user@host)")
	return command
}

func (a *app) checkpoint(c *cobra.Command, by string, o audit.Options, asJSON bool) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	mark, report, err := audit.TakeCheckpoint(c.Context(), js, by, o)
	if err != nil {
		return err
	}
	if mark == nil {
		return a.showAudit(report, asJSON)
	}
	if asJSON {
		return printJSON(a.stdout, mark)
	}
	_, err = fmt.Fprintf(a.stdout, "checkpoint %s\n", markText(*mark))
	return err
}
