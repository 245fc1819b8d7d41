package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/query"
	"github.com/jetvol/jetvol/volume"
)

const listLong = `Lists volumes in the order of their last change, in pages. A page that is not the last
one ends with the line "next: --after N", which goes to stderr with --json.`

type listFlags struct {
	states      []volume.State
	labels      labels
	prefix      string
	node        string
	backend     string
	drifted     bool
	filters     []string
	limit       int
	after       sequence
	allProjects bool
	deleted     bool
	asJSON      bool
}

func (a *app) listCommand() *cobra.Command {
	var f listFlags
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List volumes",
		Long:    listLong,
		Example: `  jetvol volume list --state attached --label team=data
  jetvol volume list --all-projects --limit 0 --json
  jetvol volume list --filter 'state~=_failed$' --filter 'drift'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c, &f) },
	}
	flags := command.Flags()
	choice(command, &manyOf[volume.State]{&f.states, volume.States(), "STATE"}, "state",
		"only volumes in this state, may be given several times", words(volume.States()))
	flags.Var(&f.labels, "label", "only volumes with this label, may be given several times")
	flags.StringVar(&f.prefix, "prefix", "", "only volumes whose name begins with this")
	flags.StringVar(&f.node, "node", "", "only volumes that this node holds")
	flags.StringVar(&f.backend, "backend", "", "only volumes on this backend")
	flags.BoolVar(&f.drifted, "drifted", false, "only volumes that differ from their backend")
	flags.StringArrayVar(&f.filters, "filter", nil, "only volumes of which this holds, like state==attached,labels.team==db; several are alternatives")
	flags.IntVar(&f.limit, "limit", kv.DefaultPageSize, "volumes in a page; 0 is all")
	flags.Var(&f.after, "after", "go on where the page with this cursor ended")
	flags.BoolVarP(&f.allProjects, "all-projects", "A", false, "volumes of all projects")
	flags.BoolVar(&f.deleted, "include-deleted", false, "deleted volumes too, while their records are kept")
	flags.BoolVar(&f.asJSON, "json", false, "print one record as JSON per line")
	return command
}

func (a *app) list(c *cobra.Command, f *listFlags) error {
	request, err := a.listRequest(f)
	if err != nil {
		return err
	}
	return a.read(c, func(ctx context.Context, reader query.Reader) error {
		out := newListing(a.stdout, f.asJSON)
		next, err := walk(query.All(ctx, reader, request), f.limit, out.add)
		if err := errors.Join(err, out.flush()); err != nil {
			return err
		}
		if next > 0 {
			out := a.stdout
			if f.asJSON {
				out = a.stderr
			}
			fmt.Fprintf(out, "next: --after %d\n", next)
		}
		return nil
	})
}

func (a *app) listRequest(f *listFlags) (query.ListRequest, error) {
	if f.limit < 0 {
		return query.ListRequest{}, usagef("limit %d: want 0 or more", f.limit)
	}
	request := query.ListRequest{
		States: f.states, Node: volume.Node(f.node), Backend: f.backend, Labels: volume.Labels(f.labels), Drifted: f.drifted,
		NamePrefix: f.prefix, Filter: f.filters, IncludeDeleted: f.deleted, After: uint64(f.after), Limit: query.MaxLimit,
	}
	if f.limit > 0 {
		request.Limit = min(f.limit+1, query.MaxLimit) // one more than wanted, to see whether there are more
	}
	if !f.allProjects {
		if err := (volume.Key{Project: volume.Project(a.project), Name: "any"}).Validate(); err != nil {
			return request, &usageError{cause: err}
		}
		request.Project = volume.Project(a.project)
	}
	if err := request.Validate(); err != nil {
		return request, &usageError{cause: err}
	}
	return request, nil
}

// walk gives each volume to add, up to the limit unless that is 0. It returns the cursor
// to go on with if there are more, and else 0.
func walk(volumes iter.Seq2[query.Stored, error], limit int, add func(query.Stored) error) (next uint64, err error) {
	found, last := 0, uint64(0)
	for one, err := range volumes {
		if err != nil {
			return 0, err
		}
		if found == limit && limit > 0 {
			return last, nil
		}
		if err := add(one); err != nil {
			return 0, err
		}
		found, last = found+1, one.Revision
	}
	return 0, nil
}

// listing prints records as a table or as lines of JSON.
type listing struct {
	json  io.Writer         // nil for a table
	table *tabwriter.Writer // nil for JSON
}

func newListing(w io.Writer, asJSON bool) *listing {
	if asJSON {
		return &listing{json: w}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tSTATE\tSIZE\tBACKEND\tNODE\tGENERATION\tUPDATED")
	return &listing{table: table}
}

func (l *listing) add(r query.Stored) error {
	if l.json != nil {
		return printJSON(l.json, r)
	}
	_, err := fmt.Fprintf(l.table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
		r.Key, r.State, r.Size, r.Backend, nodesText(r.Attachments), r.Generation, stamp(r.UpdatedAt))
	return err
}

// nodesText is `n1`, or `n1,+2` if two others hold the volume too, or `-`.
func nodesText(holders volume.Attachments) string {
	switch len(holders) {
	case 0:
		return "-"
	case 1:
		return string(holders[0].Node)
	default:
		return fmt.Sprintf("%s,+%d", holders[0].Node, len(holders)-1)
	}
}

func (l *listing) flush() error {
	if l.table == nil {
		return nil
	}
	return l.table.Flush()
}
