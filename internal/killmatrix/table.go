package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The generated block of the document stands between these lines.
const (
	tableBegin = "<!-- kill matrix: written by `make kill-matrix`, do not edit -->"
	tableEnd   = "<!-- end of the kill matrix -->"
)

// notReached stands in a square without a kill.
const notReached = "–"

// updateDocument puts the table of a whole run into the document.
func updateDocument(o options, results []result) error {
	name := filepath.Join(o.root, o.document)
	document, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	document, err = replaceTable(document, table(o.seeds, results))
	if err != nil {
		return fmt.Errorf("%s: %w", o.document, err)
	}
	return write(name, document)
}

// replaceTable returns the document with the block between the markers exchanged.
func replaceTable(document []byte, block string) ([]byte, error) {
	before, rest, begins := bytes.Cut(document, []byte(tableBegin))
	_, after, ends := bytes.Cut(rest, []byte(tableEnd))
	if !begins || !ends {
		return nil, fmt.Errorf("want the markers %q and %q", tableBegin, tableEnd)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n%s%s", tableBegin, block, tableEnd)
	b.Write(after)
	return b.Bytes(), nil
}

// table returns the block: the counts, the matrix, what each point means, and why some
// squares have no kill.
func table(seeds int, results []result) string {
	kills, failures := map[string]int{}, map[string]int{}
	for _, r := range results {
		if r.err != nil {
			failures[r.cell.String()]++
		} else if len(r.quiet) == 0 {
			kills[r.cell.String()]++
		}
	}
	count := tally(results)
	var b strings.Builder
	fmt.Fprintf(&b, "%s. A number is how many trials of the square\nended right; a square with `%s` is one that the command does not reach.\n\n",
		"`"+summary(cells(), seeds, count)+"`", notReached)
	head, rule := "| killed |", "|---|"
	for _, c := range columns() {
		head += " " + c.name + " |"
		rule += "---:|"
	}
	fmt.Fprintf(&b, "%s\n%s\n", head, rule)
	for _, p := range points() {
		fmt.Fprintf(&b, "| `%s` |", p.name)
		for _, c := range columns() {
			fmt.Fprintf(&b, " %s |", square(c, p, kills, failures))
		}
		b.WriteString("\n")
	}
	b.WriteString(meanings())
	b.WriteString(reasons())
	return b.String()
}

func square(c column, p point, kills, failures map[string]int) string {
	cell, why := at(c, p)
	switch name := cell.String(); {
	case why != "":
		return notReached
	case failures[name] > 0:
		return fmt.Sprintf("%d, **%d failed**", kills[name], failures[name])
	default:
		return fmt.Sprint(kills[name])
	}
}

func meanings() string {
	var b strings.Builder
	b.WriteString("\n| point | the worker dies when |\n|---|---|\n")
	for _, p := range points() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", p.name, p.about)
	}
	return b.String()
}

// reasons says for each column why it does not reach some points.
func reasons() string {
	var b strings.Builder
	b.WriteString("\n| column | not reached | because the command |\n|---|---|---|\n")
	for _, c := range columns() {
		var order []string
		names := map[string][]string{}
		for _, p := range points() {
			_, why := at(c, p)
			if why == "" {
				continue
			}
			if names[why] == nil {
				order = append(order, why)
			}
			names[why] = append(names[why], "`"+p.name+"`")
		}
		for _, why := range order {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, strings.Join(names[why], ", "), why)
		}
	}
	return b.String()
}
