package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const readme = "README.md"

// runBlock begins the block that shows `make run`, which runs until Ctrl-C and is
// therefore tried apart from the others.
const runBlock = "$ make run"

func readmeBlocks(t *testing.T) (run block, others []block) {
	t.Helper()
	for _, b := range marked(readDocument(t, readme), "console") {
		if b.lines[0] == runBlock {
			run = b
		} else {
			others = append(others, b)
		}
	}
	if len(run.lines) < 10 || len(others) < 4 {
		t.Fatalf("%s: got %d lines of %q and %d other blocks", readme, len(run.lines), runBlock, len(others))
	}
	return run, others
}

func TestREADME_EveryConsoleBlockRunsAsShown(t *testing.T) {
	_, found := readmeBlocks(t)
	s := &session{server: startServer(t), document: readme}
	for _, b := range found {
		s.run(t, b)
	}
}

// varying are the parts of the demo's output that differ from run to run.
var varying = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}|worker [a-z0-9-]+`)

// What `make run` prints is what `jetvol up --demo` prints, once it is built.
func TestREADME_MakeRunPrintsWhatIsShown(t *testing.T) {
	b, _ := readmeBlocks(t)
	dependOnSources(t)
	s := &server{workDir: t.TempDir()}
	if err := os.Symlink(tools, filepath.Join(s.workDir, "bin")); err != nil {
		t.Fatal(err)
	}
	command := "bin/jetvol up --dir " + dataDir + " --listen 127.0.0.1:0 --demo --exit-after-demo"
	printed, err := startProgram(t, s, "", command).end()
	ready := readyLine.FindStringSubmatch(printed)
	if err != nil || ready == nil {
		t.Fatalf("$ %s: %v\n%s", command, err, printed)
	}
	// On the default address the commands to try need no address.
	printed = strings.ReplaceAll(printed, " -s "+ready[1], "")
	printed = strings.ReplaceAll(printed, ready[1], documentURL)
	want := varying.ReplaceAllString(strings.Join(b.lines[1:], "\n"), anything)
	if ok, line := matches(append(strings.Split(want, "\n"), "jetvol stopped: drained"), printed); !ok {
		t.Errorf("$ %s printed\n%s\nno match for %q", command, printed, line)
	}
}

// Every link of a document leads to a file that is there.
func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	adrs, err := filepath.Glob(filepath.Join(root, "docs", "adr", "*.md"))
	if err != nil || len(adrs) == 0 {
		t.Fatalf("got %d decisions, %v", len(adrs), err)
	}
	names := []string{readme, "subjects.md", "CHANGELOG.md", "docs/architecture.md", "docs/states.md", "docs/configuration.md", operations, "docs/security.md"}
	for _, path := range adrs {
		names = append(names, strings.TrimPrefix(path, root+"/"))
	}
	for _, name := range names {
		for _, found := range link.FindAllStringSubmatch(readDocument(t, name), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), found[1])); err != nil {
				t.Errorf("%s: link to %s: %v", name, found[1], err)
			}
		}
	}
}
