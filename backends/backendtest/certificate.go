package backendtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
)

// SuiteVersion goes up whenever a driver that passed before may now fail.
const SuiteVersion = 2

// CertificatesVariable names the environment variable with the directory in which [Run]
// writes the [Certificate] of each run as JSON. Without it none is written.
const CertificatesVariable = "JETVOL_CERTIFICATES"

// Outcome is what became of an ability's cases.
type Outcome string

// The outcomes of an ability.
const (
	Passed  Outcome = "passed"   // at least one case, and the others were skipped
	Failed  Outcome = "failed"   // at least one case
	NotAble Outcome = "not able" // the driver does not claim it
	Skipped Outcome = "skipped"  // all cases, for want of something in the harness
	NotRun  Outcome = "not run"  // a case was left out by -test.run or -test.skip
)

// Certificate says what a driver was found to do.
type Certificate struct {
	Suite        int                   `json:"suite"` // SuiteVersion
	Driver       string                `json:"driver"`
	Version      string                `json:"version"`
	Capabilities backends.Capabilities `json:"capabilities"`
	Results      []Result              `json:"results"`
}

// Result is about one ability.
type Result struct {
	Ability string        `json:"ability"`
	Outcome Outcome       `json:"outcome"`
	Passed  int           `json:"passed"`            // cases
	Failed  []string      `json:"failed,omitempty"`  // names of cases
	NotRun  []string      `json:"not_run,omitempty"` // names of cases
	Skipped []SkippedCase `json:"skipped,omitempty"`
}

// SkippedCase is a case that could not be run.
type SkippedCase struct {
	Case   string `json:"case"`
	Reason string `json:"reason"`
}

// Complete reports whether no case failed and none was left out by the caller.
func (c Certificate) Complete() bool {
	for _, r := range c.Results {
		if r.Outcome == Failed || r.Outcome == NotRun {
			return false
		}
	}
	return true
}

// String tells the certificate in a line for each ability.
func (c Certificate) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "certificate of driver %s %s by suite %d", c.Driver, c.Version, c.Suite)
	for _, r := range c.Results {
		fmt.Fprintf(&text, "\n  %-12s %-8s %s", r.Ability, r.Outcome, r.detail())
	}
	return text.String()
}

func (r Result) detail() string {
	var parts []string
	if r.Passed > 0 {
		parts = append(parts, fmt.Sprintf("%d passed", r.Passed))
	}
	if len(r.Failed) > 0 {
		parts = append(parts, fmt.Sprintf("%d failed: %s", len(r.Failed), strings.Join(r.Failed, ", ")))
	}
	if len(r.NotRun) > 0 {
		parts = append(parts, fmt.Sprintf("%d not run", len(r.NotRun)))
	}
	counts := make(map[string]int)
	for _, s := range r.Skipped {
		counts[s.Reason]++
	}
	for _, s := range r.Skipped {
		if n := counts[s.Reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d skipped: %s", n, s.Reason))
			delete(counts, s.Reason)
		}
	}
	return strings.Join(parts, "; ")
}

// conclude sets the outcome of a result whose cases are over.
func (r *Result) conclude(able bool) {
	switch {
	case len(r.Failed) > 0:
		r.Outcome = Failed
	case len(r.NotRun) > 0:
		r.Outcome = NotRun
	case !able:
		r.Outcome = NotAble
	case r.Passed > 0:
		r.Outcome = Passed
	default:
		r.Outcome = Skipped
	}
}

// publish logs the certificate, and writes it where the environment says.
func (c Certificate) publish(t *testing.T) {
	t.Helper()
	t.Log(c.String())
	dir := os.Getenv(CertificatesVariable)
	if dir == "" {
		return
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err == nil {
		name := strings.ReplaceAll(t.Name(), "/", "-") + ".json"
		err = os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o600) //nolint:gosec // the directory is the caller's choice
	}
	if err != nil {
		t.Errorf("write the certificate: %v", err)
	}
}
