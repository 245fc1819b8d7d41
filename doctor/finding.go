package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a finding matters.
type Severity string

// The severities, from the gravest.
const (
	// Error is something with which jetvol does not work or does not keep a promise.
	Error Severity = "error"
	// Warning is something that works and that somebody should look at.
	Warning Severity = "warning"
	// Unknown is something that could not be found out, and why.
	Unknown Severity = "unknown"
	// Info is something worth knowing.
	Info Severity = "info"
	// OK is something that was looked at and is as it should be.
	OK Severity = "ok"
)

// Severities returns all severities from the gravest.
func Severities() []Severity { return []Severity{Error, Warning, Unknown, Info, OK} }

// Finding is one thing that a check tells.
type Finding struct {
	Check string `json:"check"`
	// Code names the kind of finding, `<check>.<what>`. Codes are only ever added.
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Object is what the finding is about: a stream, a worker, a volume; empty if that is
	// the whole system.
	Object string `json:"object,omitempty"`
	Found  string `json:"found,omitempty"`
	Wanted string `json:"wanted,omitempty"`
	// Text says what it means, in one sentence or two.
	Text string `json:"text"`
	// Remedy is a command line that helps, or what to do where there is none.
	Remedy string `json:"remedy,omitempty"`
}

// Report is what all checks found, check by check. The check with the gravest finding comes
// first, and of each check the gravest finding.
type Report struct {
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Unknown  int       `json:"unknown"`
	OK       int       `json:"ok"` // findings of severity ok
}

// String returns `doctor: 9 ok, 1 warning, 0 errors`, and what is unknown if something is.
func (r Report) String() string {
	text := fmt.Sprintf("doctor: %d ok, %s, %s", r.OK, count(r.Warnings, "warning"), count(r.Errors, "error"))
	if r.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", r.Unknown)
	}
	return text
}

func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func newReport(findings []Finding) Report {
	places, gravest := map[string]int{}, map[string]int{}
	for i, c := range checks {
		places[c.Name], gravest[c.Name] = i, OK.rank()
	}
	for _, f := range findings {
		gravest[f.Check] = min(gravest[f.Check], f.Severity.rank())
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(gravest[a.Check], gravest[b.Check]), cmp.Compare(places[a.Check], places[b.Check]),
			cmp.Compare(a.Severity.rank(), b.Severity.rank()))
	})
	report := Report{Findings: append([]Finding{}, findings...)}
	counters := map[Severity]*int{
		Error: &report.Errors, Warning: &report.Warnings, Unknown: &report.Unknown, OK: &report.OK, Info: new(int),
	}
	for _, f := range findings {
		*counters[f.Severity]++
	}
	return report
}

func (s Severity) rank() int { return slices.Index(Severities(), s) }

// note completes a finding with what the table says of its kind. A remedy of its own takes
// the place of the table's.
func note(code string, f Finding) Finding {
	check, kind := kindOf(code)
	f.Check, f.Code, f.Severity = check.Name, code, kind.Severity
	f.Remedy = cmp.Or(f.Remedy, strings.ReplaceAll(kind.Remedy, objectMark, f.Object))
	return f
}

// kindOf returns the kind of a code and the check that finds it. A code that is not in the
// table is a fault of this package, which its tests find.
func kindOf(code string) (Check, Kind) {
	for _, c := range checks {
		for _, k := range c.Kinds {
			if k.Code == code {
				return c, k
			}
		}
	}
	return Check{Name: code}, Kind{Code: code, Severity: Unknown}
}
