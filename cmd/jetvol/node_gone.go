package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
)

const nodeGoneLong = `Takes all volumes from a node that is dead or does not answer. For each volume that the
node holds or is just getting, the backend fences the node first, so that nothing it still
writes arrives, and then ends its reservation. The reason stays in the events, with what was
fenced and who said so. A backend that cannot fence refuses: make sure that the node has
stopped, and detach its volumes.

Take the node out of service before: nothing keeps it from attaching volumes again.

Without --yes it only shows the volumes, with exit code 6. It ends with 0 when the node holds none any more,
with 1 if it still does. After exit code 4 the same --id goes on where this came to. Volumes
in error, which the node may hold nevertheless, are named: on stderr with --json.`

type nodeGoneFlags struct {
	nodeScope
	consent
	reason string
	id     string
	actor  string
	asJSON bool
	wait   time.Duration
}

func (a *app) nodeGoneCommand() *cobra.Command {
	var f nodeGoneFlags
	command := &cobra.Command{
		Use:   "gone NODE --reason TEXT",
		Short: "Fence a node that is dead and take its volumes from it",
		Long:  nodeGoneLong,
		Example: `  jetvol node gone node-1 --reason "rack 4 lost power"
  jetvol node gone node-1 --reason "rack 4 lost power" --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return a.nodeGone(c, &f, args) },
	}
	f.nodeScope.register(command)
	flags := command.Flags()
	flags.StringVar(&f.reason, "reason", "", "how it is known that the node is gone")
	required(command, "reason")
	flags.StringVar(&f.id, "id", "", "id of this request; the same one again goes on with it (default random)")
	flags.StringVar(&f.actor, "actor", "", "who asks, for the events (default user@host)")
	f.registerAsking(command, "")
	flags.BoolVar(&f.asJSON, "json", false, "print one volume as JSON per line")
	flags.DurationVar(&f.wait, "wait", defaultWait, "how long to wait for all volumes; 0 is for ever")
	return command
}

// request returns what the command line asks for, or a usageError.
func (f *nodeGoneFlags) request(a *app, c *cobra.Command, args []string) (nodes.GoneRequest, error) {
	filter, err := a.nodeFilter(c, &f.nodeScope, args)
	if err != nil {
		return nodes.GoneRequest{}, err
	}
	request := nodes.GoneRequest{
		Node: filter.Node, Project: filter.Project, Reason: f.reason, ID: volume.CommandID(f.id), Actor: f.actor,
	}
	if request.ID == "" {
		request.ID = volume.CommandID(rand.Text())
	}
	if request.Actor == "" {
		request.Actor = defaultActor()
	}
	if f.wait < 0 {
		return request, usagef("wait %s: want 0 or more", f.wait)
	}
	if err := request.Validate(); err != nil {
		return request, &usageError{cause: err}
	}
	return request, nil
}

func (a *app) nodeGone(c *cobra.Command, f *nodeGoneFlags, args []string) error {
	request, err := f.request(a, c, args)
	if err != nil {
		return err
	}
	if f.shows(true) {
		return a.wouldBeGone(c, f, request)
	}
	conn, js, err := a.openJetStream(c.Flags(), nats.MaxReconnects(-1)) // the wait is bounded by its context
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := a.commandClient(c.Context(), conn)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c.Context(), f.wait)
	defer cancel()
	return errors.Join(a.takeAll(ctx, js, client, f, request), client.Close())
}

// wouldBeGone shows what is to be done, and does nothing.
func (a *app) wouldBeGone(c *cobra.Command, f *nodeGoneFlags, request nodes.GoneRequest) error {
	if err := a.nodeList(c, nodes.Filter{Node: request.Node, Project: request.Project}, f.asJSON); err != nil {
		return err
	}
	return f.shown("takes these volumes from node " + string(request.Node))
}

func (a *app) takeAll(ctx context.Context, js jetstream.JetStream, client *commands.Client, f *nodeGoneFlags, request nodes.GoneRequest) error {
	var printing error
	if f.asJSON {
		request.Told = func(t nodes.Taken) { printing = errors.Join(printing, printJSON(a.stdout, t.Reply)) }
	}
	report, err := nodes.New(kv.NewVolumes(js), client).Gone(ctx, request)
	if f.asJSON {
		tellDoubtful(a.stderr, report)
		return errors.Join(err, printing)
	}
	if printing := a.showTaken(report); printing != nil {
		return errors.Join(err, printing)
	}
	if _, pending := errors.AsType[*commands.PendingError](err); pending {
		fmt.Fprintf(a.stdout, "to go on: --id %s\n", request.ID)
	}
	if err == nil {
		fmt.Fprintf(a.stdout, "node %s is gone and holds no volume: %d taken\n", request.Node, len(report.Taken))
	}
	return err
}

func (a *app) showTaken(report nodes.Report) error {
	if len(report.Taken) > 0 {
		table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "VOLUME\tOUTCOME\tSTATE\tGENERATION\tFENCED")
		for _, t := range report.Taken {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", t.Key, takenText(t), t.Reply.State, t.Reply.Generation, fencedText(t.Reply.Eviction))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	tellDoubtful(a.stdout, report)
	return nil
}

// tellDoubtful names the volumes that the node may hold still.
func tellDoubtful(out io.Writer, report nodes.Report) {
	if len(report.Doubtful) > 0 {
		fmt.Fprintf(out, "in error, and not known to be held: %s\n", keysText(report.Doubtful))
	}
}

// takenText is the outcome, with the code of what is no success.
func takenText(t nodes.Taken) string {
	if t.Err == nil {
		return string(t.Reply.Outcome)
	}
	return string(t.Reply.Outcome) + " " + string(volume.CodeOf(t.Err))
}

// fencedText is `10.0.0.1:0/1 10.0.0.1:0/2 +3`, or `-`.
func fencedText(e *volume.Eviction) string {
	if e == nil || len(e.Clients) == 0 {
		return "-"
	}
	text := strings.Join(e.Clients, " ")
	if e.More > 0 {
		text += fmt.Sprintf(" +%d", e.More)
	}
	return plain(text)
}

// maxShownKeys is how many volumes a line names.
const maxShownKeys = 10

func keysText(keys []volume.Key) string {
	var names []string
	for _, key := range keys[:min(len(keys), maxShownKeys)] {
		names = append(names, key.String())
	}
	text := strings.Join(names, ", ")
	if more := len(keys) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
