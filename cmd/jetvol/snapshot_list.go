package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

const snapshotListLong = `Lists the snapshots of a project, or of one volume, in the order of their names. With
--all it lists clones (kind active) and read-only clones (kind view) too.

A filter is PATH==VALUE, PATH!=VALUE, PATH~=REGEXP, or PATH alone, which wants it to be
there; paths are name, parent, kind and labels.KEY. A comma means that both must hold, and
one of several --filter is enough.`

type snapshotListFlags struct {
	filters []string
	all     bool
	asJSON  bool
}

func (a *app) snapshotListCommand() *cobra.Command {
	var f snapshotListFlags
	command := &cobra.Command{
		Use:     "list [VOLUME]",
		Aliases: []string{"ls"},
		Short:   "List snapshots",
		Long:    snapshotListLong,
		Example: `  jetvol snapshot list db-01
  jetvol snapshot list --filter labels.kept==30d --filter name~=/@before-/ --json
  jetvol snapshot list --all --filter parent==db-01@before-upgrade`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return a.snapshotList(c, args, &f) },
	}
	flags := command.Flags()
	flags.StringArrayVar(&f.filters, "filter", nil, "only those that match, may be given several times")
	flags.BoolVar(&f.all, "all", false, "clones and read-only clones too")
	flags.BoolVar(&f.asJSON, "json", false, "print one entry as JSON per line")
	return command
}

// scopeOf returns the project, and the volume if one is named, that a command is about.
func (a *app) scopeOf(args []string) (volume.Key, error) {
	if len(args) > 0 {
		return a.keyOf(args[0])
	}
	key, err := a.keyOf("any") // for the check of the project
	return volume.Key{Project: key.Project}, err
}

func (a *app) snapshotList(c *cobra.Command, args []string, f *snapshotListFlags) error {
	scope, err := a.scopeOf(args)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	found, err := f.find(c.Context(), snapshots.New(js), scope)
	if err != nil {
		return usageOfFilter(err)
	}
	if !f.asJSON {
		return showEntries(a.stdout, scope.Project, found)
	}
	for _, info := range found {
		if err := printJSON(a.stdout, listedEntry{scope.Project, info}); err != nil {
			return err
		}
	}
	return nil
}

// listedEntry is an entry of the store with its project.
type listedEntry struct {
	Project volume.Project `json:"project"`
	snapshots.Info
}

// find returns what is to be listed. The snapshots of one volume alone cost as much as
// there are; everything else reads what the filters leave of the project.
func (f *snapshotListFlags) find(ctx context.Context, store *snapshots.Store, scope volume.Key) ([]snapshots.Info, error) {
	if scope.Name != "" && !f.all && len(f.filters) == 0 {
		return store.SnapshotsOf(ctx, scope.Project, scope.Name)
	}
	var found []snapshots.Info
	err := store.View(ctx, scope.Project, func(tx *snapshots.Tx) error {
		return tx.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			if f.wants(info, scope.Name) {
				found = append(found, info)
			}
			return nil
		}, f.filters...)
	})
	return found, err
}

func (f *snapshotListFlags) wants(info snapshots.Info, of volume.Name) bool {
	return (f.all || info.Kind == snapshots.Committed) && (of == "" || info.Name.Volume == of)
}

func showEntries(w io.Writer, project volume.Project, entries []snapshots.Info) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tKIND\tPARENT\tSIZE\tCREATED\tLABELS")
	for _, e := range entries {
		size := "-" // only a snapshot has one of its own
		if e.Kind == snapshots.Committed {
			size = e.VolumeSize.String()
		}
		fmt.Fprintf(table, "%s.%s\t%s\t%s\t%s\t%s\t%s\n", project, e.Name, e.Kind, cmp.Or(e.Parent.String(), "-"), size, stamp(e.Created),
			cmp.Or(strings.TrimSpace(pairs(e.Labels)), "-"))
	}
	return table.Flush()
}

// usageOfFilter returns the fault of a filter as a usageError, and other errors as they are.
func usageOfFilter(err error) error {
	if fault, bad := errors.AsType[*filters.SyntaxError](err); bad {
		return &usageError{cause: fault}
	}
	return err
}
