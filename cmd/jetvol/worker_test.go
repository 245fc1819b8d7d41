package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
)

func TestWorker_ExistingServer_CarriesOutCommands(t *testing.T) {
	server := natstest.Start(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := begin(t, "worker", "-s", server.URL(), "--dir", dir, "--id", "w1", "--replicas", "1")
	line := p.awaitLine(t, "jetvol worker ready: ")
	if want := "jetvol worker ready: " + server.URL() + " (backend local, worker w1)"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
	jetvol(t, "-s", server.URL(), "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded, "available")
	jetvol(t, "-s", server.URL(), "events").want(t, exitSucceeded, "ready")

	// It outlives the server.
	server.Restart(t)
	jetvol(t, "-s", server.URL(), "volume", "attach", "db-01", "--node", "n1").want(t, exitSucceeded, "attached")
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	p.awaitLine(t, "jetvol stopped: drained")
	if log := p.stderr.String(); !strings.Contains(log, `"message":"worker ready"`) {
		t.Errorf("log: got %q, want JSON from level info on", log)
	}
}

func TestWorker_NoProvision_NeedsTheStreams(t *testing.T) {
	server := natstest.Start(t)
	args := []string{"worker", "-s", server.URL(), "--dir", t.TempDir(), "--no-provision"}
	jetvol(t, args...).want(t, exitUnavailable, "VOLUME_COMMANDS", "`jetvol provision`")
	jetvol(t, "provision", "-s", server.URL()).want(t, exitSucceeded, "created   VOLUME_COMMANDS")
	p := begin(t, args...)
	p.awaitLine(t, "jetvol worker ready: ")
}

func TestWorker_NoServer_Unavailable(t *testing.T) {
	jetvol(t, "worker", "-s", deadServer, "--dir", t.TempDir()).want(t, exitUnavailable, deadServer)
}
