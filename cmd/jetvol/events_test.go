package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/events"
)

func TestEvents_Filters_SelectEvents(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir())
	t.Setenv("NATS_URL", url)
	for _, args := range []string{
		"volume create db-01 --size 1MiB", "volume create db-02 --size 1MiB",
		"-p billing volume create db-01 --size 1MiB", "volume delete db-01",
	} {
		jetvol(t, strings.Fields(args)...).want(t, exitSucceeded)
	}
	for _, test := range []struct {
		args string
		want string // sequences
	}{
		{"", "1 2 3 4 7 8"},
		{"-A", "1 2 3 4 5 6 7 8"},
		{"-p billing", "5 6"},
		{"-p nobody", ""},
		{"--volume db-01", "1 2 7 8"},
		{"--volume billing.db-01", "5 6"},
		{"--volume db-01 -A", "1 2 5 6 7 8"},
		{"--event ready", "2 4"},
		{"--event ready -A", "2 4 6"},
		{"--volume db-02 --event create", "3"},
		{"--from 4", "4 7 8"},
		{"--from 00000000000000000004", "4 7 8"},
		{"--from 99", ""},
		{"--since 1h", "1 2 3 4 7 8"},
		{"--since 2001-01-01T00:00:00Z", "1 2 3 4 7 8"},
		{"--since 0s", ""},
		{"--last", "8"},
		{"--last --volume db-02", "4"},
	} {
		t.Run(test.args, func(t *testing.T) {
			args := strings.Fields("events " + test.args)
			plain, asJSON := jetvol(t, args...), jetvol(t, append(args, "--json")...)
			plain.want(t, exitSucceeded)
			asJSON.want(t, exitSucceeded)
			var sequences, fromJSON []string
			for line := range strings.Lines(plain.stdout) {
				sequences = append(sequences, strings.Fields(line)[0])
			}
			for line := range strings.Lines(asJSON.stdout) {
				fromJSON = append(fromJSON, sequenceOf(t, line))
			}
			if got := strings.Join(sequences, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := strings.Join(fromJSON, " "); got != test.want {
				t.Errorf("as JSON: got %q, want %q", got, test.want)
			}
		})
	}
}

// sequenceOf checks that the line is a stored event with one member more, and returns
// that without its zeros.
func sequenceOf(t *testing.T, line string) string {
	t.Helper()
	if _, err := events.Decode([]byte(line)); err != nil {
		t.Errorf("line %q: %v", line, err)
	}
	var extension struct {
		Sequence string `json:"sequence"`
	}
	if err := json.Unmarshal([]byte(line), &extension); err != nil || len(extension.Sequence) != sequenceWidth {
		t.Errorf("line %q: got sequence %q (%v)", line, extension.Sequence, err)
	}
	return strings.TrimLeft(extension.Sequence, "0")
}

func TestEvents_Follow_ShowsWhatComesUntilInterrupted(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir())
	jetvol(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	p := begin(t, "-s", url, "events", "--follow", "--volume", "db-01")
	p.awaitLine(t, "ready")
	jetvol(t, "-s", url, "volume", "delete", "db-01").want(t, exitSucceeded)
	p.awaitLine(t, "deleted")
	if err := p.stop(t); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	want := []string{"create", "ready", "delete", "deleted"}
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %q, want %v", lines, want)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprintf("%d  ", i+1)) || !strings.Contains(line, "  default.db-01  "+want[i]+" ") {
			t.Errorf("line %d: got %q, want event %s", i+1, line, want[i])
		}
	}
}

func TestEvents_Unreadable_OthersShownAndFailureTold(t *testing.T) {
	p, url := up(t, "--dir", t.TempDir())
	t.Setenv("NATS_URL", url)
	publishJunk(t, url)
	jetvol(t, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	jetvol(t, "events").want(t, exitFailed, "unreadable: event at sequence 1", "  default.db-01  ready ")
	if err := p.stop(t); err != nil {
		t.Error(err)
	}
}

func TestMoment_Durations_ForwardAndBack(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		text string
		past bool
		want time.Time
	}{
		{"1h", false, now.Add(time.Hour)},
		{"1h", true, now.Add(-time.Hour)},
		{"-1h", false, now.Add(-time.Hour)},
		{"2030-01-31T12:00:00+02:00", false, time.Date(2030, 1, 31, 10, 0, 0, 0, time.UTC)},
	} {
		got := moment{past: test.past}
		if err := got.Set(test.text); err != nil || got.Sub(test.want).Abs() > time.Minute {
			t.Errorf("%s: got %v (%v), want %v", test.text, got, err, test.want)
		}
	}
}

func FuzzFlagValues(f *testing.F) {
	for _, seed := range []string{"", "1", "10GiB", "a=b", "=", "1h", "-1s", "2030-01-31T12:00:00Z", "0007", "available"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var asSize, again size
		if asSize.Set(text) == nil {
			if err := again.Set(asSize.String()); err != nil || again != asSize {
				t.Errorf("size %q: got %v again (%v), want %v", text, again, err, asSize)
			}
		}
		var number, same sequence
		if number.Set(text) == nil && number > 0 {
			if err := same.Set(number.String()); err != nil || same != number {
				t.Errorf("sequence %q: got %v again (%v), want %v", text, same, err, number)
			}
		}
		var pairs labels
		if pairs.Set(text) == nil && len(pairs) != 1 {
			t.Errorf("label %q: got %v, want one", text, pairs)
		}
		var when moment
		if when.Set(text) == nil && when.IsZero() && !strings.HasPrefix(text, "0001-01-0") {
			t.Errorf("moment %q: got no time", text)
		}
	})
}
