// Package backendtest is the conformance suite for storage drivers, for those of other
// modules too: what package backends says in words, it says in tests. The author of a
// driver writes a [Harness] and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, &harness{dir: t.TempDir()})
//	}
//
// Every case is a subtest named Subject_Condition_Outcome. Cases use volumes of the
// project "backendtest" and remove them, so a harness may keep one store for all, and
// other volumes may be in it.
//
// A Harness may implement more interfaces of this package: [EffectCounter], [Content],
// [Foreigner], [Watcher] and [Crasher]. With each the suite sees more; what it could not
// look at is listed in the [Certificate]. docs/backends.md is the guide.
package backendtest

import (
	"crypto/rand"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Harness gives the suite access to one store through the driver under test.
type Harness interface {
	// Open returns a new handle to the store, one that knows only what the store
	// holds, as in a process just started. Handles opened before stay in use. The suite
	// closes each. Open ends the test if it cannot.
	//
	// Cases leave fences behind, for volumes that are gone. No name is used twice.
	Open(t testing.TB) backends.Driver

	// MaxSize is a size that the store can take for one volume, at least 8 MiB. The
	// suite makes a volume of this size and writes no data to it.
	MaxSize() volume.Bytes
}

// testCase is one subtest of the suite.
type testCase struct {
	name string
	run  func(s *subject)
}

// ability is a line of the certificate.
type ability struct {
	name  string
	needs func(backends.Capabilities) bool
	cases []testCase
}

// abilities that the suite looks at, in the order of the certificate.
var suite = []ability{
	{"create", nothing, createCases},
	{"delete", nothing, deleteCases},
	{"attach", nothing, attachCases},
	{"detach", nothing, detachCases},
	{"share", nothing, shareCases},
	{"resize", resizes, resizeCases},
	{"observe", nothing, observeCases},
	{"reopen", nothing, processCases},
	{"concurrency", nothing, concurrentCases},
	{"answers", nothing, answerCases},
	{"fence", func(c backends.Capabilities) bool { return c.Fence }, fenceCases},
	{"evict", func(c backends.Capabilities) bool { return c.Evict }, evictCases},
	{"snapshot", snapshots, snapshotCases},
	{"restore", snapshots, restoreCases},
	{"clone", clones, cloneCases},
	{"flatten", clones, flattenCases},
	{"usage", func(c backends.Capabilities) bool { return c.Usage }, usageCases},
	{"import", imports, importCases},
	{"content", nothing, contentCases},
	{"foreign", nothing, foreignCases},
	{"watchers", nothing, watcherCases},
	{"kill", nothing, killCases},
	{"honesty", nothing, honestyCases},
}

// Run runs the suite as subtests of t and returns what it found, which it also logs. The
// cases of an ability that the driver does not have are skipped, and the skip says so.
func Run(t *testing.T, h Harness) Certificate {
	t.Helper()
	c := certificateOf(t, h)
	for _, a := range suite {
		c.Results = append(c.Results, a.run(t, h, c.Capabilities))
	}
	c.publish(t)
	return c
}

// certificateOf is a certificate without results.
func certificateOf(t *testing.T, h Harness) Certificate {
	t.Helper()
	d := h.Open(t)
	defer func() { _ = d.Close() }() // the cases look at what Close returns
	health, err := d.Health(t.Context())
	if err != nil {
		t.Errorf("health: got %v, want no error", err)
	}
	return Certificate{
		Suite: SuiteVersion, Driver: health.Driver, Version: health.Version,
		Capabilities: backends.CapabilitiesOf(d),
	}
}

func (a ability) run(t *testing.T, h Harness, has backends.Capabilities) Result {
	t.Helper()
	result := Result{Ability: a.name}
	for _, c := range a.cases {
		var s *subject
		passed := t.Run(c.name, func(t *testing.T) {
			s = &subject{T: t, harness: h, ctx: t.Context(), run: rand.Text()}
			s.reopen()
			c.run(s)
		})
		result.count(c.name, s, passed)
	}
	result.conclude(a.needs(has))
	return result
}

// count adds a case, whose subject is nil if it did not run.
func (r *Result) count(name string, s *subject, passed bool) {
	switch {
	case s == nil:
		r.NotRun = append(r.NotRun, name)
	case !passed:
		r.Failed = append(r.Failed, name)
	case s.Skipped():
		r.Skipped = append(r.Skipped, SkippedCase{name, s.skipped})
	default:
		r.Passed++
	}
}
