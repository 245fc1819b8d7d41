package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

const quotaVerifyLong = `Works out from the records what a project uses, or each that has a quota, and compares that
with its ledger. Commands may be carried out meanwhile. Entries of commands that are gone
are named, too.

It ends with 0 if all ledgers are right, and with 1 if one is not. With --repair it stores
what the records say, and ends with 0 if it could. Without PROJECT that needs --yes, too: else
the ledgers are only compared, and if one is wrong the exit code is 6. To use more than a limit is no fault of
the ledger: it is told, and does not count.`

var errQuotaWrong = errors.New("a ledger is not what the records say (--repair corrects it)")

type quotaVerifyFlags struct {
	consent
	all            bool // projects
	repair, asJSON bool
}

func (a *app) quotaVerifyCommand() *cobra.Command {
	var f quotaVerifyFlags
	command := &cobra.Command{
		Use:   "verify [PROJECT]",
		Short: "Compare what is counted with the records",
		Long:  quotaVerifyLong,
		Example: `  jetvol quota verify
  jetvol quota verify billing --repair
  jetvol quota verify --repair --yes`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withQuotas(c, func(client *quotas.Client) error {
				projects, err := quotaProjects(c.Context(), client, args)
				if err != nil {
					return err
				}
				f.all = len(args) == 0
				return a.quotaVerify(c.Context(), client, projects, &f)
			})
		},
	}
	command.Flags().BoolVar(&f.repair, "repair", false, "store what the records say")
	f.registerAsking(command, "--repair of all projects")
	command.Flags().BoolVar(&f.asJSON, "json", false, "print one project as JSON per line")
	return command
}

// quotaProjects are the one that was named, or all that have a quota.
func quotaProjects(ctx context.Context, client *quotas.Client, args []string) ([]volume.Project, error) {
	if len(args) > 0 {
		project, err := projectOf(args[0])
		return []volume.Project{project}, err
	}
	ledgers, err := client.List(ctx)
	var projects []volume.Project
	for _, ledger := range ledgers {
		projects = append(projects, ledger.Project)
	}
	return projects, err
}

func (a *app) quotaVerify(ctx context.Context, client *quotas.Client, projects []volume.Project, f *quotaVerifyFlags) error {
	look, wrong := client.Verify, false
	if f.repair && !f.shows(f.all) {
		look = client.Repair
	}
	for _, project := range projects {
		report, err := look(ctx, project)
		if errors.Is(err, quotas.ErrNoQuota) && len(projects) > 1 {
			continue // it was cleared meanwhile
		}
		if err != nil {
			return err
		}
		wrong = wrong || report.Fault() && !report.Repaired
		if err := a.showQuotaReport(report, f.asJSON); err != nil {
			return err
		}
	}
	switch {
	case wrong && f.repair && f.shows(f.all) && !f.dryRun:
		return f.shown("stores what the records say")
	case wrong:
		return errQuotaWrong
	}
	return nil
}

func (a *app) showQuotaReport(r quotas.Report, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, r)
	}
	verdict := "right"
	switch {
	case r.Repaired:
		verdict = "repaired"
	case r.Fault():
		verdict = "wrong"
	}
	fmt.Fprintf(a.stdout, "%s  %s  %d volumes, %s, %d snapshots, %d commands under way\n", r.Project, verdict,
		r.Derived.Volumes, bytesText(r.Derived.Bytes), r.Derived.Snapshots, r.Pending)
	for _, f := range r.Findings {
		fmt.Fprintf(a.stdout, "  %s: %s\n", f.Kind, f.Detail)
	}
	return nil
}
