package fsm_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

var update = flag.Bool("update", false, "write the golden files in testdata and docs/states.md")

const statesPage = "../docs/states.md"

// golden compares text with a file, or writes the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs, look and run with -update:\n%s", file, got)
	}
}

func TestGolden_DOT(t *testing.T) {
	first := fsm.DOT()
	for range 20 { // the library keeps the table in maps
		if again := fsm.DOT(); again != first {
			t.Fatal("got another drawing of the same machine")
		}
	}
	golden(t, "testdata/machine.dot", first)
}

func TestGolden_Mermaid(t *testing.T) {
	golden(t, "testdata/machine.mmd", fsm.Mermaid())
	golden(t, statesPage, page())
}

const reconcileSection = `
## Reconcile

What becomes of a volume when its record is compared with its backend, by command or in a
sweep. Drawn from the table in ` + "`fsm/reconcile_table.go`" + `. Absent and present are of an
object with the volume's id. An operation that is under way is begun again, which the next
owner does by itself; as all its calls are idempotent, it finds out what is there. The policy
` + "`record_only`" + ` is a key of the backend.

` + "`drifted`" + ` tells a difference that the record does not tell yet; one that it does is
` + "`reconciled`" + ` again, with its first ` + "`found_at`" + `. A success takes away only what it disproves:
that the volume is gone or another's, after a resize or a restore that the size differs, after
an attach of a writer or a ` + "`node_gone`" + ` that the nodes do.

`

// page is docs/states.md: the diagram, and the table in words.
func page() string {
	var b strings.Builder
	b.WriteString("# States of a volume\n\n" +
		"Drawn from the table in `fsm/table.go` by `go test ./fsm -update`; do not edit.\n" +
		"An edge is named by its event; what stands in brackets must hold for it. States that end in\n" +
		"`_failed` wait for the next attempt. Every other pair of state and event is refused with\n" +
		"`invalid_transition` and changes nothing.\n\n```mermaid\n")
	b.WriteString(fsm.Mermaid())
	b.WriteString("```\n\n| event | from → to |\n|---|---|\n")
	for _, event := range volume.Events() {
		var edges []string
		for _, state := range volume.States() {
			if targets := reach(state, event); len(targets) > 0 {
				edges = append(edges, fmt.Sprintf("%s → %s", state, strings.Join(targets, " or ")))
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", event, strings.Join(edges, "<br>"))
	}
	b.WriteString(reconcileSection + fsm.ReconcileMarkdown())
	return b.String()
}

// reach returns the states that the event leads to, under whatever facts.
func reach(state volume.State, event volume.Event) []string {
	var targets []string
	for _, f := range someFacts {
		to, err := fsm.Next(state, event, f.facts)
		if err == nil && !slices.Contains(targets, string(to)) {
			targets = append(targets, string(to))
		}
	}
	return targets
}

// TestGolden_FullMatrix holds all 25 × 33 pairs, guards included.
func TestGolden_FullMatrix(t *testing.T) {
	var b strings.Builder
	pairs := 0
	for _, state := range volume.States() {
		for _, event := range volume.Events() {
			pairs++
			fmt.Fprintf(&b, "%-20s%-12s%s\n", state, event, outcomes(state, event))
		}
	}
	if pairs != 25*33 {
		t.Errorf("got %d pairs, want %d", pairs, 25*33)
	}
	golden(t, "testdata/matrix.golden", b.String())
}

// outcomes tells where the event leads under each of the facts, or once if they do not
// matter.
func outcomes(state volume.State, event volume.Event) string {
	var each []string
	same := true
	var first volume.State
	for i, f := range someFacts {
		to, err := fsm.Next(state, event, f.facts)
		if err != nil {
			to = "-"
		}
		if i == 0 {
			first = to
		}
		same = same && to == first
		each = append(each, fmt.Sprintf("%s: %s", f.name, to))
	}
	if same {
		return string(first)
	}
	return strings.Join(each, ", ")
}
