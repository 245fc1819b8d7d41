package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the scripts in testdata with what commands print now")

// TestScripts runs the command lines in testdata/*.txt, which begin with "$ jetvol", each
// script against a server of its own, and compares what they print with what follows
// them. Lines that begin with # are comments.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d scripts (%v), want some", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			_, url := up(t, "--dir", dir, "--id", "w1", "--reconcile-interval", "0") // scripts know what happens when
			t.Setenv("NATS_URL", url)
			t.Setenv("DIR", dir)
			switch path {
			case deadScript:
				plantDeadLetters(t, url)
			case driftScript:
				plantDrift(t, dir)
			}
			got := runScript(t, string(want), strings.NewReplacer(url, "URL", dir, "DIR", defaultActor(), "ACTOR"))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if difference := firstDifference(got, string(want)); difference != "" {
				t.Errorf("%s (-update rewrites the script)", difference)
			}
		})
	}
}

const scriptPrompt = "$ jetvol"

func runScript(t *testing.T, script string, names *strings.Replacer) string {
	t.Helper()
	var got strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if comment := strings.HasPrefix(line, "#"); comment {
			fmt.Fprintln(&got, line)
		}
		if !strings.HasPrefix(line, scriptPrompt) {
			continue
		}
		fmt.Fprintln(&got, line)
		end := jetvol(t, strings.Fields(os.ExpandEnv(strings.TrimPrefix(line, scriptPrompt)))...)
		fmt.Fprint(&got, stable(names.Replace(end.stdout+end.stderr)))
		fmt.Fprintf(&got, "[exit %d]\n\n", end.code)
	}
	return got.String()
}

// firstDifference names the first line in which two texts differ, or is empty.
func firstDifference(got, want string) string {
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var one, other string
		if i < len(gotLines) {
			one = gotLines[i]
		}
		if i < len(wantLines) {
			other = wantLines[i]
		}
		if one != other {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, one, other)
		}
	}
	return ""
}

// stable replaces what is different each time.
func stable(text string) string {
	for _, unstable := range []struct{ pattern, name string }{
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "STAMP"},
		{`\d\d:\d\d:\d\d\.\d{3}`, "TIME"},
		{`\b[A-Z2-7]{26}\b`, "COMMAND-ID"},
		{`"took_ns":\d+`, `"took_ns":N`},
		{`"id":"[0-9A-Za-z]{22}"`, `"id":"ID"`},
		{`"capabilities":\{[^}]*\}`, `"capabilities":{…}`}, // there are ever more
		{`digest":"[0-9a-f]+"`, `digest":"DIGEST"`},
		{`(event_hash|previous)":"[0-9a-f]{64}"`, `$1":"HASH"`},
		{`digest [0-9a-f]{64}`, "digest HASH"},
		{`"seconds":[0-9.e-]+,"rate":[0-9.e+]+`, `"seconds":S,"rate":R`},
		{`\d+\.\d s, \d+ events/s`, "S s, R events/s"},
		{`replay-(\d+)-[0-9a-z]+-[0-9a-f]{12}`, "replay-$1-ID"},
		{`seq-(\d+)-[0-9a-z]{10,}`, "seq-$1-ID"},
		// What the outbox still holds depends on how fast events are acknowledged.
		{`"outbox":\[.*\],"event_sequence":\d+`, `"outbox":[…],"event_sequence":N`},
		{`(nats[a-z./-]*|go)(/v2)? ?v?\d+\.\d+\.\d+ ?.*`, "$1 VERSION"},
		{`(?m)^(jetvol) (v.*|\(devel\))$`, "$1 VERSION"},
	} {
		text = regexp.MustCompile(unstable.pattern).ReplaceAllString(text, unstable.name)
	}
	return text
}

func TestRunScript_OtherOutput_Noticed(t *testing.T) {
	script := "# a comment\n$ jetvol schema nonsense\nall is well\n[exit 0]\n\n"
	got := runScript(t, script, strings.NewReplacer())
	if difference := firstDifference(got, script); !strings.HasPrefix(difference, "line 3:\n got usage: ") {
		t.Errorf("got %q, want line 3 to differ", difference)
	}
	if again := runScript(t, got, strings.NewReplacer()); again != got {
		t.Errorf("got %q, want %q", again, got)
	}
}
