package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jetvol/jetvol/query"
)

const explainLong = `Tells who holds a volume, which step of what is done to it is under way, which attempt,
when the next one comes, what waits, what stands in the way, and which command would help.

It is worked out from what is stored; the volume's owner is not asked.`

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "explain VOLUME",
		Short: "Tell what goes on with a volume, and what would help",
		Long:  explainLong,
		Example: `  jetvol explain db-01
  jetvol explain billing.db-01 --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return a.explain(c, args[0], asJSON) },
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print it as one line of JSON")
	return command
}

func (a *app) explain(c *cobra.Command, argument string, asJSON bool) error {
	key, err := a.keyOf(argument)
	if err != nil {
		return err
	}
	return a.read(c, func(ctx context.Context, reader query.Reader) error {
		explained, err := reader.Explain(ctx, query.ExplainRequest{Project: key.Project, Volume: key.Name})
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(a.stdout, explained)
		}
		showExplanation(a.stdout, explained)
		return nil
	})
}

func showExplanation(w io.Writer, e query.Explanation) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(w, "  %-11s "+format+"\n", append([]any{name}, values...)...)
	}
	fmt.Fprintln(w, e.Key())
	switch {
	case e.State == "":
		row("state", "there is no record")
	default:
		row("state", "%s, generation %d, since %s", e.State, e.Generation, stamp(e.UpdatedAt))
	}
	if len(e.Nodes) > 0 {
		row("held by", "%s", strings.Join(e.Nodes, " "))
	}
	row("owner", "%s", ownerText(e.Owner))
	if e.Operation != nil {
		showOperation(row, *e.Operation)
	}
	if e.Drift != nil {
		row("drift", "%s", e.Drift)
	}
	if e.Orphan != nil {
		row("orphan", "%s", e.Orphan)
	}
	for _, by := range e.Blockers {
		row("blocked by", "%s %s", by.Kind, plain(by.Name))
	}
	for _, waiting := range e.Queue {
		age := time.Duration(waiting.Age * float64(time.Second)).Round(time.Millisecond)
		row("waiting", "%s by command %s, for %s%s", plain(string(waiting.Verb)), waiting.CommandID, age, actorText(waiting.Actor))
	}
	if shown := uint64(len(e.Queue)); e.QueueTotal > shown {
		row("", "and %d more", e.QueueTotal-shown)
	}
	if e.DeadLetters > 0 {
		row("unreadable", "%d dead letters", e.DeadLetters)
	}
	for _, advice := range e.Advice {
		row("advice", "%s", plain(advice.Text))
		if advice.Command != "" {
			row("", "$ %s", plain(advice.Command))
		}
	}
}

// ownerText is `w1 (lives), epoch 3; partition 7 is served by w1`.
func ownerText(o query.Owner) string {
	text := "nobody yet"
	if o.Worker != "" {
		life := "gone"
		if o.Alive {
			life = "lives"
		}
		text = fmt.Sprintf("%s (%s), epoch %d", o.Worker, life, o.Epoch)
	}
	if o.PartitionOwner == "" {
		return text + fmt.Sprintf("; partition %d is served by nobody", o.Partition)
	}
	return text + fmt.Sprintf("; partition %d is served by %s", o.Partition, o.PartitionOwner)
}

func showOperation(row func(name, format string, values ...any), op query.Operation) {
	row("under way", "%s by command %s%s", op.Verb, op.CommandID, actorText(op.Actor))
	row("step", "%s, attempt %d of %d, since %s", op.Step, op.Attempt, op.MaxAttempts, stamp(op.Since))
	if op.Progress != nil {
		row("progress", "%s", percentText(*op.Progress))
	}
	if op.LastError != nil {
		row("last error", "%s", plain(failureText(op.LastError)))
	}
	if !op.NextRetryAt.IsZero() {
		row("next retry", "%s", stamp(op.NextRetryAt))
	}
}

func actorText(actor string) string {
	if actor == "" {
		return ""
	}
	return " of " + plain(actor)
}
