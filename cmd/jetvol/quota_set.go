package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
)

const quotaSetLong = `Sets limits of a project; those that are not named stay as they are. A limit below what is
used refuses what grows, and nothing else.

The first time it waits until all live workers have told that they count, and then counts
what there is. When it ends well the quota is in force. Ended otherwise it may be repeated,
and refuses nothing until then.`

// unlimited takes a limit away.
const unlimited = "unlimited"

// limit is a flag: a number, or unlimited.
type limit struct {
	value *int64
	given bool
	parse func(string) (int64, error)
	kind  string
	text  string
}

var _ pflag.Value = (*limit)(nil)

func (f *limit) String() string { return f.text }
func (f *limit) Type() string   { return f.kind }

func (f *limit) Set(text string) error {
	f.given, f.text, f.value = true, text, nil
	if text == unlimited {
		return nil
	}
	n, err := f.parse(text)
	if err != nil {
		return err
	}
	f.value = &n
	return nil
}

// onto replaces a limit if the flag was given.
func (f *limit) onto(l **int64) {
	if f.given {
		*l = f.value
	}
}

func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("want a whole number, or %s", unlimited)
	}
	return n, nil
}

func parseBytes(text string) (int64, error) {
	n, err := volume.ParseBytes(text)
	return int64(n), err
}

type quotaSetFlags struct {
	consent
	volumes, bytes, snapshots limit

	clear  bool
	actor  string
	asJSON bool
	wait   time.Duration
}

func (a *app) quotaSetCommand() *cobra.Command {
	f := quotaSetFlags{
		volumes: limit{parse: parseCount, kind: "N"}, bytes: limit{parse: parseBytes, kind: "SIZE"}, snapshots: limit{parse: parseCount, kind: "N"},
	}
	command := &cobra.Command{
		Use:   "set PROJECT",
		Short: "Set or clear the quota of a project",
		Long:  quotaSetLong,
		Example: `  jetvol quota set billing --volumes 100 --bytes 10TiB
  jetvol quota set billing --snapshots unlimited
  jetvol quota set billing --clear`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return a.quotaSet(c, &f, args[0]) },
	}
	flags := command.Flags()
	flags.Var(&f.volumes, "volumes", "how many volumes there may be, or unlimited")
	flags.Var(&f.bytes, "bytes", "the sum of their sizes, or unlimited")
	flags.Var(&f.snapshots, "snapshots", "how many snapshots they may have, or unlimited")
	flags.BoolVar(&f.clear, "clear", false, "take the quota away")
	f.register(command)
	flags.StringVar(&f.actor, "actor", "", "who sets it (default user@host)")
	flags.BoolVar(&f.asJSON, "json", false, "print the ledger as one line of JSON")
	flags.DurationVar(&f.wait, "wait", defaultWait, "how long to wait for the workers; 0 is for ever")
	command.MarkFlagsOneRequired("volumes", "bytes", "snapshots", "clear")
	for _, name := range []string{"volumes", "bytes", "snapshots"} {
		command.MarkFlagsMutuallyExclusive("clear", name)
	}
	return command
}

func (a *app) quotaSet(c *cobra.Command, f *quotaSetFlags, argument string) error {
	project, err := projectOf(argument)
	if err != nil {
		return err
	}
	if f.wait < 0 {
		return usagef("wait %s: want 0 or more", f.wait)
	}
	if f.actor == "" {
		f.actor = defaultActor()
	}
	ctx, cancel := bounded(c.Context(), f.wait)
	defer cancel()
	request := quotas.SetRequest{Project: project, Actor: f.actor, Change: f.change}
	return a.withQuotas(c, func(client *quotas.Client) error {
		var ledger quotas.Ledger
		var err error
		switch {
		case f.clear && f.dryRun:
			ledger, err = client.Get(ctx, project)
		case f.clear:
			return client.Clear(ctx, project)
		case f.dryRun:
			ledger, err = client.Preview(ctx, request)
		default:
			ledger, err = client.Set(ctx, request)
		}
		if err != nil {
			return err
		}
		return a.showLedgers(f.asJSON, ledger)
	})
}

func (f *quotaSetFlags) change(limits quotas.Limits) quotas.Limits {
	f.volumes.onto(&limits.Volumes)
	f.bytes.onto(&limits.Bytes)
	f.snapshots.onto(&limits.Snapshots)
	return limits
}
