package bench

import (
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func TestMeanRing_OfCommands_IsWhatRecordsHaveOnAverage(t *testing.T) {
	for name, c := range map[string]struct {
		now      int
		commands float64
		want     float64
	}{
		"a command to some":           {3, 0.4, 3},
		"one to each":                 {3, 1, 3},
		"three to each":               {3, 3, 4},
		"the worker makes room first": {16, 1, 8},
		"once around":                 {8, 8, 11.5},
		"once around, from anywhere":  {13, 8, 11.5},
		"over the edge":               {14, 4, (14 + 15 + 8 + 9) / 4.0},
		"a hot one":                   {1, 80000, 11.5},
	} {
		if got := meanRing(c.now, c.commands); got < c.want-0.01 || got > c.want+0.01 {
			t.Errorf("%s: got %g, want %g", name, got, c.want)
		}
	}
}

// What comes up last of each verb is the template.
func TestSource_Ripen_LastDeedsMeetSoManyAnswers(t *testing.T) {
	for _, c := range []struct {
		workload Workload
		ring     float64
		want     map[volume.Verb]int // answers when the last of the verb comes
	}{
		{Attach, 1, map[volume.Verb]int{volume.VerbAttach: 1, volume.VerbDetach: 2}},
		{Attach, 11.5, map[volume.Verb]int{volume.VerbAttach: 11, volume.VerbDetach: 12}},
		{Many, 3.5, map[volume.Verb]int{volume.VerbAttach: 3, volume.VerbDetach: 4}},
		{Many, 15, map[volume.Verb]int{volume.VerbAttach: 15, volume.VerbDetach: 16}},
		{Hot, 11.5, map[volume.Verb]int{volume.VerbResize: 12}},
		{Hot, 1, map[volume.Verb]int{volume.VerbResize: 1}},
	} {
		_, deeds := newSource(Options{Workload: c.workload}, testProject, nil).ripen(c.ring)
		got := map[volume.Verb]int{}
		for answers, d := range deeds {
			got[d.verb] = answers
		}
		for verb, want := range c.want {
			if got[verb] != want {
				t.Errorf("%s with %g: got %d answers at the last %s, want %d", c.workload, c.ring, got[verb], verb, want)
			}
		}
	}
}
