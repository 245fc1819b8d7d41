package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// script starts a shell in the place of a worker.
func script(t *testing.T, text string) *process {
	t.Helper()
	p, err := startProcess("/bin/sh", "w", []string{"-c", text}, "a=b", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// Only a process that said where it was and died of SIGKILL has been killed at its point.
func TestProcess_AwaitKill(t *testing.T) {
	const said = `echo; echo "failpoint: ack c/1"; `
	for name, test := range map[string]struct{ script, want string }{
		"at the point":      {said + `kill -KILL $$`, ""},
		"at another point":  {`echo; echo "failpoint: ack c/12"; kill -KILL $$`, "killed elsewhere"},
		"without a word":    {`kill -KILL $$`, "killed elsewhere"},
		"by another signal": {said + `kill -TERM $$`, "ended otherwise"},
		"by itself":         {said + `exit 0`, "ended otherwise"},
	} {
		t.Run(name, func(t *testing.T) {
			err := script(t, test.script).awaitKill(t.Context(), "ack c/1")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestProcess_AwaitReady(t *testing.T) {
	p := script(t, `echo `+readyLine+` now; exec cat`)
	if err := p.awaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	if err := script(t, `exit 1`).awaitReady(t.Context()); err == nil {
		t.Error("got nil for a process that ended")
	}
}

func TestProcess_Drain_WantsAnOrderlyEnd(t *testing.T) {
	for code, text := range map[int]string{
		0: `trap 'exit 0' TERM; echo ` + readyLine + `; while :; do :; done`,
		1: `trap 'exit 1' TERM; echo ` + readyLine + `; while :; do :; done`,
	} {
		p := script(t, text)
		if err := p.awaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.drain(); (err == nil) != (code == 0) {
			t.Errorf("exit code %d: got %v", code, err)
		}
	}
}

func TestParseOptions_WrongFlags_AreUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-seeds", "0"},
		{"-parallel", "0"},
		{"-sample", "-1"},
		{"-points", "("},
		{"-columns", "("},
		{"-sabotage", "x"},
		{"-backend", "tape"},
		{"-update", "-backend", "ceph"},
		{"-update", "-sample", "3"},
		{"-update", "-points", "ack"},
		{"-update", "-sabotage", "no-reset"},
		{"extra"},
		{"-no-such-flag"},
	} {
		if _, err := parseOptions(args, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, want a usage error", args, err)
		}
	}
}
