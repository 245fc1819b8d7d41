package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

const historyLong = `Shows all that happened to a volume, oldest first, from its events: one line for each
transition, and with --rejected for each refused command. With --json each line is the
stored event.`

func (a *app) historyCommand() *cobra.Command {
	var asJSON, rejected bool
	command := &cobra.Command{
		Use:   "history NAME",
		Short: "Show all that happened to a volume",
		Long:  historyLong,
		Example: `  jetvol volume history db-01
  jetvol volume history billing.ledger --rejected --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := a.keyOf(args[0])
			if err != nil {
				return err
			}
			return a.history(c, key, rejected, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one CloudEvent per line")
	command.Flags().BoolVar(&rejected, "rejected", false, "refused commands too")
	return command
}

func (a *app) history(c *cobra.Command, key volume.Key, rejected, asJSON bool) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	known := false
	var unreadable []error
	for event, err := range audit.History(c.Context(), js, key) {
		if errors.Is(err, volume.ErrInvalidPayload) { // this one only
			unreadable = append(unreadable, err)
			continue
		}
		if err != nil {
			return err
		}
		if !known && !asJSON {
			fmt.Fprintln(table, "TIME\tGENERATION\tEVENT\tFROM → TO\tCOMMAND\tACTOR\tWORKER\tATTEMPT\tREASON")
		}
		known = true
		if event.Data.Event == volume.EventRejected && !rejected {
			continue
		}
		if err := a.historyLine(table, event, asJSON); err != nil {
			return err
		}
	}
	if !known && len(unreadable) == 0 {
		return volume.Errorf(volume.ErrVolumeNotFound, "history of volume %s", key)
	}
	return errors.Join(append(unreadable, table.Flush())...)
}

func (a *app) historyLine(table io.Writer, event events.Stored, asJSON bool) error {
	if asJSON {
		return a.showEvent(event, true)
	}
	t := event.Data
	attempt := "-"
	if t.Attempt > 0 {
		attempt = fmt.Sprint(t.Attempt)
	}
	_, err := fmt.Fprintf(table, "%s\t%d\t%s\t%s → %s\t%s %s\t%s\t%s\t%s\t%s\n",
		stamp(t.Time), t.Generation, t.Event, t.From, t.To, t.Verb, plain(string(t.CommandID)), orDash(plain(t.Actor)), t.Worker, attempt, orDash(reasonText(t)))
	return err
}

// reasonText is what a transition is about or went wrong, in one line. The attempt has a column of
// its own, and the next one is past.
func reasonText(t volume.Transition) string {
	if t.Event == volume.EventError {
		t.Event = ""
	}
	return strings.TrimSpace(plain(troubleText(t)))
}
