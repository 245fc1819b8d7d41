package volume

import (
	"regexp"
	"strings"
	"testing"
)

// TestNames_AllShortTexts_AsThePatterns compares the two checks with the patterns that their
// comments give, over all texts of up to three of the characters that matter, and long ones.
func TestNames_AllShortTexts_AsThePatterns(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	commandID := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@=+-]*$`)
	compare := func(s string) {
		if got, want := isName(s), name.MatchString(s); got != want {
			t.Errorf("name %q: got %v, want %v", s, got, want)
		}
		if got, want := isCommandID(s), commandID.MatchString(s); got != want {
			t.Errorf("command id %q: got %v, want %v", s, got, want)
		}
	}
	const characters = "az09AZ-._:/@=+`{[\n \x00é\xff,;^"
	texts := []string{""}
	for range 4 {
		var longer []string
		for _, text := range texts {
			compare(text)
			for i := range len(characters) {
				longer = append(longer, text+characters[i:i+1])
			}
		}
		texts = longer
	}
	for c := range 256 {
		compare(string([]byte{byte(c)}))
		compare("a" + string([]byte{byte(c)}) + "a")
	}
	for length := MaxNameLength - 2; length <= MaxNameLength+2; length++ {
		for _, end := range []string{"a", "-"} {
			compare(strings.Repeat("a", length-1) + end)
		}
	}
}
