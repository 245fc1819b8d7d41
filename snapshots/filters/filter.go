package filters

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Filter says which entries are meant: those of which one of its alternatives holds.
// The zero Filter means all of them. A Filter does not change and may be shared.
type Filter struct {
	alternatives []terms
}

// terms hold if each of them does.
type terms []term

// A term asks one thing of one field.
type term struct {
	// path is the field, and the key behind its first dot if there is one.
	path     []string
	operator operator
	value    string
	pattern  *regexp.Regexp // of value; nil unless operator is matches
}

// operator is the text of what stands between path and value; empty if nothing does.
type operator string

const (
	present  operator = ""
	equal    operator = "=="
	notEqual operator = "!="
	matches  operator = "~="
)

// An Adaptor lets a [Filter] read the fields of an entry.
//
// Field returns the value of a field, and whether the entry has it. The path has one or
// two elements: the field, and all that stands behind its first dot, so that both
// `labels.a.b` and `labels."a.b"` ask for ["labels", "a.b"]. It must not be changed.
type Adaptor interface {
	Field(path []string) (value string, present bool)
}

// AdaptorFunc is a function that is an [Adaptor].
type AdaptorFunc func(path []string) (value string, present bool)

// Field calls f.
func (f AdaptorFunc) Field(path []string) (string, bool) { return f(path) }

// Match reports whether entry is meant by f. It allocates nothing, apart from what
// package regexp keeps for long expressions.
// It may be called by several goroutines at once.
func (f Filter) Match(entry Adaptor) bool {
	for _, all := range f.alternatives {
		if all.match(entry) {
			return true
		}
	}
	return len(f.alternatives) == 0
}

func (all terms) match(entry Adaptor) bool {
	for i := range all {
		if !all[i].match(entry) {
			return false
		}
	}
	return true
}

func (t *term) match(entry Adaptor) bool {
	value, there := entry.Field(t.path)
	switch t.operator {
	case equal:
		return there && value == t.value
	case notEqual:
		return value != t.value
	case matches:
		return t.pattern.MatchString(value)
	default:
		return there
	}
}

// Only returns the values that the field at path can have in entries which f matches, in
// the order of the texts and without repeats, and true if f names them all. With them an
// index can find the candidates; each has still to be matched. It returns false if an
// entry with any other value might match.
func (f Filter) Only(path ...string) (values []string, limited bool) {
	for _, all := range f.alternatives {
		at := slices.IndexFunc(all, func(t term) bool {
			return t.operator == equal && slices.Equal(t.path, path)
		})
		if at < 0 {
			return nil, false
		}
		if !slices.Contains(values, all[at].value) {
			values = append(values, all[at].value)
		}
	}
	return values, len(values) > 0
}

// String returns f as one text in its shortest spelling, one alternative a line.
// [Parse] makes the same Filter of it. It is empty for the Filter that means everything.
func (f Filter) String() string {
	var text strings.Builder
	for i, all := range f.alternatives {
		if i > 0 {
			text.WriteByte('\n')
		}
		for j, t := range all {
			if j > 0 {
				text.WriteByte(',')
			}
			text.WriteString(t.String())
		}
	}
	return text.String()
}

// String returns t as it may stand in a filter.
func (t term) String() string {
	text := spellField(t.path[0])
	if len(t.path) > 1 {
		text += "." + spellKey(t.path[1])
	}
	if t.operator == present {
		return text
	}
	return text + string(t.operator) + spellValue(t.value)
}

func spellField(field string) string {
	if isBareField(field) {
		return field
	}
	return strconv.Quote(field)
}

func spellKey(key string) string {
	for part := range strings.SplitSeq(key, ".") {
		if !isBareField(part) {
			return strconv.Quote(key)
		}
	}
	return key
}

func spellValue(value string) string {
	if isWord(value) {
		return value
	}
	return strconv.Quote(value)
}
