package filters_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/snapshots/filters"
)

// A wantedTerm is a term before it is spelt.
type wantedTerm struct {
	field, key, operator, value string
}

// holds is what a term means, said as simply as can be.
func (w wantedTerm) holds(entry *info) bool {
	var value string
	there := true
	switch w.field {
	case "kind":
		value = entry.kind
	case "name":
		value = entry.name
	case "parent":
		value = entry.parent
		there = value != ""
	case "labels":
		value, there = entry.labels[w.key]
	}
	switch w.operator {
	case "":
		return there
	case "==":
		return there && value == w.value
	case "!=":
		return value != w.value
	case "~=":
		return regexp.MustCompile(w.value).MatchString(value)
	}
	panic("operator " + w.operator)
}

// anyHolds is what filters mean: one of them, with all of its terms.
func anyHolds(alternatives [][]wantedTerm, entry *info) bool {
	for _, all := range alternatives {
		if !slices.ContainsFunc(all, func(w wantedTerm) bool { return !w.holds(entry) }) {
			return true
		}
	}
	return len(alternatives) == 0
}

// Few texts, so that they meet; some that need quotes.
var (
	keys        = []string{"a", "b-1", "a.b", "a.b/c", "0", "two words", `q"|/\`, "a..b", ".", "ä", "\n"}
	texts       = []string{"", "a", "b", "ab", "a b", "a,b", "==", "'a'", "/a/", "|a|", `"a"`, `\b`, "\b", "\n", "ä", "\x00", "\xff", "\u00a0"}
	expressions = []string{"", "a", "^a$", "^$", "[ab]{1,2}", `\bb`, `a|b`, "a/b", `"`, `\d\\`, "^.,", "(?i)A", "ä", "\n", "\b", " "}
)

func drawTerm(t *rapid.T) wantedTerm {
	w := wantedTerm{
		field:    rapid.SampledFrom([]string{"kind", "name", "parent", "labels"}).Draw(t, "field"),
		operator: rapid.SampledFrom([]string{"", "==", "!=", "~="}).Draw(t, "operator"),
	}
	if w.field == "labels" {
		w.key = rapid.SampledFrom(keys).Draw(t, "key")
	}
	switch w.operator {
	case "==", "!=":
		w.value = rapid.OneOf(rapid.SampledFrom(texts), rapid.String()).Draw(t, "value")
	case "~=":
		w.value = rapid.SampledFrom(expressions).Draw(t, "expression")
	}
	return w
}

// spell writes w in one of the ways that the language allows.
func (w wantedTerm) spell(t *rapid.T) string {
	blank := rapid.SampledFrom([]string{"", "", " ", "\t "})
	spelt := blank.Draw(t, "blank") + spellField(t, w.field)
	if w.key != "" {
		spelt += "." + spellKey(t, w.key)
	}
	spelt += blank.Draw(t, "blank")
	if w.operator == "" {
		return spelt
	}
	return spelt + w.operator + blank.Draw(t, "blank") + spellValue(t, w) + blank.Draw(t, "blank")
}

func spellField(t *rapid.T, field string) string {
	if regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(field) && rapid.Bool().Draw(t, "bare field") {
		return field
	}
	return strconv.Quote(field)
}

// spellKey writes the parts of a key each for itself, or all of them as one.
func spellKey(t *rapid.T, key string) string {
	parts := strings.Split(key, ".")
	if slices.Contains(parts, "") || rapid.Bool().Draw(t, "key as one") {
		return strconv.Quote(key)
	}
	for i, part := range parts {
		parts[i] = spellField(t, part)
	}
	return strings.Join(parts, ".")
}

func spellValue(t *rapid.T, w wantedTerm) string {
	spellings := []string{strconv.Quote(w.value), fmt.Sprintf("%+q", w.value)}
	if !strings.Contains(w.value, ",") && regexp.MustCompile(`^[A-Za-z0-9^$(\\ä][[:graph:]ä]*$`).MatchString(w.value) {
		spellings = append(spellings, w.value)
	}
	if w.operator == "~=" && !strings.Contains(w.value, "\b") {
		plain := strings.ReplaceAll(strings.ReplaceAll(w.value, `\`, `\\`), "\n", `\n`)
		spellings = append(spellings, "/"+strings.ReplaceAll(plain, "/", `\/`)+"/", "|"+strings.ReplaceAll(plain, "|", `\|`)+"|")
	}
	return rapid.SampledFrom(spellings).Draw(t, "spelling")
}

func drawInfo(t *rapid.T) *info {
	text := rapid.SampledFrom(texts)
	return &info{
		kind: text.Draw(t, "kind"), name: text.Draw(t, "name"), parent: text.Draw(t, "parent"),
		labels: rapid.MapOfN(rapid.SampledFrom(keys), text, 0, 4).Draw(t, "labels"),
	}
}

// TestFilter_AgainstTheSimplestEvaluator: however a filter is spelt, it matches what it
// means, and so does its String.
func TestFilter_AgainstTheSimplestEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alternatives := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawTerm), 1, 4), 0, 4).Draw(t, "filter")
		var spelt []string
		for _, all := range alternatives {
			var terms []string
			for _, w := range all {
				terms = append(terms, w.spell(t))
			}
			spelt = append(spelt, strings.Join(terms, ","))
		}
		if rapid.Bool().Draw(t, "one text") {
			spelt = []string{strings.Join(spelt, "\n")}
		}
		filter, err := fields.Parse(spelt...)
		if err != nil {
			t.Fatalf("%q: %v", spelt, err)
		}
		again, err := fields.Parse(filter.String())
		if err != nil || again.String() != filter.String() {
			t.Fatalf("%q: got %q, and of that %q, %v", spelt, filter, again, err)
		}
		for range 8 {
			entry := drawInfo(t)
			want := anyHolds(alternatives, entry)
			if filter.Match(entry) != want || again.Match(entry) != want {
				t.Fatalf("%q on %+v: got %v, after String %v, want %v", spelt, entry, filter.Match(entry), again.Match(entry), want)
			}
			checkOnly(t, filter, entry)
		}
	})
}

// checkOnly: whatever matches has one of the values that Only names.
func checkOnly(t *rapid.T, filter filters.Filter, entry *info) {
	for _, path := range [][]string{{"kind"}, {"name"}, {"parent"}, {"labels", "a"}} {
		value, _ := entry.Field(path)
		values, limited := filter.Only(path...)
		if limited && filter.Match(entry) && !slices.Contains(values, value) {
			t.Fatalf("filter %q matches %+v, but only %q may have matched by %q", filter, entry, values, path)
		}
	}
}
