package fsm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// DOT returns the machine as a Graphviz graph, drawn by the table that runs.
func DOT() string {
	lines := strings.Split(machine.ToGraph(), "\n")
	// The library leaves the order of one trigger's edges open where a state has many.
	isEdge := func(line string) bool { return strings.Contains(line, " -> ") }
	first := slices.IndexFunc(lines, isEdge)
	behind := first
	for isEdge(lines[behind]) {
		behind++
	}
	slices.Sort(lines[first:behind])
	return strings.Join(lines, "\n")
}

// ReconcileMarkdown returns the decision table of a reconcile ([ReconcileTable]) as a table
// in Markdown, in the order of its rows.
func ReconcileMarkdown() string {
	var b strings.Builder
	b.WriteString("| recorded | the backend says | policy | result | event |\n|---|---|---|---|---|\n")
	for _, row := range reconcileRows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n", row.recorded(), row.Seen, row.condition(), row.result(), row.Event)
	}
	return b.String()
}

func (r Row) recorded() string {
	switch {
	case r.Event == volume.EventAdopted:
		return "none, or deleted"
	case len(r.States) == 0:
		return "any"
	}
	names := make([]string, len(r.States))
	for i, state := range r.States {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

func (r Row) condition() string {
	switch {
	case r.Believe:
		return "`believe: backend`"
	case r.Policy != "":
		return "`record_only: " + string(r.Policy) + "`"
	case r.Event == volume.EventAdopted:
		return "command `adopt`"
	}
	return ""
}

func (r Row) result() string {
	to := string(r.To)
	switch {
	case r.Event == volume.EventRejected:
		return "unchanged; reply `backend_unavailable`"
	case r.To == "" && r.Event == volume.EventDrifted:
		to = "unchanged, marked drifted"
	case r.To == "" && r.Seen == SeenAsBefore:
		to = "unchanged, still marked"
	case r.To == "":
		to = "unchanged, not marked any more"
	case r.Event == volume.EventDrifted:
		to += ", marked drifted"
	}
	if r.Resumed != "" {
		return string(r.Resumed) + " resumed: " + to
	}
	return to
}

// Mermaid returns the machine as a Mermaid state diagram, in the order of the table.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", volume.StatePending)
	for _, e := range edges {
		label := string(e.event)
		if e.fact != "" {
			label += " [" + e.fact + "]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", e.from, e.to, label)
	}
	return b.String()
}
