package acceptance

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// table is a table of a document: for each row its cells, without back quotes.
type table [][]string

// tableBelow returns the table with the given first column's title below a heading.
func tableBelow(t *testing.T, document, heading, column string) table {
	t.Helper()
	_, section, found := strings.Cut(document, "\n"+heading+"\n")
	if !found {
		t.Fatalf("no heading %q", heading)
	}
	level := heading[:strings.Index(heading, " ")+1]
	section, _, _ = strings.Cut(section, "\n"+level)
	var rows table
	inside := false
	for line := range strings.SplitSeq(section, "\n") {
		switch {
		case strings.HasPrefix(line, "| "+column+" |"):
			inside = true
		case !inside || strings.HasPrefix(line, "|---"):
		case strings.HasPrefix(line, "|"):
			rows = append(rows, cells(line))
		default:
			return rows
		}
	}
	if !inside {
		t.Fatalf("no table with a column %q below %q", column, heading)
	}
	return rows
}

func cells(line string) []string {
	var row []string
	for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
		row = append(row, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
	}
	return row
}

// byFirst returns the rows by their first cell. A cell twice is an error.
func (rows table) byFirst(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, row := range rows {
		if _, twice := found[row[0]]; twice {
			t.Errorf("%q stands in the table twice", row[0])
		}
		found[row[0]] = row[1:]
	}
	return found
}

// wantRows compares a table's first column, in any order, with the names in the code.
func wantRows[T ~string](t *testing.T, rows table, names []T) map[string][]string {
	t.Helper()
	found := rows.byFirst(t)
	want := make([]string, len(names))
	for i, name := range names {
		want[i] = string(name)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("the table has %q, the code %q", got, want)
	}
	return found
}

// words returns the items of a cell such as "a, b, c".
func words(cell string) []string {
	if cell == "" {
		return nil
	}
	found := regexp.MustCompile(`, *`).Split(cell, -1)
	slices.Sort(found)
	return found
}

func TestTable(t *testing.T) {
	document := "# D\n\n## A\n\n| x | y |\n|---|---|\n| `one` | `a`, `b` |\n| two | |\n\n## B\n\n| z | y |\n|---|---|\n| no | |\n"
	rows := tableBelow(t, document, "## A", "x")
	if len(rows) != 2 || rows[0][0] != "one" || rows[1][0] != "two" {
		t.Fatalf("got %q", rows)
	}
	if got := words(rows[0][1]); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("words: got %q", got)
	}
	if got := words(rows[1][1]); len(got) != 0 {
		t.Errorf("words of an empty cell: got %q", got)
	}
}
