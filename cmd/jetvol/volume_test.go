package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// deadServer is where nobody listens: a port that only root could open.
const deadServer = "nats://127.0.0.1:1"

func TestVolume_BackendFails_ExitCodeFailed(t *testing.T) {
	dir := t.TempDir()
	plantLink(t, dir, "db-01")
	_, url := up(t, "--dir", dir)
	end := jetvol(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB")
	end.want(t, exitFailed, "error ", "attempt 1", "failed: backend_failed_precondition: ")
	jetvol(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB", "--json").want(t, exitRejected, `"outcome":"rejected"`)
	jetvol(t, "-s", url, "volume", "get", "db-01").want(t, exitSucceeded, "state       error")
}

func TestVolume_GaveUpWaiting_PendingAndAskedAgain(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "1s")
	create := []string{"-s", url, "volume", "create", "db-01", "--size", "1MiB", "--id", "order-4711"}
	jetvol(t, append(create, "--wait", "200ms")...).want(t, exitPending, "pending: command order-4711", "may still be carried out")
	jetvol(t, append(create, "--wait", "0")...).want(t, exitSucceeded, "available")
}

func TestVolume_Interrupted_Pending(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "1s")
	p := begin(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB")
	p.awaitLine(t, "creating")
	if err := p.stop(t); exitCode(err) != exitPending {
		t.Errorf("got %v, want a pending command", err)
	}
}

func TestVolume_Cancel_EndsTheRunningCommand(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "2s")
	p := begin(t, "-s", url, "volume", "create", "db-01", "--size", "1MiB", "--id", "order-4711")
	p.awaitLine(t, "creating")
	jetvol(t, "-s", url, "volume", "cancel", "db-01", "--command", "order-4711").want(t, exitSucceeded)
	err := p.end(t)
	if !errors.Is(err, volume.ErrCancelled) || exitCode(err) != exitFailed {
		t.Errorf("got %v, want a cancelled command", err)
	}
}

func TestVolume_NoServerOrStream_Unavailable(t *testing.T) {
	server := natstest.Start(t)
	for name, args := range map[string][]string{
		"no server":          {"-s", deadServer, "volume", "delete", "db-01"},
		"no stream":          {"-s", server.URL(), "--timeout", "100ms", "volume", "delete", "db-01"},
		"no stream, no wait": {"-s", server.URL(), "--timeout", "100ms", "volume", "delete", "db-01", "--no-wait"},
		// Long enough for one refusal to be heard on a busy machine, and shorter than --timeout.
		"no time":                {"-s", server.URL(), "volume", "delete", "db-01", "--wait", "1s"},
		"no bucket to get":       {"-s", server.URL(), "--timeout", "100ms", "volume", "get", "db-01"},
		"no bucket to list":      {"-s", server.URL(), "--timeout", "100ms", "volume", "list"},
		"no bucket of snapshots": {"-s", server.URL(), "--timeout", "100ms", "snapshot", "get", "db-01@monday"},
		"no bucket to walk":      {"-s", server.URL(), "--timeout", "100ms", "snapshot", "list"},
		"no bucket to draw":      {"-s", server.URL(), "--timeout", "100ms", "snapshot", "tree", "db-01"},
		"no bucket to change":    {"-s", server.URL(), "--timeout", "100ms", "snapshot", "label", "db-01@monday", "a=b"},
		"no stream of events":    {"-s", server.URL(), "--timeout", "100ms", "events"},
	} {
		t.Run(name, func(t *testing.T) {
			jetvol(t, args...).want(t, exitUnavailable, "unavailable: ")
		})
	}
}

