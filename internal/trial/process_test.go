package trial

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

const readyLine = "jetvol ready:"

func TestReadyWriter_LineInPieces_IsFoundOnce(t *testing.T) {
	var output bytes.Buffer
	w := &readyWriter{to: &output, prefix: []byte(readyLine), found: make(chan struct{})}
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

func TestProcess_EndsByItself_IsNoticed(t *testing.T) {
	p, err := Start(io.Discard, readyLine, "/bin/sh", "-c", "echo jetvol ready: now; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Live(t.Context(), time.Minute); err == nil {
		t.Error("got nil for a process that ended by itself")
	}
	if err := p.AwaitReady(t.Context()); err == nil {
		<-p.ready // both are true: either may be told
	}
	if _, err := p.Kill(); err != nil {
		t.Errorf("kill of an ended process: %v", err)
	}
}

func TestProcess_Stop_TellsTheExitCode(t *testing.T) {
	for code, script := range map[int]string{
		0: `trap 'exit 0' TERM; echo jetvol ready: now; while :; do :; done`,
		1: `trap 'exit 1' TERM; echo jetvol ready: now; while :; do :; done`,
	} {
		p, err := Start(io.Discard, readyLine, "/bin/sh", "-c", script)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = p.Kill() })
		if err := p.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); (err == nil) != (code == 0) {
			t.Errorf("exit code %d: got %v", code, err)
		}
	}
}

func TestProcess_Paused_DoesNothingUntilResumed(t *testing.T) {
	p, err := Start(io.Discard, readyLine, "/bin/sh", "-c", `trap 'exit 0' TERM; echo jetvol ready: now; while :; do :; done`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.Kill() })
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Pause(), p.signal("stop", syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if err := p.Live(t.Context(), 100*time.Millisecond); err != nil {
		t.Errorf("paused: %v", err)
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if err := errors.Join(p.Pause(), p.Resume()); err != nil {
		t.Errorf("of an ended process: %v", err)
	}
}
