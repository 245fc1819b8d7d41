package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
)

func TestNodeGone_BackendCannotFence_FailsNamingTheRemedy(t *testing.T) {
	server := natstest.Start(t)
	jetvol(t, "-s", server.URL(), "provision").want(t, exitSucceeded)
	// Over several workers the null backend has no memory, and cannot evict.
	p := begin(t, "-s", server.URL(), "worker", "--backend", "null", "--dir", t.TempDir())
	p.awaitLine(t, "ready")
	jetvol(t, "-s", server.URL(), "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	jetvol(t, "-s", server.URL(), "volume", "attach", "db-01", "--node", "node-1").want(t, exitSucceeded)
	end := jetvol(t, "-s", server.URL(), "node", "gone", "node-1", "--reason", "lost power", "--yes")
	end.want(t, exitFailed, "rejected backend_unsupported", "failed: node node-1 still holds 1 volumes", "detach the volume")
}

// What is cut off goes on with the same id, and is done once.
func TestNodeGone_GaveUpWaiting_GoesOnWithTheSameID(t *testing.T) {
	_, url := up(t, "--dir", t.TempDir(), "--backend", "null", "--null-latency", "1s")
	t.Setenv("NATS_URL", url)
	jetvol(t, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	jetvol(t, "volume", "attach", "db-01", "--node", "node-1").want(t, exitSucceeded)
	gone := []string{"node", "gone", "node-1", "--reason", "lost power", "--id", "outage-7", "--yes"}
	jetvol(t, append(gone, "--wait", "300ms")...).want(t, exitPending, "to go on: --id outage-7", "pending: command outage-7/1/")
	end := jetvol(t, append(gone, "--json")...)
	end.want(t, exitSucceeded)
	for line := range strings.Lines(end.stdout) {
		var reply commands.Reply
		if err := json.Unmarshal([]byte(line), &reply); err != nil || reply.Generation != 6 || reply.State != volume.StateAvailable {
			t.Errorf("got %s (%v), want the answer to the first command", line, err)
		}
	}
	jetvol(t, "node", "list").want(t, exitSucceeded, "NODE")
}

// A script that reads only the answers would take the node for done with.
func TestNodeGone_JSON_DoubtfulVolumesAreTold(t *testing.T) {
	dir := t.TempDir()
	_, url := up(t, "--dir", dir)
	t.Setenv("NATS_URL", url)
	jetvol(t, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded)
	files, err := filepath.Glob(filepath.Join(dir, "volumes", "default.db-01*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of db-01: got %v and %v", files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	jetvol(t, "volume", "attach", "db-01", "--node", "node-1").want(t, exitFailed)
	end := jetvol(t, "node", "gone", "node-1", "--reason", "lost power", "--yes", "--json")
	if !strings.Contains(end.stderr, "default.db-01") {
		t.Errorf("stderr: got %q, want the volume in error named", end.stderr)
	}
}

func TestNode_NoServerOrBucket_Unavailable(t *testing.T) {
	server := natstest.Start(t)
	for name, args := range map[string][]string{
		"list, no server": {"-s", deadServer, "node", "list"},
		"list, no bucket": {"-s", server.URL(), "--timeout", "100ms", "node", "list"},
		"gone, no server": {"-s", deadServer, "node", "gone", "n1", "--reason", "x", "--yes"},
		"gone, no bucket": {"-s", server.URL(), "--timeout", "100ms", "node", "gone", "n1", "--reason", "x", "--yes"},
	} {
		t.Run(name, func(t *testing.T) { jetvol(t, args...).want(t, exitUnavailable, "unavailable: ") })
	}
}

func TestExitCode_NodeStillHolds_Failed(t *testing.T) {
	err := &nodes.HeldError{Node: "n1", Held: []nodes.Holding{{Key: volume.Key{Project: "p", Name: "v"}}}}
	if got := exitCode(err); got != exitFailed {
		t.Errorf("got %d, want %d", got, exitFailed)
	}
}
