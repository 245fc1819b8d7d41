package filters

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Fields are the fields that entries have. The zero value knows none and allows any.
type Fields struct {
	// Plain are fields without parts, such as `name`.
	Plain []string
	// Keyed are fields that need a key behind a dot, such as `labels`.
	Keyed []string
}

// Parse reads filters that may name any field, like [Fields.Parse].
func Parse(texts ...string) (Filter, error) { return Fields{}.Parse(texts...) }

// Parse reads filters, each text one or, on lines of their own, several. What it returns
// matches the entries that one of them matches: all entries if there is no text, or an
// empty one. It returns an error of code invalid_argument that holds a [*SyntaxError] if
// a text is not a filter, names a field that is not among f, or goes beyond [MaxLength]
// or [MaxTerms].
func (f Fields) Parse(texts ...string) (Filter, error) {
	left := budget{length: MaxLength + 1, terms: MaxTerms, program: maxProgram}
	var filter Filter
	everything := false
	for _, text := range texts {
		// The byte more is what stands between two texts.
		if left.length--; len(text) > left.length {
			return Filter{}, errorf(text, max(left.length, 0), "want at most %d bytes in all filters", MaxLength)
		}
		left.length -= len(text)
		p := parser{text: text, fields: f, left: &left}
		alternatives, err := p.parse()
		if err != nil {
			return Filter{}, err
		}
		everything = everything || len(alternatives) == 0
		filter.alternatives = append(filter.alternatives, alternatives...)
	}
	if everything {
		return Filter{}, nil
	}
	if length := len(filter.String()); length > MaxLength {
		return Filter{}, errorf(texts[0], 0, "the filters take %d bytes when spelt with escapes: want at most %d", length, MaxLength)
	}
	return filter, nil
}

// A parser reads one text from left to right.
type parser struct {
	text   string
	at     int // offset of what is read next
	fields Fields
	left   *budget
}

// parse returns the alternatives in the text, none of them if it is empty.
func (p *parser) parse() ([]terms, error) {
	if p.text == "" {
		return nil, nil
	}
	if at := invalidUTF8(p.text); at >= 0 {
		return nil, errorf(p.text, at, "want UTF-8")
	}
	var alternatives []terms
	for {
		all, err := p.terms()
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, all)
		if p.next() != '\n' {
			return alternatives, nil
		}
		p.at++
	}
}

// invalidUTF8 returns the offset of the first byte of text that is not UTF-8, or -1.
func invalidUTF8(text string) int {
	for at := 0; at < len(text); {
		char, size := utf8.DecodeRuneInString(text[at:])
		if char == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// terms reads up to the end of the line or of the text.
func (p *parser) terms() (terms, error) {
	var all terms
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		p.skipBlanks()
		switch p.next() {
		case ',':
			p.at++
		case '\n', end:
			return all, nil
		default:
			return nil, p.errorf(`want "," or the end; a value with blanks or commas stands in double quotes`)
		}
	}
}

func (p *parser) term() (term, error) {
	p.skipBlanks()
	if p.left.terms--; p.left.terms < 0 {
		return term{}, p.errorf("want at most %d terms in all filters", MaxTerms)
	}
	path, err := p.path()
	if err != nil {
		return term{}, err
	}
	t := term{path: path}
	p.skipBlanks()
	if t.operator, err = p.operator(); err != nil || t.operator == present {
		return t, err
	}
	p.skipBlanks()
	start := p.at
	if t.value, err = p.value(t.operator); err != nil || t.operator != matches {
		return t, err
	}
	compiled, refusal := p.left.compile(t.value)
	if refusal != "" {
		return term{}, errorf(p.text, start, "%s", refusal)
	}
	t.pattern = compiled
	return t, nil
}

// path returns the field and, if there are more parts, the rest as one key.
func (p *parser) path() ([]string, error) {
	start := p.at
	field, err := p.field()
	if err != nil {
		return nil, err
	}
	if !p.fields.known(field) {
		return nil, errorf(p.text, start, "unknown field %s: want one of %s", quoteCut(field, shownRest), p.fields)
	}
	var parts []string
	for p.next() == '.' {
		if p.fields.plain(field) {
			return nil, p.errorf("field %q has no parts", field)
		}
		p.at++
		part, err := p.field()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if parts != nil {
		return []string{field, strings.Join(parts, ".")}, nil
	}
	if p.fields.keyed(field) {
		return nil, p.errorf(`want "." and a key: %s.KEY`, field)
	}
	return []string{field}, nil
}

func (f Fields) known(field string) bool {
	return f.plain(field) || f.keyed(field) || len(f.Plain)+len(f.Keyed) == 0
}

func (f Fields) plain(field string) bool { return slices.Contains(f.Plain, field) }

func (f Fields) keyed(field string) bool { return slices.Contains(f.Keyed, field) }

// String lists the fields as they are written in a filter.
func (f Fields) String() string {
	names := slices.Clone(f.Plain)
	for _, field := range f.Keyed {
		names = append(names, field+".KEY")
	}
	return strings.Join(names, ", ")
}
