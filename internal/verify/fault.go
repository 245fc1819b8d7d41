package verify

import (
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// Class says what went wrong. It is what a summary counts.
type Class string

// The classes of fault.
const (
	Lost         Class = "lost"         // an answer, outcome or event is missing
	Doubled      Class = "doubled"      // something happened, or was told, twice
	Reordered    Class = "reordered"    // commands of a volume overtook each other
	Stuck        Class = "stuck"        // something is under way that nobody will end
	Disagreement Class = "disagreement" // two witnesses tell different things
)

// Classes returns every class in the order of a report.
func Classes() []Class { return []Class{Lost, Doubled, Reordered, Stuck, Disagreement} }

// Fault is one violation.
type Fault struct {
	Class  Class
	Key    volume.Key // of the volume; empty if it concerns none in particular
	Detail string
}

// String returns `doubled: volume default.db-01: generation 4 twice`.
func (f Fault) String() string {
	if f.Key == (volume.Key{}) {
		return string(f.Class) + ": " + f.Detail
	}
	return fmt.Sprintf("%s: volume %s: %s", f.Class, f.Key, f.Detail)
}

// Count returns how many faults there are of each class.
func Count(faults []Fault) map[Class]int {
	counts := map[Class]int{}
	for _, f := range faults {
		counts[f.Class]++
	}
	return counts
}

// Check is one of the rules.
type Check func(Evidence) []Fault

// checks are all rules, in the order in which their findings help to understand what
// happened.
var checks = []Check{Answers, Repeats, Generations, Order, Lineage, Records, Backend, Chains, Ledgers, Effects, Rest, Audited}

// All returns what every check finds.
func All(e Evidence) []Fault {
	var faults []Fault
	for _, check := range checks {
		faults = append(faults, check(e)...)
	}
	return faults
}

// report collects the faults of one check.
type report struct {
	faults []Fault
}

func (r *report) add(class Class, key volume.Key, format string, args ...any) {
	r.faults = append(r.faults, Fault{Class: class, Key: key, Detail: fmt.Sprintf(format, args...)})
}
