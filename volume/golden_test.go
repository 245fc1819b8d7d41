package volume_test

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

var update = flag.Bool("update", false, "add new names to testdata/vocabulary.golden")

const goldenFile = "testdata/vocabulary.golden"

// vocabulary is every name that crosses the wire, one a line.
func vocabulary() []string {
	var lines []string
	add := func(kind string, name any) { lines = append(lines, fmt.Sprintf("%s %v", kind, name)) }
	for _, state := range volume.States() {
		add("state", state)
	}
	for _, event := range append(volume.Events(), volume.EventRejected) {
		add("event", event)
	}
	for _, verb := range volume.Verbs() {
		add("verb", verb)
	}
	for _, class := range classes {
		add("class", class)
	}
	for code, class := range volume.Codes() {
		add("code", fmt.Sprintf("%s of class %s", code, class))
	}
	for _, result := range []volume.Result{volume.Succeeded, volume.Failed, volume.Rejected, volume.Valid} {
		add("result", result)
	}
	for _, mode := range []volume.Mode{volume.ReadWrite, volume.ReadOnly} {
		add("mode", mode)
	}
	for _, policy := range volume.RecordOnlyPolicies() {
		add("record_only", policy)
	}
	add("side", volume.BelieveBackend)
	slices.Sort(lines)
	return lines
}

// compare returns the lines that are gone and those that are new.
func compare(golden, current []string) (gone, added []string) {
	for _, line := range golden {
		if !slices.Contains(current, line) {
			gone = append(gone, line)
		}
	}
	for _, line := range current {
		if !slices.Contains(golden, line) {
			added = append(added, line)
		}
	}
	return gone, added
}

// lines tells the lines of text without their ends.
func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}

func TestCompare_SeesAPlantedChange(t *testing.T) {
	golden := []string{"code a of class busy", "state x"}
	tests := []struct {
		name        string
		current     []string
		gone, added int
	}{
		{"unchanged", []string{"code a of class busy", "state x"}, 0, 0},
		{"appended", []string{"code a of class busy", "state x", "state y"}, 0, 1},
		{"removed", []string{"code a of class busy"}, 1, 0},
		{"renamed", []string{"code a of class busy", "state z"}, 1, 1},
		{"reclassified", []string{"code a of class internal", "state x"}, 1, 1},
	}
	for _, test := range tests {
		if gone, added := compare(golden, test.current); len(gone) != test.gone || len(added) != test.added {
			t.Errorf("%s: got %q gone and %q added", test.name, gone, added)
		}
	}
}

func TestVocabulary_IsAppendOnly(t *testing.T) {
	current := vocabulary()
	data, err := os.ReadFile(goldenFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	gone, added := compare(slices.Collect(lines(string(data))), current)
	if len(gone) > 0 {
		t.Fatalf("names that cross the wire are gone or have another class: %q", gone)
	}
	if len(added) > 0 && !*update {
		t.Fatalf("new names, run with -update to record them: %q", added)
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(strings.Join(current, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
