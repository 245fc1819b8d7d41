package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestBench_NATSServer_IsNoCommandForPeople: without settings it is refused; its exit codes are for
// the process that has started it, which tries another port at 3.
func TestBench_NATSServer_IsNoCommandForPeople(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	if got := jetvol(t, "bench", "nats-server"); got.code != exitUsage || !strings.Contains(got.stderr, "jetvol up") {
		t.Errorf("without settings: got %+v, want a usage error", got)
	}
	for settings, want := range map[string]int{
		"{": 1,
		fmt.Sprintf(`{"name":"n1","dir":%q,"listen":%q}`, t.TempDir(), taken.Addr()): 3,
	} {
		t.Setenv("JETVOL_NATSPROC", settings)
		if got := jetvol(t, "bench", "nats-server"); got.code != want {
			t.Errorf("settings %s: got %+v, want exit code %d", settings, got, want)
		}
	}
	if got := jetvol(t, "bench", "--help"); strings.Contains(got.stdout, "nats-server") {
		t.Errorf("help: got %s, want nothing of it", got.stdout)
	}
}
