package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

const driftLong = `Tells where backends differ from the records of volumes, and makes them agree by commands.

Workers compare all volumes with their backends, hourly unless --reconcile-interval says
otherwise, and after they took volumes over. What they find is listed here.`

func (a *app) driftCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:   "drift",
		Short: "See and repair where backends differ from records",
		Long:  driftLong,
	})
	command.AddCommand(a.driftListCommand(), a.driftShowCommand(), a.driftRepairCommand(), a.driftScanCommand())
	return command
}

func driftKinds() []volume.DriftKind {
	return []volume.DriftKind{
		volume.DriftGhost, volume.DriftOrphan, volume.DriftOwner, volume.DriftSize, volume.DriftNode, volume.DriftSnapshots,
	}
}

const driftListLong = `Lists what sweeps have found and no record shows to be settled since. The exit code is 0 if
that is nothing, and 1 if it is something.`

type driftListFlags struct {
	nodeScope
	kind    volume.DriftKind
	backend string
	asJSON  bool
}

func (a *app) driftListCommand() *cobra.Command {
	var f driftListFlags
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what differs",
		Long:    driftListLong,
		Example: `  jetvol drift list
  jetvol drift list --kind orphan --backend ceph-ssd --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.driftList(c, &f) },
	}
	f.nodeScope.register(command)
	flags := command.Flags()
	choice(command, &oneOf[volume.DriftKind]{&f.kind, driftKinds(), "KIND"}, "kind", "only this kind of difference", words(driftKinds()))
	flags.StringVar(&f.backend, "backend", "", "only what differs at this backend")
	flags.BoolVar(&f.asJSON, "json", false, "print one finding as JSON per line")
	return command
}

func (a *app) driftList(c *cobra.Command, f *driftListFlags) error {
	project, err := f.project(a, c)
	if err != nil {
		return err
	}
	conn, js, err := a.openJetStream(c.Flags())
	if err != nil {
		return err
	}
	defer conn.Close()
	out := newFindingTable(a.stdout, f.asJSON)
	filter := drift.Filter{Project: project, Kind: f.kind, Backend: f.backend}
	differ := 0
	err = eachFinding(c.Context(), js, filter, func(found drift.Finding) error {
		differ++
		return out.add(found)
	})
	if err := errors.Join(err, out.flush()); err != nil || differ == 0 {
		return err
	}
	return fmt.Errorf("drift: %d differ (`%s drift show NAME` tells what can be done)", differ, a.program)
}

// eachFinding gives each finding to add that no record shows to be settled. What cannot be read
// is told after the others.
func eachFinding(ctx context.Context, js jetstream.JetStream, filter drift.Filter, add func(drift.Finding) error) error {
	var failures []error
	for found, err := range drift.NewFindings(js).Unsettled(ctx, filter) {
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if err := add(found); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// recordOrNone returns the volume's record, zero if there is none.
func recordOrNone(ctx context.Context, records kv.Volumes, key volume.Key) (volume.Record, error) {
	entry, err := records.ByKey(ctx, key)
	if errors.Is(err, kv.ErrNotFound) {
		return volume.Record{}, nil
	}
	return entry.Value, err
}

// findingTable prints findings, a line per difference, or as lines of JSON.
type findingTable struct {
	json  io.Writer
	table *tabwriter.Writer
}

func newFindingTable(w io.Writer, asJSON bool) *findingTable {
	if asJSON {
		return &findingTable{json: w}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VOLUME\tKIND\tBACKEND\tWANTED\tACTUAL\tFOUND")
	return &findingTable{table: table}
}

func (t *findingTable) add(f drift.Finding) error {
	if t.json != nil {
		return printJSON(t.json, f)
	}
	for _, d := range f.Differences {
		fmt.Fprintf(t.table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			f.Key, orDash(string(d.Kind)), f.Backend, orDash(d.Wanted), orDash(d.Actual), stamp(f.FoundAt))
	}
	return nil
}

func (t *findingTable) flush() error {
	if t.table == nil {
		return nil
	}
	return t.table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return plain(text)
}
