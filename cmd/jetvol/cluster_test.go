package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/internal/provision"
)

// A worker and its cluster are started together, and a server goes while both work.
func TestWorker_Cluster_ReplicatesAndOutlivesALeader(t *testing.T) {
	cluster := natstest.StartLeaderless(t, 3)
	servers := strings.Join(cluster.URLs(), ",")
	p := begin(t, "worker", "-s", servers, "--dir", filepath.Join(t.TempDir(), "data"), "--id", "w1", "--replicas", "3")
	p.awaitLine(t, "jetvol worker ready: ")
	js := cluster.JetStream(t)
	for _, config := range provision.Configs(provision.Options{Replicas: 3}) {
		stream, err := js.Stream(t.Context(), config.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Replicas; got != 3 {
			t.Errorf("stream %s: got %d replicas, want 3", config.Name, got)
		}
	}
	jetvol(t, "-s", servers, "volume", "create", "db-01", "--size", "1MiB").want(t, exitSucceeded, "available")
	cluster.AwaitCurrent(t)
	stopped := cluster.StopLeader(t, commands.StreamName)
	jetvol(t, "-s", servers, "volume", "attach", "db-01", "--node", "n1").want(t, exitSucceeded, "attached")
	cluster.Restart(t, stopped)
	jetvol(t, "-s", servers, "volume", "detach", "db-01").want(t, exitSucceeded, "available")
	jetvol(t, "provision", "-s", servers, "--replicas", "3").want(t, exitSucceeded, "existing  VOLUME_COMMANDS")
	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
}
