package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const listLong = `Lists volumes in the order of their last change, in pages. A page that is not the last
one ends with the line "next: --after N", which goes to stderr with --json.`

type listFlags struct {
	states      []volume.State
	labels      labels
	prefix      string
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
  jetvol volume list --all-projects --limit 0 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c, &f) },
	}
	flags := command.Flags()
	choice(command, &manyOf[volume.State]{&f.states, volume.States(), "STATE"}, "state",
		"only volumes in this state, may be given several times", words(volume.States()))
	flags.Var(&f.labels, "label", "only volumes with this label, may be given several times")
	flags.StringVar(&f.prefix, "prefix", "", "only volumes whose name begins with this")
	flags.IntVar(&f.limit, "limit", kv.DefaultPageSize, "volumes in a page; 0 is all")
	flags.Var(&f.after, "after", "go on where the page with this cursor ended")
	flags.BoolVarP(&f.allProjects, "all-projects", "A", false, "volumes of all projects")
	flags.BoolVar(&f.deleted, "include-deleted", false, "deleted volumes too, while their records are kept")
	flags.BoolVar(&f.asJSON, "json", false, "print one record as JSON per line")
	return command
}

func (a *app) list(c *cobra.Command, f *listFlags) error {
	if f.limit < 0 {
		return usagef("limit %d: want 0 or more", f.limit)
	}
	filter := ""
	if !f.allProjects {
		if err := (volume.Key{Project: volume.Project(a.project), Name: "any"}).Validate(); err != nil {
			return &usageError{cause: err}
		}
		filter = a.project + ".*"
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	out := newListing(a.stdout, f)
	next, err := walk(c.Context(), js, f, filter, out.add)
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
}

// walk gives each record that matches to add, up to the limit. It returns the cursor to
// go on with if there are more that match, and else 0. Records that cannot be read are
// told in the error, after all others.
func walk(ctx context.Context, js jetstream.JetStream, f *listFlags, filter string, add func(storedRecord) error) (uint64, error) {
	records := kv.NewVolumes(js)
	found, last, after := 0, uint64(0), uint64(f.after)
	var unreadable []error
	for {
		page, next, err := records.List(ctx, kv.ListOptions{Filter: filter, After: after, Limit: f.pageSize()})
		switch {
		case errors.Is(err, kv.ErrSchema), errors.Is(err, kv.ErrCorrupt):
			unreadable = append(unreadable, err)
		case err != nil:
			return 0, err
		}
		for _, entry := range page {
			if !f.matches(entry.Value) {
				continue
			}
			if found == f.limit && f.limit > 0 {
				return last, errors.Join(unreadable...)
			}
			if err := add(storedRecord{entry.Value, entry.Revision}); err != nil {
				return 0, err
			}
			found, last = found+1, entry.Revision
		}
		if next == 0 {
			return 0, errors.Join(unreadable...)
		}
		after = next
	}
}

// pageSize is how many records to read at once: one more than wanted, to see whether
// there are more, or many if most may not match.
func (f *listFlags) pageSize() int {
	if f.limit == 0 || len(f.states) > 0 || len(f.labels) > 0 || f.prefix != "" {
		return kv.MaxPageSize
	}
	return f.limit + 1
}

func (f *listFlags) matches(r volume.Record) bool {
	if len(f.states) > 0 && !slices.Contains(f.states, r.State) {
		return false
	}
	if !r.Exists() && !f.deleted && !slices.Contains(f.states, volume.StateDeleted) {
		return false
	}
	for key, value := range f.labels {
		if have, found := r.Labels[key]; !found || have != value {
			return false
		}
	}
	return strings.HasPrefix(string(r.Name), f.prefix)
}

// listing prints records as a table or as lines of JSON.
type listing struct {
	json  io.Writer         // nil for a table
	table *tabwriter.Writer // nil for JSON
}

func newListing(w io.Writer, f *listFlags) *listing {
	if f.asJSON {
		return &listing{json: w}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tSTATE\tSIZE\tBACKEND\tNODE\tGENERATION\tUPDATED")
	return &listing{table: table}
}

func (l *listing) add(r storedRecord) error {
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
