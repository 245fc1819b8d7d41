package kv

import (
	"regexp"
	"testing"
)

// TestIsKey_AllShortTexts_AsThePattern compares the check with the pattern that its comment
// gives, over all texts of up to five of the characters that matter.
func TestIsKey_AllShortTexts_AsThePattern(t *testing.T) {
	pattern := regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$`)
	texts := []string{""}
	for range 5 {
		var longer []string
		for _, text := range texts {
			for _, c := range []byte("aZ5.-*>\n") {
				longer = append(longer, text+string([]byte{c}))
			}
		}
		texts = longer
		for _, text := range texts {
			if got, want := isKey(text), pattern.MatchString(text); got != want {
				t.Fatalf("key %q: got %v, want %v", text, got, want)
			}
		}
	}
	for c := range 256 {
		text := "a" + string([]byte{byte(c)})
		if got, want := isKey(text), pattern.MatchString(text); got != want {
			t.Errorf("key %q: got %v, want %v", text, got, want)
		}
	}
	if isKey("") {
		t.Error("the empty key is none")
	}
}
