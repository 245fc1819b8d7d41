package doctor_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/doctor"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/doctor.md")

const (
	document    = "../docs/doctor.md"
	checksBegin = "<!-- checks: written by `go test ./doctor -update` -->\n"
	checksEnd   = "<!-- end of checks -->\n"
)

func TestDocument_Checks_AreThoseOfTheCode(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	before, rest, found := strings.Cut(text, checksBegin)
	_, after, ended := strings.Cut(rest, checksEnd)
	if !found || !ended {
		t.Fatalf("%s: want the marks of the checks", document)
	}
	want := before + checksBegin + tables() + checksEnd + after
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Errorf("%s: the tables are not what doctor checks (-update rewrites them), want\n%s", document, tables())
	}
}

// tables is what the document says of the checks.
func tables() string {
	var text strings.Builder
	for _, c := range doctor.Checks() {
		fmt.Fprintf(&text, "\n### %s\n\nLooks at %s.\n\n| code | severity | when | what helps |\n|---|---|---|---|\n", c.Name, c.About)
		for _, k := range c.Kinds {
			fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", k.Code, k.Severity, k.When, remedy(k))
		}
	}
	return text.String() + "\n"
}

// remedy shows a command line as one.
func remedy(k doctor.Kind) string {
	if isCommand(k.Remedy) {
		return "`" + k.Remedy + "`"
	}
	return k.Remedy
}

var commandLine = regexp.MustCompile(`^(jetvol|nats|curl|chronyc) [^,]*$`)

func isCommand(text string) bool { return commandLine.MatchString(text) }

// Scripts rely on codes, and people on being told what helps.
func TestChecks_Kinds_AreWhole(t *testing.T) {
	codes := map[string]bool{}
	for _, c := range doctor.Checks() {
		if c.About == "" || len(c.Kinds) == 0 {
			t.Errorf("check %s: want what it looks at and what it finds", c.Name)
		}
		for _, k := range c.Kinds {
			if !regexp.MustCompile("^"+c.Name+`\.[a-z_]+$`).MatchString(k.Code) || codes[k.Code] {
				t.Errorf("code %q of %s: want %s.<what>, once", k.Code, c.Name, c.Name)
			}
			codes[k.Code] = true
			if k.When == "" || !slices.Contains(doctor.Severities(), k.Severity) {
				t.Errorf("%s: want when it is found, and a severity", k.Code)
			}
			if grave := k.Severity == doctor.Error || k.Severity == doctor.Warning; grave && k.Remedy == "" {
				t.Errorf("%s: want what helps", k.Code)
			}
		}
	}
}
