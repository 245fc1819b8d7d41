package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/internal/verify"
)

// Bounds of what a process may take.
const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 45 * time.Second // more than its drain timeout
)

// Process is one process of the binary. Nothing ends it but its methods, itself, and on
// Linux the end of the program that started it, however that ends.
type Process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when the ready line was printed
	ended chan struct{} // closed when the process is gone and waited for
	err   error         // how it ended; written before ended is closed
}

// Start starts the binary. It is ready when it prints a line that begins with ready; log
// gets all its output. It returns the system's error if there is no process.
func Start(log io.Writer, ready, binary string, args ...string) (*Process, error) {
	p := &Process{ready: make(chan struct{}), ended: make(chan struct{})}
	output := &lockedWriter{to: log}
	p.cmd = exec.Command(binary, args...) //nolint:noctx // killed by hand only: when it dies is evidence
	p.cmd.Stdout = &readyWriter{to: output, prefix: []byte(ready), found: p.ready}
	p.cmd.Stderr = output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(p.cmd.SysProcAttr)
	started := make(chan error, 1)
	go p.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	return p, nil
}

// live starts the process and waits for its end. The kernel lets a child die with the
// thread that started it, so this one lives as long.
func (p *Process) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
		close(p.ended)
	}
}

// Pid returns the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Ready reports whether the process has ever been ready.
func (p *Process) Ready() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// AwaitReady returns nil once the process is ready, and an error if it ends, is
// too slow, or ctx ends first.
func (p *Process) AwaitReady(ctx context.Context) error {
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return p.endedByItself()
	case <-timer.C:
		return fmt.Errorf("jetvol process %d: not ready after %s", p.cmd.Process.Pid, readyTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Live returns after the given time, with an error if the process ends before or ctx does.
func (p *Process) Live(ctx context.Context, uptime time.Duration) error {
	timer := time.NewTimer(uptime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ended:
		return p.endedByItself()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Process) endedByItself() error {
	return fmt.Errorf("jetvol process %d ended by itself: %s", p.cmd.Process.Pid, p.cmd.ProcessState)
}

// Kill ends the process with SIGKILL and returns when that was. A process that has ended
// already is no error.
func (p *Process) Kill() (verify.Span, error) {
	asked := time.Now()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return verify.Span{}, fmt.Errorf("kill jetvol process %d: %w", p.cmd.Process.Pid, err)
	}
	<-p.ended
	return verify.Span{From: asked, To: time.Now()}, nil
}

// Pause stops the process with SIGSTOP where it stands, Resume lets it go on. A process
// that has ended already is no error.
func (p *Process) Pause() error { return p.signal("pause", syscall.SIGSTOP) }

// Resume ends a [Process.Pause].
func (p *Process) Resume() error { return p.signal("resume", syscall.SIGCONT) }

func (p *Process) signal(what string, signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s jetvol process %d: %w", what, p.cmd.Process.Pid, err)
	}
	return nil
}

// Stop asks the process to end and returns how it did: an error unless it drained in
// time and ended with code 0. In any case it is gone afterwards.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop jetvol process %d: %w", p.cmd.Process.Pid, err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_, err := p.Kill()
		return errors.Join(fmt.Errorf("jetvol process %d: still there %s after SIGTERM", p.cmd.Process.Pid, stopTimeout), err)
	}
	if p.err != nil {
		return fmt.Errorf("jetvol process %d: end after SIGTERM: %w", p.cmd.Process.Pid, p.err)
	}
	return nil
}

// readyWriter passes output on and closes found at the line that begins with prefix.
type readyWriter struct {
	to     io.Writer
	prefix []byte
	found  chan struct{}
	line   []byte // the unfinished last line
	seen   bool
}

// Write looks for the ready line, which may come in pieces.
func (w *readyWriter) Write(data []byte) (int, error) {
	w.line = append(w.line, data...)
	for {
		end := bytes.IndexByte(w.line, '\n')
		if end < 0 {
			break
		}
		if !w.seen && bytes.HasPrefix(w.line[:end], w.prefix) {
			w.seen = true
			close(w.found)
		}
		w.line = w.line[end+1:]
	}
	return w.to.Write(data)
}

// lockedWriter is for the two streams of a process that go to one file.
type lockedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

// Write passes output on.
func (w *lockedWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(data)
}
