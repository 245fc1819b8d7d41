package filters_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/snapshots/filters"
	"github.com/jetvol/jetvol/volume"
)

// fault returns the SyntaxError in err, which has to be of code invalid_argument.
func fault(tb testing.TB, texts []string, err error) *filters.SyntaxError {
	tb.Helper()
	syntax, ok := errors.AsType[*filters.SyntaxError](err)
	if !ok || !errors.Is(err, volume.ErrInvalidArgument) || !errors.Is(err, volume.InvalidArgument) {
		tb.Fatalf("filters %.200q: got %v, want a SyntaxError of code %s", texts, err, volume.ErrInvalidArgument)
	}
	return syntax
}

// In each text the fault begins where ⟦ stands.
func TestParse_Refused_NamesThePosition(t *testing.T) {
	tests := []struct {
		name, marked, problem string
	}{
		{"no field", "⟦==a", "want a field"},
		{"only blanks", "  ⟦", "want a field"},
		{"trailing comma", "name==a,⟦", "want a field"},
		{"leading comma", "⟦,name", "want a field"},
		{"two commas", "name,⟦,parent", "want a field"},
		{"empty line", "name\n⟦\nparent", "want a field"},
		{"trailing line end", "name\n⟦", "want a field"},
		{"trailing dot", "labels.⟦", "want a field"},
		{"two dots", "labels.⟦.a", "want a field"},
		{"blank behind a dot", "labels.⟦ a", "want a field"},
		{"field with an outer hyphen", "labels.⟦-a", "want a field"},
		{"field that is not ASCII", "⟦ñame", "want a field"},
		{"field in other quotes", "labels.⟦|a|==b", "want a field"},
		{"field with a question mark", `labels.⟦?"a"==b`, "want a field"},
		{"empty quoted field", `labels.⟦""`, "want a field that is not empty"},

		{"unknown field", "kind==view,⟦nmae==a", `unknown field "nmae": want one of kind, name, parent, labels.KEY`},
		{"unknown field in quotes", `⟦"na.me"==a`, `unknown field "na.me"`},
		{"field of another case", "⟦Name==a", `unknown field "Name"`},
		{"plain field with a part", "name⟦.a", `field "name" has no parts`},
		{"keyed field without a key", "labels⟦==a", `want "." and a key: labels.KEY`},
		{"keyed field alone", "labels⟦", `want "." and a key: labels.KEY`},

		{"one equals sign", "name⟦=a", `unknown operator "=": want ==, != or ~=`},
		{"three equals signs", "name⟦===a", `unknown operator "==="`},
		{"operator the wrong way round", "name⟦=~a", `unknown operator "=~"`},
		{"value that begins like an operator", "name⟦==~a", `unknown operator "==~"`},
		{"only a bang", "name⟦!", `unknown operator "!"`},
		{"slash in a key", "labels.ns⟦/key==a", "want ==, !=, ~="},
		{"blank in a path", "labels.a ⟦b==c", "want ==, !=, ~="},
		{"less than", "name⟦<a", "want ==, !=, ~="},
		{"quote behind a field", `name⟦"a"`, "want ==, !=, ~="},

		{"no value", "name==⟦", "want a value"},
		{"no value before a comma", "name~=⟦,parent", "want a value"},
		{"no value before a line end", "name==⟦\nparent", "want a value"},
		{"single quotes", "name==⟦'a'", "want a value"},
		{"control character", "name==⟦\x01", "want a value"},
		{"blank in a value", "name==a ⟦b", `want "," or the end`},
		{"carriage return", "name==a⟦\r\nparent", `want "," or the end`},
		{"control character in a value", "name==a⟦\x00", `want "," or the end`},
		{"text behind quotes", `name=="a"⟦b`, `want "," or the end`},

		{"open quotes", `name==⟦"a`, `want a closing "`},
		{"open quotes in a path", `labels.⟦"a==b`, `want a closing "`},
		{"quotes over two lines", "name==⟦\"a\nb\"", `want a closing "`},
		{"only a quote", `name==⟦"`, `want a closing "`},
		{"open slashes", "name~=⟦/a", "want a closing /"},
		{"expression without ~=", "name==⟦/a/", "/…/ holds an expression for ~="},
		{"other expression without ~=", "name!=⟦|a|", "|…| holds an expression for ~="},
		{"escape that Go has not", `name=="a⟦\d"`, "want an escape of Go"},
		{"escape that Go has not in slashes", `name~=/a⟦\d/`, "want an escape of Go"},
		{"other quote escaped", `name=="a⟦\'"`, "want an escape of Go"},
		{"short escape", `name=="⟦\x4"`, "want an escape of Go"},
		{"surrogate", `name=="⟦\ud800"`, "want an escape of Go"},
		{"backslash at the end", `name=="a⟦\`, "want an escape of Go"},
		{"backspace in slashes", `name~=/a⟦\b/`, `want \\b for a word boundary`},

		{"not an expression", "name~=⟦a(b", `not an RE2 expression: missing closing ): "a(b"`},
		{"not an expression in slashes", "kind,name~= ⟦/[a/", "not an RE2 expression: missing closing ]"},
		{"expression that RE2 has not", "name~=⟦(?=a)", "not an RE2 expression"},
		{"expression that is not UTF-8", `name~=⟦"\xff"`, "not an RE2 expression: invalid UTF-8"},
		{"repetition that RE2 has not", `name~=⟦"a{1001}"`, "not an RE2 expression: invalid repeat count"},
		{"program too large", `name~=⟦"(abcdefghi){1000}"`, "the expressions together are too large"},
		{"programs too large together", `name~="(abc){180}",name~=⟦"(abc){180}"`, "the expressions together are too large"},

		{"not UTF-8", "name==a⟦\xff", "want UTF-8"},
		{"not UTF-8 in quotes", "name==\"ä⟦\xff\"", "want UTF-8"},
		{"half a character", "name==⟦\xc3", "want UTF-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, after, _ := strings.Cut(test.marked, "⟦")
			text := before + after
			filter, err := fields.Parse(text)
			syntax := fault(t, []string{text}, err)
			if syntax.Offset != len(before) || syntax.Column() != len(before)+1 || syntax.Text != text {
				t.Errorf("got offset %d of %q, want %d of %q", syntax.Offset, syntax.Text, len(before), text)
			}
			if !strings.Contains(syntax.Problem, test.problem) {
				t.Errorf("got %q, want %q", syntax.Problem, test.problem)
			}
			if filter.String() != "" {
				t.Errorf("got %s beside the error", filter)
			}
		})
	}
}

// A fault in a later text is told of that text, also if an earlier one means everything.
func TestParse_SecondTextBad_NamesIt(t *testing.T) {
	for _, first := range []string{"name==a", ""} {
		_, err := fields.Parse(first, "parent=b")
		if syntax := fault(t, nil, err); syntax.Text != "parent=b" || syntax.Offset != 6 {
			t.Errorf("after %q: got offset %d of %q", first, syntax.Offset, syntax.Text)
		}
	}
}

func TestSyntaxError_Error(t *testing.T) {
	long := strings.Repeat("ä", 100)
	tests := []struct{ text, want string }{
		{"name=a", `filter "name=a": column 5, at "=a": unknown operator "=": want ==, != or ~=: invalid_argument`},
		{"labels", `filter "labels": column 7, at the end: want "." and a key: labels.KEY: invalid_argument`},
		{
			"labels.ab==" + long + " " + long,
			`filter "labels.ab==` + strings.Repeat("ä", 54) + `"…: column 213, at "` + strings.Repeat("ä", 12) +
				`"…: want "," or the end; a value with blanks or commas stands in double quotes: invalid_argument`,
		},
	}
	for _, test := range tests {
		if _, err := fields.Parse(test.text); err == nil || err.Error() != test.want {
			t.Errorf("filter %q:\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestParse_Limits(t *testing.T) {
	longest := "name==" + strings.Repeat("a", filters.MaxLength-6)
	full := strings.TrimSuffix(strings.Repeat("parent,", filters.MaxTerms), ",")
	half := strings.Repeat("a", filters.MaxLength/2)
	tests := []struct {
		name   string
		texts  []string
		offset int // of the fault in the last text; -1 if there is none
	}{
		{"longest", []string{longest}, -1},
		{"a byte longer", []string{longest + "a"}, filters.MaxLength},
		{"longest with an empty one", []string{longest, ""}, 0},
		{"two as long as one may be", []string{"name==" + half, "name==" + half[:len(half)-13]}, -1},
		{"two that are a byte longer", []string{"name==" + half, "name==" + half[:len(half)-12]}, filters.MaxLength/2 - 7},
		{"far too long", []string{longest + longest}, filters.MaxLength},
		{"most terms", []string{full}, -1},
		{"a term more", []string{full + ",name"}, len(full) + 1},
		{"a term more on a line of its own", []string{full + "\nname"}, len(full) + 1},
		{"a term more in another text", []string{full, "name"}, 0},
		{"escapes that need as much", []string{`name=="` + strings.Repeat(`\x00`, 1000) + `"`}, -1},
		{"escapes that need more", []string{`name=="` + strings.Repeat("\x00", 2000) + `"`}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			filter, err := fields.Parse(test.texts...)
			if test.offset < 0 {
				if err != nil || len(filter.String()) > filters.MaxLength {
					t.Errorf("got %v, %d bytes", err, len(filter.String()))
				}
				return
			}
			syntax := fault(t, test.texts, err)
			if last := test.texts[len(test.texts)-1]; syntax.Offset != test.offset || syntax.Text != last {
				t.Errorf("got offset %d of %.20q…, want %d of %.20q…", syntax.Offset, syntax.Text, test.offset, last)
			}
		})
	}
}
