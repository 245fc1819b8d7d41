package commands_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// linked are the modules that a service gets with this package: nats.go and what it
// needs itself.
var linked = []string{
	"github.com/jetvol/jetvol",
	"github.com/nats-io/nats.go",
	"github.com/nats-io/nkeys",
	"github.com/nats-io/nuid",
	"github.com/klauspost/compress",
	"golang.org/x/crypto",
	"golang.org/x/sys",
	"golang.org/x/text",
}

func TestImports_OnlyNATSAndVocabulary(t *testing.T) {
	format := `{{if not .Standard}}{{.Module.Path}} {{.ImportPath}}{{end}}`
	out, err := exec.CommandContext(testContext(t), "go", "list", "-deps", "-f", format, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		module, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		packages++
		if !slices.Contains(linked, module) {
			t.Errorf("links %s of module %s", path, module)
		}
		own := []string{"github.com/jetvol/jetvol/commands", "github.com/jetvol/jetvol/volume"}
		if module == "github.com/jetvol/jetvol" && !slices.Contains(own, path) {
			t.Errorf("links %s: only %v", path, own)
		}
	}
	if packages < 3 {
		t.Errorf("go list told of %d packages: the check sees nothing", packages)
	}
}
