package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// drifted is a volume that differs from its backend, and how to make the two agree.
type drifted struct {
	drift.Finding
	State volume.State `json:"state,omitempty"`
	Plans []drift.Plan `json:"plans"`

	record volume.Record
}

func (a *app) driftShowCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "show NAME",
		Short: "Show how one volume differs, and what can be done",
		Example: `  jetvol drift show db-01
  jetvol drift show db-01 --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := a.keyOf(args[0])
			if err != nil {
				return err
			}
			return a.driftShow(c, key, asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print it as one line of JSON")
	return command
}

func (a *app) driftShow(c *cobra.Command, key volume.Key, asJSON bool) error {
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	found, err := findDrift(c.Context(), js, key)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(a.stdout, found)
	}
	showDrift(a.stdout, found)
	return nil
}

// findDrift returns what is known of a volume's drift: what sweeps found, or else what the
// record says. It returns [volume.NotFound] if neither tells of one.
func findDrift(ctx context.Context, js jetstream.JetStream, key volume.Key) (drifted, error) {
	record, err := recordOrNone(ctx, kv.NewVolumes(js), key)
	if err != nil {
		return drifted{}, err
	}
	entry, err := drift.NewFindings(js).ByKey(ctx, key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return drifted{}, err
	}
	found := drifted{Finding: entry.Value, record: record}
	if record.Exists() {
		found.State = record.State
	}
	if err != nil || entry.Value.Outdated(record) {
		var tells bool
		if found.Finding, tells = drift.OfRecord(record); !tells {
			return drifted{}, fmt.Errorf("volume %s: no drift is known: %w", key, volume.NotFound)
		}
	}
	for _, side := range drift.Sides() {
		found.Plans = append(found.Plans, drift.Repair(found.Finding, record, side))
	}
	return found, nil
}

func showDrift(w io.Writer, d drifted) {
	fmt.Fprintf(w, "volume   %s%s\n", d.Key, orNothing(" is ", string(d.State)))
	fmt.Fprintf(w, "backend  %s\n", d.Backend)
	for _, one := range d.Differences {
		fmt.Fprintf(w, "differs  %s\n", plain(one.String()))
	}
	if d.ObjectID != "" {
		fmt.Fprintf(w, "object   %s, %s%s\n", d.ObjectID, d.Size, orNothing(", held by ", nodeNames(d.Attachments)))
	}
	fmt.Fprintf(w, "found    %s, seen last %s\n", stamp(d.FoundAt), stamp(d.SeenAt))
	for _, plan := range d.Plans {
		fmt.Fprintf(w, "\nif the %s is right:\n", plan.Side)
		showPlan(w, d.Key, plan)
	}
}

// showPlan prints the commands of a plan, as they can be given one by one.
func showPlan(w io.Writer, key volume.Key, plan drift.Plan) {
	if plan.Obstacle != "" {
		fmt.Fprintf(w, "  no command does it: %s\n", plan.Obstacle)
	}
	for _, step := range plan.Steps {
		fmt.Fprintf(w, "  jetvol volume %s %s%s  # %s\n", step.Verb, key, argumentsText(step.Args), step.Why)
	}
}

// argumentsText returns the arguments that plans use as flags.
func argumentsText(args volume.Args) string {
	text := orNothing(" --believe ", string(args.Believe)) + orNothing(" --backend ", args.Backend) + orNothing(" --volume-id ", string(args.ID)) +
		orNothing(" --node ", string(args.Node)) + orNothing(" --mode ", string(args.Mode))
	if args.Size > 0 {
		text += " --size " + args.Size.String()
	}
	return text
}

// orNothing is the text behind what introduces it, or nothing at all.
func orNothing(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func nodeNames(holders volume.Attachments) string {
	names := make([]string, len(holders))
	for i, one := range holders {
		names[i] = string(one.Node)
	}
	return strings.Join(names, ", ")
}
