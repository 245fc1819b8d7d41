package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/cephtest"
)

// natsCLIVersion is the version of the nats CLI that the documents show.
const natsCLIVersion = "v0.3.0"

// root is the repository, seen from this package.
const root = "../.."

// tools is a directory with the programs jetvol and nats, for PATH.
var tools string

func TestMain(m *testing.M) { os.Exit(cephtest.Main(suite{m})) }

// suite is the tests with their tools.
type suite struct{ *testing.M }

// Run runs the tests and returns the exit code.
func (s suite) Run() int {
	code, err := s.runWithTools()
	if err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		return 1
	}
	return code
}

func (s suite) runWithTools() (code int, err error) {
	tools, err = os.MkdirTemp("", "jetvol-acceptance-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tools)) }()
	if err := provideNATS(filepath.Join(tools, "nats")); err != nil {
		return 1, err
	}
	if err := provideJetvol(filepath.Join(tools, "jetvol")); err != nil {
		return 1, err
	}
	return s.M.Run(), nil
}

func provideNATS(as string) error {
	binary := os.Getenv("JETVOL_NATS_CLI")
	if binary == "" {
		binary = filepath.Join(root, "bin", "nats")
	}
	const remedy = "`make bin/nats` builds it, JETVOL_NATS_CLI names another one"
	version, err := exec.Command(binary, "--version").Output()
	if err != nil {
		return fmt.Errorf("nats CLI: %w: %s", err, remedy)
	}
	if got := strings.TrimSpace(string(version)); got != natsCLIVersion {
		return fmt.Errorf("nats CLI %s is %q, want %q: %s", binary, got, natsCLIVersion, remedy)
	}
	return link(binary, as)
}

func provideJetvol(as string) error {
	if binary := os.Getenv(binaryVariable); binary != "" {
		return link(binary, as)
	}
	build := exec.Command("go", "build", "-tags", binaryTags, "-o", as, "./cmd/jetvol")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build jetvol: %w\n%s", err, out)
	}
	return nil
}

func link(binary, as string) error {
	path, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	return os.Symlink(path, as)
}

// environment is what every program of a test runs with: nothing of the tester's own
// settings of the nats CLI.
func environment(home, url string) []string {
	return append(os.Environ(),
		"PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+home, "XDG_CONFIG_HOME="+home, "NATS_URL="+url, "NATS_CONTEXT=", "TZ=UTC")
}
