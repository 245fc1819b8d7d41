package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// storedRecord is a record as it is stored, with its place in the bucket.
type storedRecord struct {
	volume.Record
	Revision uint64 `json:"revision"`
}

func (a *app) getCommand() *cobra.Command {
	var asJSON, deleted bool
	var at pastFlag
	command := &cobra.Command{
		Use:   "get NAME|ID",
		Short: "Show a volume, as it is or as it was",
		Example: `  jetvol volume get db-01
  jetvol volume get db-01 --at 2026-11-21T06:00:00Z
  jetvol volume get db-01 --at 7
  jetvol volume get default.db-01.1 --include-deleted --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("at") {
				return a.getAt(c, args[0], at.Moment, deleted, asJSON)
			}
			return a.get(c, args[0], deleted, asJSON)
		},
	}
	command.Flags().Var(&at, "at", "show it as its events tell that it was: at a time, or a generation")
	command.Flags().BoolVar(&asJSON, "json", false, "print the record as one line of JSON")
	command.Flags().BoolVar(&deleted, "include-deleted", false, "show a deleted volume too, while its record is kept")
	return command
}

func (a *app) get(c *cobra.Command, argument string, deleted, asJSON bool) error {
	read, err := a.reader(argument)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	entry, err := read(c.Context(), kv.NewVolumes(js))
	if errors.Is(err, volume.NotFound) || err == nil && !deleted && !entry.Value.Exists() {
		return volume.Errorf(volume.ErrVolumeNotFound, "get volume %s", argument)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, storedRecord{entry.Value, entry.Revision})
	}
	showRecord(a.stdout, entry.Value)
	return nil
}

type readRecord func(context.Context, kv.Volumes) (kv.Entry[volume.Record], error)

// reader returns how to read the volume that an argument names, by key or by id.
func (a *app) reader(argument string) (readRecord, error) {
	if strings.Count(argument, ".") > 1 {
		id := volume.ID(argument)
		if _, err := id.Key(); err != nil {
			return nil, &usageError{cause: err}
		}
		return func(ctx context.Context, v kv.Volumes) (kv.Entry[volume.Record], error) { return v.ByID(ctx, id) }, nil
	}
	key, err := a.keyOf(argument)
	return func(ctx context.Context, v kv.Volumes) (kv.Entry[volume.Record], error) { return v.ByKey(ctx, key) }, err
}
