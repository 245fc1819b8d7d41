// Package backendtest is the conformance suite for storage drivers: what
// [backends.Driver] says in words, it says in tests. The author of a driver writes a
// [Harness] and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, &harness{dir: t.TempDir()})
//	}
//
// Every case is a subtest named Subject_Condition_Outcome. Cases use volumes of the
// project "backendtest" and remove them, so a harness may keep one store for all, and
// other volumes may be in it.
package backendtest

import (
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

// EffectCounter is a [Harness] that can tell how often something was really done to an
// object. With it the suite also finds what is done twice to the same end.
type EffectCounter interface {
	// Effects counts the changes of the object with the given ID, by the verb.
	Effects(t testing.TB, id volume.ID) map[volume.Verb]int
}

// testCase is one subtest of the suite.
type testCase struct {
	name string
	run  func(s *subject)
}

// Run runs the suite as subtests of t. Abilities that the driver does not have are
// skipped, and the skip says so.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, group := range [][]testCase{
		createCases, deleteCases, attachCases, detachCases, shareCases, resizeCases,
		observeCases, processCases, concurrentCases, fenceCases, evictCases,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(newSubject(t, h)) })
		}
	}
}
