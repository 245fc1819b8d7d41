package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The document has the matrix that the code has: the same points and columns, kills
// where the code expects some, and no failure.
func TestDocument_Table_IsOfThisMatrix(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(moduleRoot, defaultDocument))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(data), tableBegin)
	block, _, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s: no kill matrix", defaultDocument)
	}
	if fault := compare(block); fault != "" {
		t.Errorf("%s: %s: run `make kill-matrix`", defaultDocument, fault)
	}
}

// compare returns how a block differs from the matrix of the code, or "".
func compare(block string) string {
	if !strings.Contains(block, " failures=0`") {
		return "the run had failures"
	}
	var rows [][]string
	matrix, _, _ := strings.Cut(block[max(0, strings.Index(block, "| killed |")):], "\n\n")
	for line := range strings.Lines(matrix) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		rows = append(rows, cells)
	}
	if len(rows) != len(points())+2 {
		return "another number of points"
	}
	for i, c := range columns() {
		if len(rows[0]) != len(columns())+1 || rows[0][i+1] != c.name {
			return "other columns"
		}
	}
	for i, p := range points() {
		row := rows[i+2]
		if row[0] != "`"+p.name+"`" || len(row) != len(columns())+1 {
			return "no row " + p.name
		}
		for j, c := range columns() {
			_, why := at(c, p)
			if (row[j+1] == notReached) != (why != "") || row[j+1] == "0" {
				return c.name + " × " + p.name + ": " + row[j+1]
			}
		}
	}
	if _, rest, _ := strings.Cut(block, "\n| point |"); !strings.HasPrefix("\n| point |"+rest, strings.TrimSuffix(meanings()+reasons(), "\n")) {
		return "other explanations"
	}
	return ""
}

// whole are the results of a clean run.
func whole() []result {
	var results []result
	for _, c := range cells() {
		results = append(results, result{job: job{cell: c, seed: 1}, kills: 1})
	}
	return results
}

func TestTable_CleanRun_IsOfThisMatrix(t *testing.T) {
	if fault := compare(table(1, whole())); fault != "" {
		t.Error(fault)
	}
}

// Each way in which the document may be outdated is noticed.
func TestCompare_PlantedDifferences(t *testing.T) {
	good := table(1, whole())
	failed := whole()
	failed[3].err = errors.New("lost")
	for name, block := range map[string]string{
		"failures":      table(1, failed),
		"no trial":      table(1, whole()[1:]),
		"another point": strings.Replace(good, "| `before-ack` |", "| `before-nack` |", 1),
		"point missing": strings.Replace(good, good[strings.Index(good, "| `before-ack` |"):strings.Index(good, "| `after-ack` |")], "", 1),
		"other columns": strings.Replace(good, " attach |", " mount |", 1),
		"kill for none": strings.Replace(good, " – |", " 20 |", 1),
		"meaning":       strings.Replace(good, "nobody pulls yet", "everybody pulls", 1),
	} {
		if block == good {
			t.Fatalf("%s: nothing planted", name)
		}
		if compare(block) == "" {
			t.Errorf("%s: not noticed", name)
		}
	}
}

func TestReplaceTable(t *testing.T) {
	document := "# a\n" + tableBegin + "\nold\n" + tableEnd + "\nrest\n"
	got, err := replaceTable([]byte(document), "new\n")
	if want := "# a\n" + tableBegin + "\nnew\n" + tableEnd + "\nrest\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceTable([]byte("# a\n"), "new\n"); err == nil {
		t.Error("got nil for a document without markers")
	}
}
