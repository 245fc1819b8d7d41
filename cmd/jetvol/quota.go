package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

const quotaLong = `Bounds what the volumes of a project may use: how many there are, their bytes (the sum of
their sizes), and their snapshots. What grows beyond a limit is refused with the code
quota_exceeded. A project has no quota until one is set.`

func (a *app) quotaCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "quota",
		Short: "Bound what the volumes of a project may use",
		Long:  quotaLong,
	})
	command.AddCommand(a.quotaSetCommand(), a.quotaGetCommand(), a.quotaListCommand(), a.quotaVerifyCommand())
	return command
}

// projectOf returns the project that an argument names, or a usageError.
func projectOf(argument string) (volume.Project, error) {
	project := volume.Project(argument)
	if err := (volume.Key{Project: project, Name: "any"}).Validate(); err != nil {
		return "", &usageError{cause: err}
	}
	return project, nil
}

func (a *app) quotaGetCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "get PROJECT",
		Short: "Show the quota of a project and what is used of it",
		Example: `  jetvol quota get billing
  jetvol quota get billing --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			project, err := projectOf(args[0])
			if err != nil {
				return err
			}
			return a.withQuotas(c, func(client *quotas.Client) error {
				ledger, err := client.Get(c.Context(), project)
				if err != nil {
					return err
				}
				return a.showLedgers(asJSON, ledger)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the ledger as one line of JSON")
	return command
}

func (a *app) quotaListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the projects that have a quota",
		Example: `  jetvol quota list
  jetvol quota list --json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withQuotas(c, func(client *quotas.Client) error {
				ledgers, err := client.List(c.Context())
				if err != nil {
					return err
				}
				return a.showLedgers(asJSON, ledgers...)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one ledger as JSON per line")
	return command
}

func (a *app) withQuotas(c *cobra.Command, do func(*quotas.Client) error) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(quotas.New(js))
}

func (a *app) showLedgers(asJSON bool, ledgers ...quotas.Ledger) error {
	if !asJSON {
		return showQuotas(a.stdout, ledgers)
	}
	for _, ledger := range ledgers {
		if err := printJSON(a.stdout, ledger); err != nil {
			return err
		}
	}
	return nil
}

func showQuotas(w io.Writer, ledgers []quotas.Ledger) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECT\tVOLUMES\tBYTES\tSNAPSHOTS\tPENDING\tSET BY")
	for _, l := range ledgers {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", l.Project,
			ofLimit(l, l.Used.Volumes, l.Limits.Volumes, countText), ofLimit(l, l.Used.Bytes, l.Limits.Bytes, bytesText),
			ofLimit(l, l.Used.Snapshots, l.Limits.Snapshots, countText), len(l.Pending), plain(l.SetBy))
	}
	return table.Flush()
}

// ofLimit is `3 of 10`, or `3` without a limit. What is used is not known at first.
func ofLimit(l quotas.Ledger, used int64, limit *int64, text func(int64) string) string {
	shown := text(used)
	if l.Deriving {
		shown = "?"
	}
	if limit != nil {
		shown += " of " + text(*limit)
	}
	return shown
}

func countText(n int64) string { return strconv.FormatInt(n, 10) }

func bytesText(n int64) string { return volume.Bytes(n).String() }
