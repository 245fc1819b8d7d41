package config_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/config"
)

var update = flag.Bool("update", false, "rewrite the tables of keys in docs/configuration.md")

const (
	document  = "../../docs/configuration.md"
	example   = "../../docs/jetvol.example.yaml"
	keysBegin = "<!-- keys: written by `go test ./internal/config -update` -->\n"
	keysEnd   = "<!-- end of keys -->\n"
)

func TestDocument_Keys_AreThoseOfTheReader(t *testing.T) {
	text := read(t, document)
	before, rest, found := strings.Cut(text, keysBegin)
	_, after, ended := strings.Cut(rest, keysEnd)
	if !found || !ended {
		t.Fatalf("%s: want the marks of the keys", document)
	}
	want := before + keysBegin + tables() + keysEnd + after
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Errorf("%s: the tables are not what the reader knows (-update rewrites them), want\n%s", document, tables())
	}
}

// tables is what the document says of the keys.
func tables() string {
	var text strings.Builder
	for _, section := range config.Reference() {
		fmt.Fprintf(&text, "\n### %s\n\n", section.Title)
		if section.About != "" {
			fmt.Fprintf(&text, "%s\n\n", section.About)
		}
		text.WriteString("| key | wants | default | |\n|---|---|---|---|\n")
		for _, k := range section.Keys {
			standard := k.Default
			if k.Required {
				standard = "required"
			}
			fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", k.Name, k.Wants, standard, k.About)
		}
	}
	return text.String() + "\n"
}

// The example must be right, and so must every block of YAML in the document.
func TestDocument_Examples_AreValid(t *testing.T) {
	blocks := []string{read(t, example)}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, document), -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) < 2 {
		t.Fatalf("got %d examples, want one in the document too", len(blocks))
	}
	for _, block := range blocks {
		c, err := config.Parse("example", "/etc/jetvol", []byte(block))
		if err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		var names []string
		for _, b := range c.Backends {
			names = append(names, b.Name)
		}
		if want := []string{"ceph-ssd", "ceph-ec", "local"}; !slices.Equal(names, want) || c.DefaultBackend != want[0] {
			t.Errorf("got %v with default %s, want %v", names, c.DefaultBackend, want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
