package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced part of a document.
type block struct {
	mark  string // what follows the opening fence
	line  int    // of the opening fence
	lines []string
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const fence = "```"

// blocks returns the fenced blocks of a document in order.
func blocks(document string) []block {
	var found []block
	var open *block
	for i, line := range strings.Split(document, "\n") {
		switch mark, isFence := strings.CutPrefix(line, fence); {
		case open == nil && isFence:
			open = &block{mark: mark, line: i + 1}
		case isFence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return found
}

// marked returns the blocks of a document with the given mark.
func marked(document, mark string) []block {
	var found []block
	for _, b := range blocks(document) {
		if b.mark == mark {
			found = append(found, b)
		}
	}
	return found
}

// step is one command of a console block and the lines it is to print.
type step struct {
	line    int
	command string
	want    []string
}

// steps reads a console block.
func steps(b block) ([]step, error) {
	var all []step
	for i, line := range b.lines {
		at := b.line + 1 + i
		command, isCommand := strings.CutPrefix(line, "$ ")
		more, isMore := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			all = append(all, step{line: at, command: command})
		case len(all) == 0:
			return nil, fmt.Errorf("line %d: want a command first: %q", at, line)
		case isMore && len(all[len(all)-1].want) == 0:
			all[len(all)-1].command += "\n" + more
		default:
			all[len(all)-1].want = append(all[len(all)-1].want, line)
		}
	}
	return all, nil
}

const anything = "…"

// matches reports whether printed is as the wanted lines say. If it is not, the line is
// the first wanted one that has no match behind those before it.
func matches(want []string, printed string) (ok bool, line string) {
	printed = tidy(printed)
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, w := range strings.Split(tidy(strings.Join(want, "\n")), "\n") {
		pattern.WriteString(linePattern(w))
		if line == "" && !regexp.MustCompile(pattern.String()).MatchString(printed) {
			line = w
		}
	}
	pattern.WriteString(`\z`)
	if regexp.MustCompile(pattern.String()).MatchString(printed) {
		return true, ""
	}
	if line == "" {
		line = "(the end)"
	}
	return false, line
}

func linePattern(want string) string {
	switch want {
	case "":
		return ""
	case anything:
		return `(?:.*\n)*`
	}
	parts := strings.Split(want, anything)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return strings.Join(parts, ".*") + `\n`
}

// tidy removes what does not count: blank lines and spaces at the end of a line. Every
// line that is left ends with a line feed.
func tidy(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r", ""), "\n") {
		if line = strings.TrimRight(line, " \t"); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		want    string
		printed string
		line    string // that has no match; empty: it matches
	}{
		{"same", "a\nb", "a\nb\n", ""},
		{"blank lines and trailing spaces", "a\n\nb", "\na  \nb\n\n", ""},
		{"within a line", "12:00 … done", "12:00 it is done", ""},
		{"within a line, nothing", "a…b", "ab", ""},
		{"not across lines", "a…b", "a\nb", "a…b"},
		{"lines", "a\n…\nb", "a\nx\ny\nb", ""},
		{"no lines", "a\n…\nb", "a\nb", ""},
		{"nothing wanted, nothing printed", "", "", ""},
		{"nothing wanted, something printed", "", "a", "(the end)"},
		{"missing line", "a\nb\nc", "a\nc", "b"},
		{"line too many", "a", "a\nb", "(the end)"},
		{"other text", "state: available", "state: error", "state: available"},
		{"a dot is a dot", "a.b", "axb", "a.b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, line := matches(strings.Split(tt.want, "\n"), tt.printed)
			if ok != (tt.line == "") || line != tt.line {
				t.Errorf("matches(%q, %q) = %v, %q, want line %q", tt.want, tt.printed, ok, line, tt.line)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	document := "# Title\n```console\n$ one\nout\n$ two \\\n> three\n> out of two\n$ wait\n```\n```text\n$ not run\n```\n"
	found := marked(document, "console")
	if len(found) != 1 {
		t.Fatalf("got %d console blocks, want 1", len(found))
	}
	got, err := steps(found[0])
	want := []step{
		{line: 3, command: "one", want: []string{"out"}},
		{line: 5, command: "two \\\nthree\nout of two"},
		{line: 8, command: "wait"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := steps(block{lines: []string{"output before any command"}}); err == nil {
		t.Error("output without a command: got no error")
	}
}
