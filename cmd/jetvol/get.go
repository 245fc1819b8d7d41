package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

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
	request, err := a.wanted(argument)
	if err != nil {
		return err
	}
	request.IncludeDeleted = deleted
	return a.read(c, func(ctx context.Context, reader query.Reader) error {
		reply, err := reader.Get(ctx, request)
		if errors.Is(err, volume.NotFound) {
			return volume.Errorf(volume.ErrVolumeNotFound, "get volume %s", argument)
		}
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(a.stdout, reply.Volume)
		}
		showRecord(a.stdout, reply.Volume.Record)
		return nil
	})
}

// wanted returns the request for the volume that an argument names, by key or by id.
func (a *app) wanted(argument string) (query.GetRequest, error) {
	if strings.Count(argument, ".") > 1 {
		id := volume.ID(argument)
		if _, err := id.Key(); err != nil {
			return query.GetRequest{}, &usageError{cause: err}
		}
		return query.GetRequest{ID: id}, nil
	}
	key, err := a.keyOf(argument)
	return query.GetRequest{Project: key.Project, Volume: key.Name}, err
}
