package main

import (
	"errors"
	"io"
	"testing"

	"github.com/jetvol/jetvol/internal/load"
	"github.com/jetvol/jetvol/internal/verify"
)

func TestParseOptions_WrongFlags_AreUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-kills", "-1"}, {"-clients", "0"}, {"-volumes", "0"}, {"-max-uptime", "1ms"}, {"-no-such-flag"}, {"extra"},
	} {
		if _, err := parseOptions(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want a usage error", args, err)
		}
	}
}

func TestParseOptions_NoFlags_TakesDefaults(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil || o.kills != defaultKills || o.clients != defaultClients || o.volumes != defaultVolumes || o.maxUptime != defaultMaxUptime {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestSummary_Faults_AreCounted(t *testing.T) {
	got := summary(3, load.Counts{Commands: 5, Answers: 7, Repeated: 1, Reused: 2}, []verify.Fault{{Class: verify.Disagreement}, {Class: verify.Stuck}}, 9)
	want := "kills=3 commands=5 answers=7 lost=0 doubled=0 reordered=0 stuck=1 disagreements=1 repeated=1 reused=2 seed=9"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
