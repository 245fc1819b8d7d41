//go:build ceph

package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/internal/cephproc"
	"github.com/jetvol/jetvol/internal/cephtest"
)

func TestRun_Life(t *testing.T) {
	dir := cephtest.StartOwn(t).Dir()
	conf := filepath.Join(dir, "ceph.conf")
	expect(t, conf+"\n", "up", dir)
	for _, args := range []string{"freeze mon", "resume mon", "kill osd", "start osd", "stop mgr", "stop", "start"} {
		command, daemon, one := strings.Cut(args, " ")
		if one {
			expect(t, "", command, dir, daemon)
		} else {
			expect(t, "", command, dir)
		}
	}
	output := call(t, "status", dir)
	for _, want := range []string{"mon up pid ", "mgr up pid ", "osd up pid ", "conf " + conf, "pool volumes answers"} {
		if !strings.Contains(output, want) {
			t.Errorf("status: got %q, want %q in it", output, want)
		}
	}
	expect(t, "", "down", dir)
	expect(t, "", "down", dir)
	if err := run([]string{"status", dir}, t.Output()); !errors.Is(err, cephproc.ErrNoCluster) {
		t.Errorf("status after down: got %v, want %v", err, cephproc.ErrNoCluster)
	}
}

func TestRun_Nonsense_Usage(t *testing.T) {
	cluster := cephtest.StartOwn(t)
	for _, args := range [][]string{nil, {"up"}, {"sideways", "x"}, {"up", "a", "mon", "b"}, {"up", cluster.Dir(), "mon"}} {
		if err := run(args, t.Output()); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want the usage", args, err)
		}
	}
	if err := run([]string{"kill", cluster.Dir(), "mds"}, t.Output()); err == nil {
		t.Error("killed an unknown daemon")
	}
}

func call(t *testing.T, args ...string) string {
	t.Helper()
	var stdout bytes.Buffer
	if err := run(args, &stdout); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return stdout.String()
}

func expect(t *testing.T, want string, args ...string) {
	t.Helper()
	if got := call(t, args...); got != want {
		t.Errorf("%q: got %q, want %q", args, got, want)
	}
}
