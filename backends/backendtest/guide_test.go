package backendtest_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends/backendtest"
)

// guide is what docs/backends.md shows: its files, and the output that it promises.
type guide struct {
	files  map[string]string
	output string
}

var guideBlock = regexp.MustCompile("(?s)<!-- (file: [a-z_.]+|output) -->\n```[a-z]+\n(.*?)```\n")

func readGuide(t *testing.T) guide {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "backends.md"))
	if err != nil {
		t.Fatal(err)
	}
	g := guide{files: make(map[string]string)}
	for _, block := range guideBlock.FindAllStringSubmatch(string(text), -1) {
		if name, isFile := strings.CutPrefix(block[1], "file: "); isFile {
			g.files[name] = block[2]
		} else {
			g.output = block[2]
		}
	}
	if len(g.files) != 2 || g.output == "" {
		t.Fatalf("guide: got %d files and output %q, want a driver, its test and output", len(g.files), g.output)
	}
	return g
}

// writeModule writes the guide's files into a module outside of jetvol's.
func writeModule(t *testing.T, g guide) (dir string) {
	t.Helper()
	dir = t.TempDir()
	jetvol, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(jetvol, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	g.files["go.sum"] = string(sums)
	g.files["go.mod"] = "module example.com/shelf\n\ngo 1.26.0\n\n" +
		"require github.com/jetvol/jetvol v0.0.0\n\nreplace github.com/jetvol/jetvol => " + jetvol + "\n"
	for name, text := range g.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// testModule runs `go test` in a module, with nothing from the network.
func testModule(ctx context.Context, dir string) ([]byte, error) {
	command := exec.CommandContext(ctx, "go", "test", "-mod=mod", "-count=1", "-v", ".")
	command.Dir = dir
	command.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", backendtest.CertificatesVariable+"="+dir)
	return command.CombinedOutput()
}

// A third party's module imports the suite, and does with it what the guide says.
func TestGuide_DriverInAModuleOfItsOwn_IsCertified(t *testing.T) {
	g := readGuide(t)
	dir := writeModule(t, g)
	output, err := testModule(t.Context(), dir)
	if err != nil {
		t.Fatalf("go test: got %v; output:\n%s", err, output)
	}
	for line := range strings.Lines(g.output) {
		if !strings.Contains(string(output), strings.TrimSpace(line)) {
			t.Errorf("output: got no line %q; output:\n%s", line, output)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "TestConformance.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c backendtest.Certificate
	if err := json.Unmarshal(text, &c); err != nil || !c.Complete() || c.Driver != "shelf" {
		t.Errorf("certificate: got %+v (%v), want a complete one of driver shelf", c, err)
	}
}

func TestGuide_FaultInItsDriver_IsCaught(t *testing.T) {
	const right = "if !exists || found.ID != ref.ID {\n\t\treturn nil"
	g := readGuide(t)
	if !strings.Contains(g.files["shelf.go"], right) {
		t.Fatalf("guide: got no %q in its driver", right)
	}
	g.files["shelf.go"] = strings.Replace(g.files["shelf.go"], right, "if !exists {\n\t\treturn nil", 1)
	output, err := testModule(t.Context(), writeModule(t, g))
	if err == nil || !strings.Contains(string(output), "--- FAIL: TestConformance/Delete_Stranger_IsLeftAlone") {
		t.Errorf("go test: got %v, want Delete_Stranger_IsLeftAlone to fail; output:\n%s", err, output)
	}
}
