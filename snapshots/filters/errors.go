package filters

import (
	"fmt"
	"unicode/utf8"

	"github.com/jetvol/jetvol/volume"
)

// A SyntaxError says what is wrong with a filter, and where. [Parse] returns it inside
// an error of code [volume.ErrInvalidArgument]; errors.As finds it.
type SyntaxError struct {
	// Text is the text that was given.
	Text string
	// Offset counts the bytes before the fault: 0 to len(Text).
	Offset int
	// Problem is what was wanted there, or why what stands there is refused.
	Problem string
}

// Column is where the fault begins, in bytes, counted from 1.
func (e *SyntaxError) Column() int { return e.Offset + 1 }

// Error returns `filter "name=a": column 5, at "=a": want …`. Of a long text it shows
// what is near the fault.
func (e *SyntaxError) Error() string {
	where := "at the end"
	if e.Offset < len(e.Text) {
		where = "at " + quoteCut(e.Text[e.Offset:], shownRest)
	}
	return fmt.Sprintf("filter %s: column %d, %s: %s", quoteCut(e.Text, shownText), e.Column(), where, e.Problem)
}

// How much of a filter an error shows, in bytes.
const (
	shownText = 120
	shownRest = 24
)

// quoteCut quotes text, or its first limit bytes followed by a mark that it goes on. It
// does not cut within a character.
func quoteCut(text string, limit int) string {
	if len(text) <= limit {
		return fmt.Sprintf("%q", text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return fmt.Sprintf("%q…", text[:limit])
}

// errorf returns a fault of text at offset, as all errors of this package are returned.
func errorf(text string, offset int, format string, args ...any) error {
	fault := &SyntaxError{Text: text, Offset: offset, Problem: fmt.Sprintf(format, args...)}
	return volume.Errorf(volume.ErrInvalidArgument, "%w", fault)
}
