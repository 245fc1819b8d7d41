package lint

import (
	"fmt"
	"slices"
	"strings"
)

// modulePath is this module's path; what follows it is a package's name in the table.
const modulePath = "github.com/jetvol/jetvol"

// An importer is one Go file with what it imports.
type importer struct {
	file    string // path within the module, with slashes
	pkg     string // the directory, "" for the root
	imports []string
}

func (f importer) isTest() bool { return strings.HasSuffix(f.file, "_test.go") }

// checkImports returns one finding for each import that the table forbids and for each
// file whose package it does not list.
func checkImports(files []importer, table map[string]rule) []string {
	var findings []string
	for _, file := range files {
		rule, listed := table[file.pkg]
		if !listed {
			findings = append(findings, fmt.Sprintf("%s: package %q is not in the table", file.file, file.pkg))
			continue
		}
		for _, path := range file.imports {
			if reason := forbidden(file, rule, path, table); reason != "" {
				findings = append(findings, fmt.Sprintf("%s: imports %s: %s", file.file, path, reason))
			}
		}
	}
	return findings
}

// forbidden returns why the file must not import path, or the empty text.
func forbidden(file importer, rule rule, path string, table map[string]rule) string {
	if path == modulePath || strings.HasPrefix(path, modulePath+"/") {
		pkg := strings.TrimPrefix(strings.TrimPrefix(path, modulePath), "/")
		return forbiddenInside(file, rule, pkg, table)
	}
	return forbiddenOutside(file, rule, path)
}

func forbiddenInside(file importer, rule rule, pkg string, table map[string]rule) string {
	target, listed := table[pkg]
	switch {
	case !listed:
		return "not in the table"
	case pkg == file.pkg:
		return "" // an external test of the package
	case file.isTest() && (target.forTests || slices.Contains(rule.tests, pkg)):
		return ""
	case target.forTests && !rule.forTests:
		return "for tests only"
	case rule.only != nil:
		if slices.Contains(rule.only, pkg) {
			return ""
		}
		return "not in the package's own list"
	case target.layer > rule.layer:
		return fmt.Sprintf("points up, from layer %d to %d", rule.layer, target.layer)
	case target.layer == rule.layer && !slices.Contains(rule.peers, pkg):
		return fmt.Sprintf("points sideways in layer %d", rule.layer)
	}
	return ""
}

func forbiddenOutside(file importer, rule rule, path string) string {
	if isStandard(path) {
		return ""
	}
	for _, r := range reserved {
		if inModule(path, r.module) && !slices.Contains(r.users, file.pkg) && !(r.inTests && file.isTest()) {
			return fmt.Sprintf("reserved for %s", strings.Join(r.users, ", "))
		}
	}
	if rule.outside == nil || file.isTest() {
		return ""
	}
	if slices.ContainsFunc(rule.outside, func(module string) bool { return inModule(path, module) }) {
		return ""
	}
	return "not among the modules that the package may use"
}

// isStandard reports whether path is of the standard library: its first element has no
// dot. "C" counts, cgo being bound by the rule for go-ceph.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func inModule(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}
