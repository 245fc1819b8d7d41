package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/query"
)

func TestQueries_NoWorker_BucketsAreReadAndItIsSaid(t *testing.T) {
	t.Setenv("NATS_URL", stock(t).URL())
	for _, args := range [][]string{
		{"volume", "get", "vol-01"}, {"volume", "list"}, {"explain", "vol-01"}, {"workers"},
	} {
		end := jetvol(t, args...)
		end.want(t, exitSucceeded)
		if end.stderr != noWorker || end.stdout == "" {
			t.Errorf("%v: got %q, %q", args, end.stdout, end.stderr)
		}
	}
	jetvol(t, "explain", "nobody").want(t, exitFailed, "volume_not_found")
	jetvol(t, "backends").want(t, exitUnavailable, "no worker answers", "jetvol worker")
}

func TestExplain_JSON_IsTheReply(t *testing.T) {
	t.Setenv("NATS_URL", stock(t).URL())
	end := jetvol(t, "explain", "vol-03", "--json")
	end.want(t, exitSucceeded)
	var explained query.Explanation
	if err := json.Unmarshal([]byte(end.stdout), &explained); err != nil || explained.Volume != "vol-03" || len(explained.Advice) == 0 {
		t.Errorf("got %s, %v", end.stdout, err)
	}
}

// Text of others does not reach the terminal as it is.
func TestShowExplanation_ControlCharacters_AreShownHarmless(t *testing.T) {
	var shown strings.Builder
	showExplanation(&shown, query.Explanation{
		Queue:  []query.Queued{{Verb: "\x1b[2Jverb", CommandID: "c", Actor: "\x1b[31mactor"}},
		Advice: []query.Advice{{Text: "\x1btext", Command: "\x1bcommand"}},
	})
	if strings.Contains(shown.String(), "\x1b") {
		t.Errorf("got %q", shown.String())
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "3": {3}, "0-2": {0, 1, 2}, "0-1,5,7-9": {0, 1, 5, 7, 8, 9}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: got %q, want %q", numbers, got, want)
		}
	}
}
