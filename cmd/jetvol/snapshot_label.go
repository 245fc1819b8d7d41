package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

func (a *app) snapshotLabelCommand() *cobra.Command {
	var f consent
	var asJSON bool
	command := &cobra.Command{
		Use:   "label VOLUME@NAME KEY=VALUE|KEY=...",
		Short: "Set and remove labels of a snapshot",
		Long: `Sets labels of a snapshot, and removes those with an empty value; others stay. It changes
the store only, so it does not wait for commands and there is no event.`,
		Example: `  jetvol snapshot label db-01@monday kept=90d
  jetvol snapshot label db-01@monday kept= team=data`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.snapshotLabel(c, args[0], args[1:], f.dryRun, asJSON)
		},
	}
	f.register(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print the snapshot's entry as one line of JSON")
	return command
}

func (a *app) snapshotLabel(c *cobra.Command, argument string, changes []string, dryRun, asJSON bool) error {
	of, name, err := a.snapshotOf(argument)
	if err != nil {
		return err
	}
	wanted, err := parseLabels(changes)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	var info snapshots.Info
	change := func(tx *snapshots.Tx) (err error) {
		info, err = tx.Update(c.Context(), snapshots.Info{Name: snapshots.SnapshotKey(of.Name, name), Labels: wanted}, labelPaths(wanted)...)
		return err
	}
	store := snapshots.New(js)
	if dryRun {
		err = tryOut(c.Context(), store, of.Project, change)
	} else {
		err = store.Update(c.Context(), of.Project, change)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, listedEntry{of.Project, info})
	}
	_, err = fmt.Fprintf(a.stdout, "%s.%s%s\n", of.Project, info.Name, pairs(info.Labels))
	return err
}

// tryOut makes a change in a transaction that it rolls back.
func tryOut(ctx context.Context, store *snapshots.Store, project volume.Project, change func(*snapshots.Tx) error) error {
	tx, err := store.Begin(ctx, project, true)
	if err != nil {
		return err
	}
	return errors.Join(change(tx), tx.Rollback())
}

// parseLabels reads KEY=VALUE texts, or returns a usageError.
func parseLabels(texts []string) (volume.Labels, error) {
	var read labels
	for _, text := range texts {
		if err := read.Set(text); err != nil {
			return nil, usagef("label %q: %w", text, err)
		}
	}
	return volume.Labels(read), nil
}

// labelPaths returns the path of each label.
func labelPaths(wanted volume.Labels) []string {
	paths := slices.Sorted(maps.Keys(wanted))
	for i, key := range paths {
		paths[i] = "labels." + key
	}
	return paths
}
