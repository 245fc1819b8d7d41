package acceptance

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/doctor"
)

// remedyLine is a command line in a remedy: all of it, or what stands in backquotes.
var remedyLine = regexp.MustCompile("^((?:jetvol|nats) .*)$|`((?:jetvol|nats) [^`]*)`")

// What doctor advises are commands that there are, with flags that they have.
func TestDoctor_Remedies_AreCommands(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range doctor.Checks() {
		for _, k := range c.Kinds {
			for _, line := range remedyLine.FindAllStringSubmatch(k.Remedy, -1) {
				seen[line[1]+line[2]] = true
			}
		}
	}
	if len(seen) < 10 {
		t.Fatalf("got %d command lines, want more", len(seen))
	}
	home := t.TempDir()
	for line := range seen {
		words := strings.Fields(strings.ReplaceAll(line, "{object}", "partition-0"))
		// Help is printed only if all before it makes sense.
		command := exec.CommandContext(t.Context(), filepath.Join(tools, words[0]), append(slices.Clone(words[1:]), "--help")...)
		command.Env = environment(home, documentURL)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}
