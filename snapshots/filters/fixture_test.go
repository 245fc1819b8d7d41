package filters_test

import (
	"slices"
	"testing"

	"github.com/jetvol/jetvol/snapshots/filters"
)

// fields are those of the store's entries.
var fields = filters.Fields{Plain: []string{"kind", "name", "parent"}, Keyed: []string{"labels"}}

// info is an entry as the store might hold it.
type info struct {
	kind, name, parent string
	labels             map[string]string
}

// Field reads what the filters of these tests ask for; a parent is there if it has a name.
func (i *info) Field(path []string) (string, bool) {
	switch path[0] {
	case "kind":
		return i.kind, true
	case "name":
		return i.name, true
	case "parent":
		return i.parent, i.parent != ""
	case "labels":
		if len(path) == 2 {
			value, there := i.labels[path[1]]
			return value, there
		}
	}
	return "", false
}

// tree is a base of seven entries, as containerd's tests of its store begin with: a chain
// of two committed ones, and an active one and a view on none, on the first, on the second.
var tree = []*info{
	{kind: "committed", name: "base@c1"},
	{kind: "committed", name: "base@c2", parent: "base@c1", labels: map[string]string{"team": "storage", "a.b/c": "x"}},
	{kind: "active", name: "a1", labels: map[string]string{"team": "web"}},
	{kind: "active", name: "a2", parent: "base@c2", labels: map[string]string{"team": "storage", "note": "two words, one comma"}},
	{kind: "active", name: "a3", parent: "base@c1", labels: map[string]string{"empty": ""}},
	{kind: "view", name: "v1", labels: map[string]string{"app.tier": "db"}},
	{kind: "view", name: "v2", parent: "base@c2"},
}

// names returns those of the entries that filter matches.
func names(filter filters.Filter, entries []*info) []string {
	var matched []string
	for _, entry := range entries {
		if filter.Match(entry) {
			matched = append(matched, entry.name)
		}
	}
	return matched
}

// mustParse reads filters that are known to be good.
func mustParse(tb testing.TB, texts ...string) filters.Filter {
	tb.Helper()
	filter, err := fields.Parse(texts...)
	if err != nil {
		tb.Fatalf("parse %q: got %v", texts, err)
	}
	return filter
}

// wantNames compares without regard to the order, which is that of the tree.
func wantNames(t *testing.T, texts []string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("filters %q: got %v, want %v", texts, got, want)
	}
}
