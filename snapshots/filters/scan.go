package filters

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// end is what next returns at the end of the text: no character of valid UTF-8.
const end rune = -1

const operatorChars = "=!~"

// next returns the character that is read next, without reading it.
func (p *parser) next() rune {
	if p.at == len(p.text) {
		return end
	}
	char, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return char
}

// errorf returns a fault of what is read next.
func (p *parser) errorf(format string, args ...any) error {
	return errorf(p.text, p.at, format, args...)
}

func (p *parser) skipBlanks() { p.take(func(char rune) bool { return char == ' ' || char == '\t' }) }

// take reads characters as long as they are wanted, and returns them.
func (p *parser) take(wanted func(rune) bool) string {
	length := strings.IndexFunc(p.text[p.at:], func(char rune) bool { return !wanted(char) })
	if length < 0 {
		length = len(p.text) - p.at
	}
	p.at += length
	return p.text[p.at-length : p.at]
}

// field reads one part of a path, which is never empty.
func (p *parser) field() (string, error) {
	start := p.at
	if p.next() == '"' {
		field, err := p.quoted()
		if err == nil && field == "" {
			return "", errorf(p.text, start, "want a field that is not empty")
		}
		return field, err
	}
	field := p.take(isFieldChar)
	if !isBareField(field) {
		p.at = start
		return "", p.errorf(`want a field: letters, digits, "_" and inner "-", or any text in double quotes`)
	}
	return field, nil
}

// operator reads an operator, or nothing if the term ends here.
func (p *parser) operator() (operator, error) {
	start := p.at
	switch op := operator(p.take(func(char rune) bool { return strings.ContainsRune(operatorChars, char) })); op {
	case equal, notEqual, matches:
		return op, nil
	case present:
		if next := p.next(); next == ',' || next == '\n' || next == end {
			return present, nil
		}
		return "", p.errorf(`want ==, !=, ~=, "," or the end; a key with other characters stands in double quotes`)
	default:
		return "", errorf(p.text, start, "unknown operator %s: want ==, != or ~=", quoteCut(string(op), shownRest))
	}
}

// value reads what stands behind op.
func (p *parser) value(op operator) (string, error) {
	switch quote := p.next(); {
	case quote == '"':
		return p.quoted()
	case quote == '/' || quote == '|':
		if op != matches {
			return "", p.errorf("%c…%c holds an expression for ~=: want double quotes", quote, quote)
		}
		return p.quoted()
	}
	start := p.at
	word := p.take(isWordChar)
	if !isWord(word) {
		p.at = start
		return "", p.errorf("want a value, in double quotes if it is empty or begins with a sign of the language")
	}
	return word, nil
}

// quoted reads a text between two of the character that is read next.
func (p *parser) quoted() (string, error) {
	start, quote := p.at, p.text[p.at]
	var value []byte
	for p.at++; p.at < len(p.text) && p.text[p.at] != '\n'; {
		if p.text[p.at] == quote {
			p.at++
			return string(value), nil
		}
		var err error
		if value, err = p.quotedChar(value, quote); err != nil {
			return "", err
		}
	}
	return "", errorf(p.text, start, "want a closing %c on the same line", quote)
}

// quotedChar reads one character between quotes, and appends what it stands for.
func (p *parser) quotedChar(value []byte, quote byte) ([]byte, error) {
	rest := p.text[p.at:]
	if len(rest) > 1 && rest[0] == '\\' {
		switch {
		case rest[1] == quote:
			p.at += 2
			return append(value, quote), nil
		case rest[1] == 'b' && quote != '"':
			return nil, p.errorf(`\b is a backspace: want \\b for a word boundary, \x08 for a backspace`)
		}
	}
	char, wide, tail, err := strconv.UnquoteChar(rest, 0)
	if err != nil {
		return nil, p.errorf(`want an escape of Go; a backslash itself is \\`)
	}
	p.at = len(p.text) - len(tail)
	if !wide {
		return append(value, byte(char)), nil //nolint:gosec // what is not wide is one byte: ASCII or \xff
	}
	return utf8.AppendRune(value, char), nil
}

func isFieldChar(char rune) bool {
	return char == '_' || char == '-' ||
		'a' <= char && char <= 'z' || 'A' <= char && char <= 'Z' || '0' <= char && char <= '9'
}

// isBareField reports whether text may be part of a path without quotes.
func isBareField(text string) bool {
	return text != "" && strings.Trim(text, "-") == text &&
		strings.IndexFunc(text, func(char rune) bool { return !isFieldChar(char) }) < 0
}

func isWordChar(char rune) bool {
	return char != ',' && unicode.IsGraphic(char) && !unicode.IsSpace(char)
}

// isWord reports whether text may be a value without quotes. A word does not begin like
// an operator or like a quoted text; a single quote would be taken for one by people.
func isWord(text string) bool {
	return text != "" && !strings.ContainsRune(operatorChars+`"'/|`, rune(text[0])) && utf8.ValidString(text) &&
		strings.IndexFunc(text, func(char rune) bool { return !isWordChar(char) }) < 0
}
