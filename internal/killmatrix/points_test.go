package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// moduleRoot is the module's directory, seen from this package.
var moduleRoot = filepath.Join("..", "..")

func TestPoints_EachIsNamedOnceAndExplained(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range points() {
		if seen[p.name] {
			t.Errorf("point %s twice", p.name)
		}
		seen[p.name] = true
		if p.about == "" || p.fact == "" || len(p.places) == 0 {
			t.Errorf("point %s: got %+v, want it whole", p.name, p)
		}
		if (p.attempts[1] > 0) != strings.Contains(p.fact, "%d") {
			t.Errorf("point %s: fact %q with attempts %v", p.name, p.fact, p.attempts)
		}
	}
}

var failpoint = regexp.MustCompile(`// gofail: var (\w+) string\n\s*// (?:killAt|flushAndKillAt)\(([^\n]*)\)\n`)

// heldFailpoint is the one that kills nobody: it makes the backend busy.
const heldFailpoint = failpointMark + heldPlace + " string\n\t// if err := held(" + heldPlace + ", c.method); err != nil {\n"

// The source has the failpoints that the points name, and no others.
func TestPoints_Places_AreTheFailpointsOfTheSource(t *testing.T) {
	var inSource, wanted []string
	for name, source := range sources(t) {
		source = strings.Replace(source, heldFailpoint, "", 1)
		found := failpoint.FindAllStringSubmatch(source, -1)
		if marks := strings.Count(source, failpointMark); marks != len(found) {
			t.Errorf("%s: %d failpoints, %d in the form that is read here", name, marks, len(found))
		}
		for _, f := range found {
			if !regexp.MustCompile(`\b` + f[1] + `\b`).MatchString(f[2]) {
				t.Errorf("%s: failpoint %s looks at %s", name, f[1], f[2])
			}
			inSource = append(inSource, f[1])
		}
	}
	for _, p := range points() {
		wanted = append(wanted, p.places...)
	}
	slices.Sort(inSource)
	slices.Sort(wanted)
	if wanted = slices.Compact(wanted); !slices.Equal(inSource, wanted) {
		t.Errorf("got failpoints %v\nwant %v", inSource, wanted)
	}
}

// sources returns the Go files of the packages that may have failpoints.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{"worker", "events", "kv", "backends"} {
		err := fs.WalkDir(os.DirFS(moduleRoot), dir, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") {
				return err
			}
			data, err := os.ReadFile(filepath.Join(moduleRoot, name))
			files[name] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestCells_SquaresWithoutKill_HaveAReason(t *testing.T) {
	reached := map[string]bool{}
	for _, c := range columns() {
		for _, p := range points() {
			cell, why := at(c, p)
			switch {
			case why == "" && cell.scenario == "":
				t.Errorf("%s × %s: neither reached nor a reason", c.name, p.name)
			case why == "":
				reached[p.name] = true
			}
			if why == "" && p.late && c.first == "" {
				t.Errorf("%s: wants a first worker, and the column has no place for its death", cell)
			}
		}
	}
	for _, p := range points() {
		if !reached[p.name] {
			t.Errorf("no column reaches %s", p.name)
		}
	}
}

// A reason stands for the same columns at each of its points, or the table would mix them.
func TestMissing_Reasons_HoldForTheSameColumns(t *testing.T) {
	of := map[string]string{}
	for _, p := range points() {
		var columnsWithout []string
		reason := ""
		for _, c := range columns() {
			if _, why := at(c, p); why != "" {
				columnsWithout, reason = append(columnsWithout, c.name), why
			}
		}
		names := strings.Join(columnsWithout, " ")
		if before, seen := of[reason]; reason != "" && seen && before != names {
			t.Errorf("%q: %s at %s, %s elsewhere", reason, names, p.name, before)
		}
		of[reason] = names
	}
}

func TestQuietJobs_ArmWhatIsNotReachedOnce(t *testing.T) {
	for _, c := range columns() {
		armed := map[string]bool{}
		for _, j := range quietJobs(c, 1) {
			places := map[string]bool{}
			for _, p := range j.quiet {
				if armed[p.name] || places[p.places[0]] {
					t.Errorf("%s: point %s armed twice, or its failpoint", c.name, p.name)
				}
				armed[p.name], places[p.places[0]] = true, true
			}
		}
		for _, p := range points() {
			if _, why := at(c, p); (why != "") != armed[p.name] {
				t.Errorf("%s: point %s armed: %t, reason %q", c.name, p.name, armed[p.name], why)
			}
		}
	}
}
