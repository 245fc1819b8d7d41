package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v4"

	"github.com/jetvol/jetvol/volume"
)

// reader walks through one file and collects what is wrong.
type reader struct {
	file   string
	faults []Fault
}

// key is one key of a mapping.
type key struct {
	name     string
	value    value
	standard string // what holds if it is left out, for people; empty for nothing
	required bool
	about    string
}

func (r *reader) fault(node *yaml.Node, at, format string, args ...any) {
	r.faults = append(r.faults, Fault{
		File: r.file, Line: node.Line, Column: node.Column, Key: at, Message: fmt.Sprintf(format, args...),
	})
}

// document returns the mapping that the file is, or nil if it is none.
func (r *reader) document(data []byte) *yaml.Node {
	if len(data) > int(maxSize) {
		r.fault(&yaml.Node{}, "", "larger than %s", maxSize)
		return nil
	}
	if good := bytes.ToValidUTF8(data, nil); len(good) != len(data) {
		r.fault(position(data, invalidUTF8(data)), "", "not UTF-8")
		return nil
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		r.syntax(err)
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		r.fault(root, "", "want keys: %s", strings.Join(names(fileKeys(nil, nil)), ", "))
		return nil
	}
	return root
}

// syntax adds the fault of a text that is not one document of YAML.
func (r *reader) syntax(err error) {
	node, message := &yaml.Node{}, err.Error()
	if fault, ok := errors.AsType[*yaml.LoadError](err); ok {
		node.Line, node.Column = fault.Mark.Line, fault.Mark.Column
		message = strings.TrimPrefix(fault.Message, "yaml: ")
	}
	r.fault(node, "", "not YAML: %s", message)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8.
func invalidUTF8(data []byte) int {
	offset := 0
	for offset < len(data) {
		letter, size := utf8.DecodeRune(data[offset:])
		if letter == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}

func position(data []byte, offset int) *yaml.Node {
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return &yaml.Node{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[start:]) + 1}
}

// entry is a key of a mapping with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns what a mapping holds. Keys that are not texts or are there twice are
// faults and are left out.
func (r *reader) entries(mapping *yaml.Node, at string) []entry {
	var found []entry
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		e := entry{mapping.Content[i].Value, mapping.Content[i], mapping.Content[i+1]}
		if e.key.Kind != yaml.ScalarNode || e.key.ShortTag() == "!!merge" {
			r.fault(e.key, at, "want a plain key")
			continue
		}
		before := slices.IndexFunc(found, func(other entry) bool { return other.name == e.name })
		if before >= 0 {
			r.fault(e.key, join(at, e.name), "given twice, first in line %d", found[before].key.Line)
			continue
		}
		found = append(found, e)
	}
	return found
}

// mapping reads a mapping with the given keys. Keys that are not among them are faults.
func (r *reader) mapping(mapping *yaml.Node, at string, known []key) {
	given := r.entries(mapping, at)
	for _, e := range given {
		i := slices.IndexFunc(known, func(k key) bool { return k.name == e.name })
		if i < 0 {
			r.unknown(e, at, known)
			continue
		}
		r.read(e.value, join(at, e.name), known[i].value)
	}
	for _, k := range known {
		given := slices.ContainsFunc(given, func(e entry) bool { return e.name == k.name })
		if k.required && !given {
			r.fault(mapping, join(at, k.name), "missing: %s", k.about)
		}
	}
}

// read gives the node to the value. An alias is none: what it stands for would be at
// another place of the file than the fault.
func (r *reader) read(node *yaml.Node, at string, v value) {
	if node.Kind == yaml.AliasNode {
		r.fault(node, at, "want %s, not an alias", v.wants)
		return
	}
	if v.nested != nil {
		v.nested(node, at)
		return
	}
	err := v.set(node)
	if inner, ok := errors.AsType[*misplacedError](err); ok {
		node, err = inner.node, inner.error
	}
	if err != nil {
		r.fault(node, at, "%s", reason(err))
	}
}

// unknown adds the fault of a key that means nothing. Its value is not told: it may be
// a secret.
func (r *reader) unknown(e entry, at string, known []key) {
	r.fault(e.key, join(at, shorten(e.name)), "unknown key%s want one of %s",
		meant(e.name, names(known)), strings.Join(names(known), ", "))
}

// reason is an error's text without its code, which is the same for all faults.
func reason(err error) string {
	if coded, ok := errors.AsType[*volume.Error](err); ok {
		return coded.Message
	}
	return err.Error()
}

// maxTypos is how far a key may be from the one that was meant.
const maxTypos = 2

// meant asks for the known name that the given one is a slip of, if there is one:
// ", did you mean pool?".
func meant(name string, known []string) string {
	if len(name) > maxNameShown {
		return ""
	}
	best, least := "", maxTypos+1
	for _, one := range known {
		distance := levenshtein.Distance(strings.ToLower(name), one, nil)
		if distance < least && distance < len(one) {
			best, least = one, distance
		}
	}
	if best == "" {
		return ":"
	}
	return ", did you mean " + best + "?"
}

// maxNameShown bounds what is told of a text that was not expected.
const maxNameShown = 40

func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxNameShown {
		return text
	}
	return string([]rune(text)[:maxNameShown]) + "…"
}

func names(keys []key) []string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.name
	}
	return texts
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
