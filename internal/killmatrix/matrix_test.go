package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is shipped has no trace of a failpoint, and does not depend on the tool.
func TestShippedBinary_HasNoFailpoint(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "jetvol")
	build(t, "go", "build", "-o", binary, "./cmd/jetvol")
	data := read(t, binary)
	for _, text := range []string{"gofail", "GOFAIL_FAILPOINTS", failpointLine} {
		if bytes.Contains(data, []byte(text)) {
			t.Errorf("the binary contains %q", text)
		}
	}
	if bytes.Contains(read(t, filepath.Join(moduleRoot, "go.mod")), []byte("gofail")) {
		t.Error("go.mod names gofail")
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func build(t *testing.T, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = moduleRoot
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}

// Every sabotage is still a change of the source as it is.
func TestSabotages_Apply(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(sabotages)) {
		module := filepath.Join(t.TempDir(), "module")
		if _, err := copyModule(moduleRoot, module); err != nil {
			t.Fatal(err)
		}
		if err := sabotages[name].apply(module); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A few squares for real: clean they pass, and in a copy whose backend does not take an
// attach for the second time they do not.
func TestRun_RealWorkers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // a failed run keeps its directory
	args := []string{"-root", moduleRoot, "-columns", "^(attach|refused)$", "-points", "^(after-refusal-record|after-backend-call)$"}
	t.Run("clean", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		err := execute(t.Context(), args, &stdout, &stderr)
		if want := "points=2 verbs=2 cells=2 seeds=1 kills=2 failures=0\n"; err != nil || stdout.String() != want {
			t.Errorf("got %q, %v, want %q\n%s", stdout.String(), err, want, stderr.String())
		}
	})
	t.Run("sabotaged", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		err := execute(t.Context(), append(args, "-sabotage", "attach-not-repeatable"), &stdout, &stderr)
		if want := "points=2 verbs=2 cells=2 seeds=1 kills=2 failures=1\n"; err == nil || stdout.String() != want {
			t.Errorf("got %q, %v, want %q\n%s", stdout.String(), err, want, stderr.String())
		}
	})
}