func TestVolume_NoWait_StoresTheCommand(t *testing.T) {
	server := natstest.Start(t)
	t.Setenv("NATS_URL", server.URL())
	jetvol(t, "provision").want(t, exitSucceeded)
	end := jetvol(t, "volume", "create", "db-01", "--size", "1MiB", "--no-wait", "--id", "c1")
	end.want(t, exitSucceeded)
	if want := "command c1 stored at sequence 1\n"; end.stdout != want {
		t.Errorf("got %q, want %q", end.stdout, want)
	}
	end = jetvol(t, "volume", "delete", "db-01", "--no-wait", "--json", "--id", "c2")
	if want := `{"command_id":"c2","sequence":2,"duplicate":false}` + "\n"; end.stdout != want {
		t.Errorf("got %q, want %q", end.stdout, want)
	}

	// A worker that comes later finds it, with everything that was said.
	p := begin(t, "worker", "--dir", t.TempDir())
	p.awaitLine(t, "ready")
	end = jetvol(t, "volume", "create", "db-02", "--size", "1MiB", "--actor", "tester", "--json")
	var reply commands.Reply
	if err := json.Unmarshal([]byte(end.stdout), &reply); err != nil || reply.State != volume.StateAvailable {
		t.Errorf("got %s (%v), want a reply", end.stdout, err)
	}
	jetvol(t, "events", "--volume", "db-02", "--last").want(t, exitSucceeded, "by tester")
	jetvol(t, "volume", "delete", "db-01", "--id", "c2").want(t, exitSucceeded, "default.db-01 deleted (generation 4") // asked again
}

func TestVolume_Create_FileHasTheSize(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir, "--local-journal", filepath.Join(dir, "journal"))
	jetvol(t, "volume", "create", "db-01", "--size", "64MiB", "-s", url, "-p", "billing").want(t, exitSucceeded, "billing.db-01 available")
	info, err := os.Stat(filepath.Join(dir, volumesDir, "billing.db-01.img"))
	if err != nil || info.Size() != int64(64*volume.MiB) {
		t.Errorf("got %v (%v), want a file of 64MiB", info, err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil || !strings.Contains(string(journal), `"change":"create"`) {
		t.Errorf("got %s (%v), want the journal of a create", journal, err)
	}
}

func TestVerbs_EveryVerb_HasASubcommand(t *testing.T) {
	var have []volume.Verb
	for _, spec := range slices.Concat(verbSpecs(), snapshotSpecs()) {
		have = append(have, spec.verb)
	}
	for _, verb := range volume.Verbs() {
		if !slices.Contains(have, verb) {
			t.Errorf("verb %s: got no subcommand", verb)
		}
	}
}

func TestExitCode_Errors_AsDocumented(t *testing.T) {
	reply := func(outcome volume.Result) error {
		return &outcomeError{commands.Reply{Outcome: outcome, Failure: &volume.Failure{
			Code: volume.ErrBackendUnavailable, Class: volume.Unavailable, Message: "backend down: backend_unavailable",
		}}}
	}
	for _, test := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"failure", errors.New("odd"), exitFailed, "failed: odd"},
		{"failed, though the backend is what is unavailable", reply(volume.Failed), exitFailed, "failed: backend_unavailable: backend down"},
		{"rejected", reply(volume.Rejected), exitRejected, "rejected: backend_unavailable: backend down"},
		{"rejected, with what is in the way", &outcomeError{commands.Reply{Outcome: volume.Rejected, Failure: &volume.Failure{
			Code: volume.ErrHasSnapshots, Class: volume.FailedPrecondition, Message: "it has 2 snapshots",
			BlockedBy: []volume.Blocker{{Kind: volume.BlockedBySnapshot, Name: "monday"}, {Kind: "omen", Name: "a\x1b[2Jb"}},
		}}}, exitRejected, "rejected: has_snapshots: it has 2 snapshots\n  blocked by snapshot monday\n  blocked by omen a?[2Jb"},
		{"outcome of a newer worker", &outcomeError{commands.Reply{Outcome: "postponed"}}, exitFailed, `postponed: internal: command  to volume .: "postponed" without a reason`},
		{"pending", &commands.PendingError{CommandID: "c1", Key: volume.Key{Project: "p", Name: "v"}, Cause: volume.Unavailable}, exitPending, "pending: command c1 to volume p.v: may still be carried out: unavailable"},
		{"unavailable", volume.Unavailable, exitUnavailable, "unavailable: unavailable"},
		{"usage", &usageError{cause: errors.New("odd"), command: "jetvol up"}, exitUsage, "usage: odd\nrun 'jetvol up --help' for what it takes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := exitCode(test.err); got != test.code {
				t.Errorf("code: got %d, want %d", got, test.code)
			}
			if got := describe(test.err); got != test.text {
				t.Errorf("text: got %q, want %q", got, test.text)
			}
		})
	}
	if got := exitCode(nil); got != exitSucceeded {
		t.Errorf("no error: got %d, want %d", got, exitSucceeded)
	}
}
