package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/verify"
)

func TestParseOptions_WrongFlags_AreUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-servers", "2"},
		{"-workers", "0"},
		{"-workers", "9"},
		{"-kills", "-1"},
		{"-server-kills", "-1"},
		{"-clients", "0"},
		{"-volumes", "0"},
		{"-pace", "0s"},
		{"-no-such-flag"},
		{"extra"},
	} {
		if _, err := parseOptions(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want a usage error", args, err)
		}
	}
	if o, err := parseOptions(nil, io.Discard); err != nil || o.servers != defaultServers || o.kills != defaultKills {
		t.Errorf("no flags: got %+v, %v", o, err)
	}
}

func TestPlan_SameSeed_SameDeeds(t *testing.T) {
	o := options{kills: 200, stops: 50, longStops: 3, serverKills: 30}
	deeds := plan(o, rand.New(rand.NewPCG(7, 0)))
	if again := plan(o, rand.New(rand.NewPCG(7, 0))); !slices.Equal(deeds, again) {
		t.Error("got two plans from one seed")
	}
	counts := map[deed]int{}
	for _, deed := range deeds {
		counts[deed]++
	}
	for deed, want := range map[deed]int{
		killWorker: 200, stopWorker: 50, stopWorkerLong: 3, killServer: 30,
		joinWorker: 34, drainWorker: 34, cutWorker: 40, stopServer: 8,
	} {
		if counts[deed] != want {
			t.Errorf("%s: got %d, want %d", deed, counts[deed], want)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var lengths []time.Duration
	for i := range 100 {
		lengths = append(lengths, time.Duration(100-i)*time.Second)
	}
	if got, want := percentiles(lengths), "p50:50.00s,p99:99.00s,n:100"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := percentiles(nil); got != "-" {
		t.Errorf("got %s for nothing", got)
	}
}

func TestSummary_Faults_AreCounted(t *testing.T) {
	s := &storm{crew: &crew{kills: 7}}
	e := verify.Evidence{Commands: make([]verify.Command, 5), Stops: make([]verify.Span, 2)}
	got := s.summary(e, []verify.Fault{{Class: verify.Disagreement}, {Class: verify.Stuck}, {Class: verify.Lost}})
	if want := "commands=5 kills=7 stops=2 lost=1 doubled=0 reordered=0 stuck=1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStormFaults_WorkerEndedByItself_IsOne(t *testing.T) {
	s := &storm{crew: &crew{}, stuck: 3}
	s.crew.fault("worker %s ended by itself", "w1")
	faults := s.faults()
	if len(faults) != 2 || faults[0].Class != verify.Disagreement || faults[1].Class != verify.Stuck ||
		!strings.Contains(faults[1].Detail, "3 commands") {
		t.Errorf("got %v", faults)
	}
}
