package backendtest_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/backends/backendtest"
)

// certified runs the suite over a store with the given fault and returns the certificate
// that it wrote.
func certified(t *testing.T, plant, run string) backendtest.Certificate {
	t.Helper()
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+run)
	child.Env = append(os.Environ(), plantVariable+"="+plant, backendtest.CertificatesVariable+"="+dir)
	output, err := child.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "TestPlanted.json"))
	if err != nil {
		t.Fatalf("certificate: got %v; output:\n%s", err, output)
	}
	var c backendtest.Certificate
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("certificate: got %v for %s", err, text)
	}
	return c
}

func outcomeOf(t *testing.T, c backendtest.Certificate, ability string) backendtest.Result {
	t.Helper()
	at := slices.IndexFunc(c.Results, func(r backendtest.Result) bool { return r.Ability == ability })
	if at < 0 {
		t.Fatalf("certificate: got no line of %s in %s", ability, c)
	}
	return c.Results[at]
}

func TestCertificate_WholeDriver_IsComplete(t *testing.T) {
	c := certified(t, nothingOnDisk, "^TestPlanted$")
	if !c.Complete() || c.Suite != backendtest.SuiteVersion || c.Driver != "null" || !c.Capabilities.Clone {
		t.Errorf("certificate: got %+v, want a complete one of driver null", c)
	}
	for _, r := range c.Results {
		want := backendtest.Passed
		switch r.Ability {
		case "kill":
			want = backendtest.Skipped
		case "import": // the driver null cannot
			want = backendtest.NotAble
		}
		if r.Outcome != want {
			t.Errorf("%s: got %s, want %s", r.Ability, r.Outcome, want)
		}
	}
	skipped := outcomeOf(t, c, "kill").Skipped
	if len(skipped) != 2 || skipped[0].Reason != "the harness is no backendtest.Crasher" {
		t.Errorf("kill: got %+v, want the reason of the skip", skipped)
	}
}

func TestCertificate_NotAbleDriver_SaysSo(t *testing.T) {
	c := certified(t, nothingKilled, "^TestPlanted$")
	if got := outcomeOf(t, c, "clone").Outcome; got != backendtest.NotAble || c.Capabilities.Clone {
		t.Errorf("clone: got %s, want %s", got, backendtest.NotAble)
	}
	if got := outcomeOf(t, c, "kill"); got.Outcome != backendtest.Passed || got.Passed != 2 {
		t.Errorf("kill: got %+v, want 2 cases passed", got)
	}
}

func TestCertificate_FaultyDriver_NamesTheCase(t *testing.T) {
	c := certified(t, "restore ignores watchers", "^TestPlanted$")
	got := outcomeOf(t, c, "watchers")
	if want := []string{"Watched_Restore_IsBlockedNamingTheWatcher"}; got.Outcome != backendtest.Failed || !slices.Equal(got.Failed, want) {
		t.Errorf("watchers: got %+v, want it failed by %v", got, want)
	}
	if c.Complete() {
		t.Error("complete: got true, want false")
	}
}

func TestCertificate_CasesLeftOut_IsNotComplete(t *testing.T) {
	c := certified(t, nothingOnDisk, "^TestPlanted$/^Clone_New")
	if got := outcomeOf(t, c, "clone"); got.Outcome != backendtest.NotRun || got.Passed != 1 || len(got.NotRun) == 0 {
		t.Errorf("clone: got %+v, want 1 case passed and the others not run", got)
	}
	if c.Complete() {
		t.Error("complete: got true, want false")
	}
}
