package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// shownSnapshot is a snapshot with all that is known of it.
type shownSnapshot struct {
	Project volume.Project `json:"project"`
	snapshots.Info
	snapshots.Usage
	// Chain is what it stands on, nearest first.
	Chain []snapshots.Key `json:"chain"`
	// Children are the clones that need it, and the snapshots of these.
	Children []snapshots.Key `json:"children"`
}

func (a *app) snapshotGetCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "get VOLUME@NAME",
		Short: "Show a snapshot and what is made of it",
		Example: `  jetvol snapshot get db-01@before-upgrade
  jetvol snapshot get db-01@before-upgrade --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.snapshotGet(c, args[0], asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the snapshot as one line of JSON")
	return command
}

func (a *app) snapshotGet(c *cobra.Command, argument string, asJSON bool) error {
	of, name, err := a.snapshotOf(argument)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	shown := shownSnapshot{Project: of.Project}
	err = snapshots.New(js).View(c.Context(), of.Project, func(tx *snapshots.Tx) error {
		return shown.read(c, tx, snapshots.SnapshotKey(of.Name, name))
	})
	if errors.Is(err, volume.ErrSnapshotNotFound) {
		return volume.Errorf(volume.ErrSnapshotNotFound, "get snapshot %s", argument)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, shown)
	}
	showSnapshot(a.stdout, shown)
	return nil
}

func (s *shownSnapshot) read(c *cobra.Command, tx *snapshots.Tx, key snapshots.Key) (err error) {
	ctx := c.Context()
	if s.Info, err = tx.Stat(ctx, key); err != nil {
		return err
	}
	if s.Usage, err = tx.Usage(ctx, key); err != nil {
		return err
	}
	chain, err := tx.Chain(ctx, key)
	if err != nil {
		return err
	}
	s.Chain = []snapshots.Key{}
	for _, info := range chain {
		s.Chain = append(s.Chain, info.Name)
	}
	children, err := tx.Children(ctx, key)
	s.Children = list(children)
	return err
}

// maxShownChildren is how many children are shown to people.
const maxShownChildren = 20

func showSnapshot(w io.Writer, s shownSnapshot) {
	row := func(name string, value any) { fmt.Fprintf(w, "  %-11s %s\n", name, value) }
	fmt.Fprintf(w, "%s.%s\n", s.Project, s.Name)
	row("id", s.ID)
	row("size", s.VolumeSize)
	if s.Size > 0 {
		row("takes", s.Size)
	}
	if len(s.Chain) > 0 {
		row("stands on", entriesText(s.Chain))
	}
	if len(s.Children) > 0 {
		row("children", entriesText(s.Children))
	}
	if len(s.Labels) > 0 {
		row("labels", strings.TrimSpace(pairs(s.Labels)))
	}
	if s.RemovedBy != "" {
		row("removed by", plain(s.RemovedBy))
	}
	row("created", stamp(s.Created))
	row("updated", stamp(s.Updated))
}

// entriesText is `db-02 db-03`, cut if there are many.
func entriesText(keys []snapshots.Key) string {
	texts := make([]string, 0, len(keys))
	for _, key := range keys[:min(len(keys), maxShownChildren)] {
		texts = append(texts, key.String())
	}
	if more := len(keys) - maxShownChildren; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, " ")
}
