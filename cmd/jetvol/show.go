package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// clock is how times of day are shown while something goes on.
const clock = "15:04:05.000"

// showTransition prints one line for people: time, event, from → to, generation, and
// what went wrong if something did.
func showTransition(w io.Writer, t volume.Transition) {
	fmt.Fprintf(w, "%s  %s%s\n", t.Time.Local().Format(clock), transitionText(t), troubleText(t))
}

// transitionText is `create      pending → creating      generation 1`. The columns hold
// every name but the long ones of failed attempts and of snapshots.
func transitionText(t volume.Transition) string {
	return fmt.Sprintf("%-10s  %9s → %-9s  generation %d", t.Event, t.From, t.To, t.Generation)
}

// troubleText says what the transition is about, how far it has come, and what went wrong,
// why, and when it is tried again.
func troubleText(t volume.Transition) string {
	var text strings.Builder
	if t.Event == volume.EventError {
		fmt.Fprintf(&text, "  attempt %d", t.Attempt)
	}
	if t.Reason != "" {
		text.WriteString("  " + t.Reason)
	}
	switch {
	case t.Eviction == nil:
	case t.Event == volume.EventEvict:
		fmt.Fprintf(&text, "  node %s: %s", t.Eviction.Node, plain(t.Eviction.Reason))
	case t.Event == volume.EventEvicted:
		text.WriteString("  fenced " + fencedText(t.Eviction))
	}
	if t.Snapshot != nil {
		text.WriteString("  snapshot " + string(t.Snapshot.Name))
	}
	if t.Progress != nil {
		text.WriteString("  " + percentText(*t.Progress))
	}
	if t.Failure != nil {
		text.WriteString("  " + failureText(t.Failure))
	}
	if t.Event == volume.EventError && !t.NextRetryAt.IsZero() {
		text.WriteString(", next at " + t.NextRetryAt.Local().Format(clock))
	}
	return text.String()
}

// percentText is `42 %`. It is 100 % only at the end.
func percentText(p volume.Progress) string {
	if p.Done >= p.Total {
		return "100 %"
	}
	return fmt.Sprintf("%d %%", min(int(float64(p.Done)/float64(p.Total)*100), 99))
}

// showReply prints the last line of a command that did not fail:
// `default.db-01 available (generation 2)`.
func showReply(w io.Writer, reply commands.Reply) {
	repeat := ""
	if reply.Repeat {
		repeat = ", the answer to an earlier command with this id"
	}
	if reply.Outcome == volume.Valid {
		fmt.Fprintf(w, "%s valid: it would be accepted now\n", reply.Key())
		if reply.Plan != nil {
			showIntake(w, *reply.Plan)
		}
		return
	}
	fmt.Fprintf(w, "%s %s (generation %d%s)\n", reply.Key(), reply.State, reply.Generation, repeat)
}

// showRecord prints a volume for people.
func showRecord(w io.Writer, r volume.Record) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(w, "  %-11s "+format+"\n", append([]any{name}, values...)...)
	}
	fmt.Fprintln(w, r.Key)
	row("id", "%s", r.ID)
	row("state", "%s", r.State)
	row("generation", "%d", r.Generation)
	row("size", "%s", r.Size)
	row("backend", "%s", r.Backend)
	showChain(row, r.Spec)
	for _, a := range r.Attachments {
		row("attached to", "%s %s%s", a.Node, a.Mode, pairs(a.Connection))
	}
	if len(r.Labels) > 0 {
		row("labels", "%s", strings.TrimSpace(pairs(r.Labels)))
	}
	if r.Drift != nil {
		row("drift", "%s", r.Drift)
	}
	if op := r.Op; op != nil {
		row("under way", "%s by command %s, attempt %d since %s", op.Verb, op.CommandID, op.Attempt, stamp(op.StartedAt))
		if op.Failure != nil {
			row("failed", "%s", failureText(op.Failure))
		}
		if !op.NextRetryAt.IsZero() {
			row("next retry", "%s", stamp(op.NextRetryAt))
		}
	}
	row("created", "%s", stamp(r.CreatedAt))
	row("updated", "%s", stamp(r.UpdatedAt))
}

// showChain prints where a volume stands among snapshots and clones.
func showChain(row func(name, format string, values ...any), spec volume.Spec) {
	if !spec.Source.IsZero() {
		row("source", "%s", spec.Source)
	}
	if spec.ReadOnly {
		row("access", "%s", volume.ReadOnly)
	}
	if spec.Snapshots > 0 {
		row("snapshots", "%d", spec.Snapshots)
	}
	if spec.HalfRestored != "" {
		row("content", "half restored from snapshot %s: restore it, or another one, again", spec.HalfRestored)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// printJSON prints a value as one line.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print as JSON: %w", err)
	}
	return nil
}
