package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Lines that a worker's process prints.
const (
	readyLine     = "jetvol worker ready:"
	failpointLine = "failpoint: "
)

// Bounds of what a process may take; the machine may be slow.
const (
	readyTimeout = 30 * time.Second
	deathTimeout = 30 * time.Second
	drainTimeout = 45 * time.Second
)

// process is one `jetvol worker`.
type process struct {
	id    string
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when it is gone and waited for
}

// output keeps what a process prints.
type output struct {
	mu    sync.Mutex // guards the rest
	text  bytes.Buffer
	ready chan struct{} // closed at the ready line
	seen  bool
	log   io.Writer
}

// Write keeps data and looks for the ready line.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(data)
	if !o.seen && strings.Contains(o.text.String(), readyLine) {
		o.seen = true
		close(o.ready)
	}
	return o.log.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startProcess starts a worker; failpoints is empty or what its environment arms.
func startProcess(binary, id string, args []string, failpoints string, log io.Writer) (*process, error) {
	p := &process{id: id, out: &output{ready: make(chan struct{}), log: log}, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, args...) //nolint:noctx // ended by hand only: how it dies is what is checked
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), "GOFAIL_FAILPOINTS="+failpoints)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start worker %s: %w", id, err)
	}
	go func() {
		_ = p.cmd.Wait() // the state tells how it ended
		close(p.ended)
	}()
	return p, nil
}

func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-p.out.ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("worker %s ended before it was ready: %s", p.id, p.cmd.ProcessState)
	case <-ctx.Done():
		return fmt.Errorf("worker %s: not ready: %w", p.id, ctx.Err())
	}
}

// errAlive says that a failpoint was not reached.
var errAlive = errors.New("did not die: the point was not reached")

// awaitKill waits until the process has killed itself at the failpoint armed with fact.
func (p *process) awaitKill(ctx context.Context, fact string) error {
	ctx, cancel := context.WithTimeout(ctx, deathTimeout)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("worker %s armed with %q: %w: %w", p.id, fact, errAlive, ctx.Err())
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("worker %s armed with %q: ended otherwise: %s", p.id, fact, p.cmd.ProcessState)
	}
	if !strings.Contains(p.out.String(), "\n"+failpointLine+fact+"\n") {
		return fmt.Errorf("worker %s armed with %q: killed elsewhere", p.id, fact)
	}
	return nil
}

func (p *process) askToEnd() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("worker %s: %w", p.id, err)
	}
	return nil
}

// drain asks the process to end and returns an error unless it does so in order.
func (p *process) drain() error {
	if err := p.askToEnd(); err != nil {
		return err
	}
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		return fmt.Errorf("worker %s: still there %s after SIGTERM", p.id, drainTimeout)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("worker %s: end after SIGTERM: %s", p.id, p.cmd.ProcessState)
	}
	return nil
}

// end makes sure that the process is gone.
func (p *process) end() {
	_ = p.cmd.Process.Kill() // it may have ended long ago
	<-p.ended
}
