package fsm

import (
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// DOT returns the machine as a Graphviz graph, drawn by the table that runs.
func DOT() string { return machine.ToGraph() }

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
