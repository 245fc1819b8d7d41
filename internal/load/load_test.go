package load

import (
	"math/rand/v2"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

func TestLedger_AskedRepeatedReused_Counts(t *testing.T) {
	l, rng := newLedger(), rand.New(rand.NewPCG(1, 2))
	if l.askAgain(rng) != nil || l.reuse(rng) != nil {
		t.Error("got a command from an empty ledger")
	}
	key := volume.Key{Project: "load", Name: "vol-00"}
	first := l.ask(0, commands.Request{ID: "c1", Key: key, Verb: volume.VerbCreate}, verify.Ordinary)
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
	l.ask(0, commands.Request{ID: "m1", Key: key}, verify.Malformed)
	want := Counts{Commands: 2, Answers: 2, Waiting: 2, Repeated: 1, Reused: 1}
	if got := l.Counts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if seen := l.sight(key, rng); seen.state != volume.StateAvailable {
		t.Errorf("got state %q", seen.state)
	}
}

func TestLedger_SnapshotToldAndDeleted_IsKnownBetween(t *testing.T) {
	l, rng := newLedger(), rand.New(rand.NewPCG(1, 2))
	key, other := volume.Key{Project: "load", Name: "vol-00"}, volume.Key{Project: "load", Name: "vol-01"}
	told := func(verb volume.Verb, outcome volume.Result) {
		request := commands.Request{Key: key, Verb: verb, Args: volume.Args{Snapshot: "monday"}}
		l.answered(l.ask(0, request, verify.Ordinary), commands.Reply{Outcome: outcome, State: volume.StateAvailable})
	}
	want := func(kept volume.SnapshotName, source volume.SnapshotKey) {
		t.Helper()
		if got := l.sight(key, rng); got.kept != kept || !got.source.IsZero() {
			t.Errorf("its own volume: got %+v, want %q kept and no source", got, kept)
		}
		if got := l.sight(other, rng); got.kept != "" || got.source != source {
			t.Errorf("another volume: got %+v, want source %q", got, source)
		}
		if got := l.sight(volume.Key{Project: "free", Name: "vol-00"}, rng); got.kept != "" || !got.source.IsZero() {
			t.Errorf("another project: got %+v, want nothing of this one", got)
		}
	}
	told(volume.VerbSnapshot, volume.Failed)
	want("", volume.SnapshotKey{})
	told(volume.VerbSnapshot, volume.Succeeded)
	want("monday", volume.SnapshotKey{Volume: "vol-00", Snapshot: "monday"})
	told(volume.VerbDeleteSnapshot, volume.Rejected)
	want("monday", volume.SnapshotKey{Volume: "vol-00", Snapshot: "monday"})
	told(volume.VerbDeleteSnapshot, volume.Succeeded)
	want("", volume.SnapshotKey{})
}

// What the workload means to be valid must get past the client's own checks.
func TestWorkload_EveryRequest_IsPublishable(t *testing.T) {
	w := &workload{rng: rand.New(rand.NewPCG(1, 2)), projects: []volume.Project{"load", "free"}, volumes: 48}
	of := map[volume.Project]bool{}
	seen := map[volume.Verb]bool{}
	clones := 0
	for range 2000 {
		known := sight{state: volume.States()[w.rng.IntN(len(volume.States()))]}
		if w.percent(50) {
			known.kept, known.source = "monday", volume.SnapshotKey{Volume: "vol-01", Snapshot: "friday"}
		}
		request := w.next(w.key(), known)
		if !request.Args.Source.IsZero() {
			clones++
		}
		of[request.Key.Project] = true
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
	if len(of) != len(w.projects) {
		t.Errorf("got volumes of %v, want of %v", of, w.projects)
	}
	if clones == 0 {
		t.Error("got no create of a clone")
	}
	if len(seen) != len(volume.Verbs()) {
		t.Errorf("got verbs %v, want all of %v", seen, volume.Verbs())
	}
}
