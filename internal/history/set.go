package history

import (
	"slices"
	"strings"
)

// set is a set of names: in order, each with a space behind. Models are compared with ==,
// so it cannot be a slice or a map.
type set string

func setOf(names ...string) set {
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		b.WriteString(name + " ")
	}
	return set(b.String())
}

func (s set) names() []string         { return strings.Fields(string(s)) }
func (s set) size() int               { return len(s.names()) }
func (s set) has(name string) bool    { return slices.Contains(s.names(), name) }
func (s set) with(name string) set    { return setOf(append(s.names(), name)...) }
func (s set) without(name string) set { return setOf(others(s.names(), name)...) }

func others(names []string, name string) []string {
	return slices.DeleteFunc(names, func(other string) bool { return other == name })
}
