package filters_test

import (
	"testing"

	"github.com/jetvol/jetvol/snapshots/filters"
)

// FuzzParse: whatever the text, it is read or refused at a place within it, and what was
// read is the same after String. A filter of any field and one of known fields agree.
func FuzzParse(f *testing.F) {
	seeds := []string{
		"", "name", "kind==committed,labels.team!=storage", "name~=/^a[12]$/\nparent", `labels."a.b/c"~=|x\|y|`,
		`labels.a.b=="\x61\u00e9\377"`, " name == ä , parent\t", "name=a", "labels", "name==\xff", `name~="\b(a"`,
		"name~=((a{9}){9}){9}", "name~=(a{1000}){2}", `name=="a`, ",", "\n", "\"\"", "name==\x01",
	}
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		anyField, anyErr := filters.Parse(text)
		filter, err := fields.Parse(text)
		if err == nil {
			checkAgain(t, filter)
			if anyErr != nil || anyField.String() != filter.String() {
				t.Fatalf("%q: got %q, of any field %q, %v", text, filter, anyField, anyErr)
			}
			return
		}
		syntax := fault(t, []string{text}, err)
		if syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Text != text {
			t.Fatalf("%q: got offset %d of %q", text, syntax.Offset, syntax.Text)
		}
		if len(err.Error()) > 1024 {
			t.Fatalf("%q: got an error of %d bytes: %v", text, len(err.Error()), err)
		}
		if anyErr == nil {
			filter = anyField
			again, err := filters.Parse(filter.String())
			if err != nil || again.String() != filter.String() {
				t.Fatalf("%q: got %q, and of that %q, %v", text, filter, again, err)
			}
		}
	})
}

// checkAgain reads the text of filter, and compares what the two match.
func checkAgain(t *testing.T, filter filters.Filter) {
	t.Helper()
	again, err := fields.Parse(filter.String())
	if err != nil || again.String() != filter.String() {
		t.Fatalf("got %q, and of that %q, %v", filter, again, err)
	}
	for _, entry := range tree {
		if filter.Match(entry) != again.Match(entry) {
			t.Fatalf("%q on %+v: got %v, after String %v", filter, entry, filter.Match(entry), again.Match(entry))
		}
	}
}
