package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
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

func TestNewPlace_DirectoryInUse_IsRefusedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newPlace(dir); !errors.Is(err, errUsage) {
		t.Errorf("got %v, want a usage error", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

func TestReadyWriter_LineInPieces_IsFoundOnce(t *testing.T) {
	var output bytes.Buffer
	w := &readyWriter{to: &output, found: make(chan struct{})}
	for _, piece := range []string{"not jetvol ready: x\njet", "vol rea", "dy: nats://127.0.0.1:1", "\njetvol ready: again\n"} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.found:
			if !w.seen || piece[0] != '\n' {
				t.Errorf("ready after %q", piece)
			}
		default:
			if piece[0] == '\n' {
				t.Errorf("not ready after %q", piece)
			}
		}
	}
	if want := "not jetvol ready: x\njetvol ready: nats://127.0.0.1:1\njetvol ready: again\n"; output.String() != want {
		t.Errorf("passed on %q, want %q", output.String(), want)
	}
}

func TestServer_EndsByItself_IsNoticed(t *testing.T) {
	s, err := startServer("/bin/sh", []string{"-c", "echo jetvol ready: now; exit 3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.live(t.Context(), time.Minute); err == nil {
		t.Error("got nil for a process that ended by itself")
	}
	if err := s.awaitReady(t.Context()); err == nil {
		<-s.ready // both are true: either may be told
	}
	if _, err := s.kill(); err != nil {
		t.Errorf("kill of an ended process: %v", err)
	}
}

func TestServer_Stop_TellsTheExitCode(t *testing.T) {
	for code, script := range map[int]string{
		0: `trap 'exit 0' TERM; echo jetvol ready: now; while :; do :; done`,
		1: `trap 'exit 1' TERM; echo jetvol ready: now; while :; do :; done`,
	} {
		s, err := startServer("/bin/sh", []string{"-c", script}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = s.kill() })
		if err := s.awaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.stop(); (err == nil) != (code == 0) {
			t.Errorf("exit code %d: got %v", code, err)
		}
	}
}

func TestReadFiles_StrayFiles_AreNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"p.a.img", "p.a.json", "p.lost.json", "p.half.img", "p.a.json.tmp", "NOT-A-KEY.img"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, local.FencesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := readFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"NOT-A-KEY.img", "p.a.json.tmp", "p.lost.json"}; !slices.Equal(files.Stray, want) {
		t.Errorf("got stray files %q, want %q", files.Stray, want)
	}
	if len(files.Data) != 2 || files.Data[volume.Key{Project: "p", Name: "a"}] != 1 {
		t.Errorf("got data files %v", files.Data)
	}
}

func TestLedger_AskedRepeatedReused_Counts(t *testing.T) {
	l, rng := newLedger(), rand.New(rand.NewPCG(1, 2))
	if l.askAgain(rng) != nil || l.reuse(rng) != nil {
		t.Error("got a command from an empty ledger")
	}
	key := volume.Key{Project: project, Name: "vol-00"}
	first := l.ask(commands.Request{ID: "c1", Key: key, Verb: volume.VerbCreate}, verify.Ordinary)
	if target, running := l.target(rng); !running || target.ID != "c1" {
		t.Errorf("got target %q, %t", target.ID, running)
	}
	if l.reuse(rng) != nil {
		t.Error("got a command for reuse that was not answered: the reuse might come first")
	}
	reply := commands.Reply{CommandID: "c1", Outcome: volume.Succeeded, State: volume.StateAvailable}
	l.answered(first, reply)
	if _, running := l.target(rng); running {
		t.Error("an answered command still counts as running")
	}
	if l.askAgain(rng) != first || l.reuse(rng) != first {
		t.Error("want the one command for repeat and reuse")
	}
	l.refused(first, reply)
	l.ask(commands.Request{ID: "m1", Key: key}, verify.Malformed)
	want := counts{commands: 2, answers: 2, waiting: 2, repeated: 1, reused: 1}
	if got := l.counts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if l.state(key) != volume.StateAvailable {
		t.Errorf("got state %q", l.state(key))
	}
}

// What the workload means to be valid must get past the client's own checks.
func TestWorkload_EveryRequest_IsPublishable(t *testing.T) {
	w := &workload{rng: rand.New(rand.NewPCG(1, 2)), volumes: defaultVolumes}
	seen := map[volume.Verb]bool{}
	for range 2000 {
		request := w.next(w.key(), volume.States()[w.rng.IntN(len(volume.States()))])
		for _, r := range []commands.Request{request, w.other(request), w.cancel(request)} {
			seen[r.Verb] = true
			command := volume.Command{ID: r.ID, Key: r.Key, Verb: r.Verb, Args: r.Args, Preconditions: r.Preconditions}
			if _, err := commands.NewMessage(command, ""); err != nil {
				t.Fatalf("%s: %v", r.Verb, err)
			}
		}
		other := w.other(request)
		first := volume.Command{Verb: request.Verb, Args: request.Args, Preconditions: request.Preconditions}
		if first.Digest() == (volume.Command{Verb: other.Verb, Args: other.Args, Preconditions: other.Preconditions}).Digest() {
			t.Fatalf("reuse of %+v asks for the same", request)
		}
	}
	if len(seen) != len(volume.Verbs()) {
		t.Errorf("got verbs %v, want all of %v", seen, volume.Verbs())
	}
}

func TestSummary_Faults_AreCounted(t *testing.T) {
	got := summary(3, counts{commands: 5, answers: 7, repeated: 1, reused: 2}, []verify.Fault{{Class: verify.Disagreement}, {Class: verify.Stuck}}, 9)
	want := "kills=3 commands=5 answers=7 lost=0 doubled=0 reordered=0 stuck=1 disagreements=1 repeated=1 reused=2 seed=9"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
