package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// readyPrefix begins the line that `jetvol up` prints when it takes commands.
const readyPrefix = "jetvol ready:"

// Bounds of what a server may take.
const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 45 * time.Second // more than its drain timeout
)

// server is one process of `jetvol up`.
type server struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when the ready line was printed
	ended chan struct{} // closed when the process is gone and waited for
	err   error         // how it ended; written before ended is closed
}

// startServer starts the binary; log gets all its output. It returns the system's error
// if there is no process.
func startServer(binary string, args []string, log io.Writer) (*server, error) {
	s := &server{ready: make(chan struct{}), ended: make(chan struct{})}
	output := &lockedWriter{to: log}
	s.cmd = exec.Command(binary, args...) //nolint:noctx // killed by hand only: when it dies is evidence
	s.cmd.Stdout = &readyWriter{to: output, found: s.ready}
	s.cmd.Stderr = output
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	return s, nil
}

// awaitReady returns nil once the server takes commands, and an error if it ends, is
// too slow, or ctx ends first.
func (s *server) awaitReady(ctx context.Context) error {
	timer := time.NewTimer(readyTimeout)
	defer timer.Stop()
	select {
	case <-s.ready:
		return nil
	case <-s.ended:
		return s.endedByItself()
	case <-timer.C:
		return fmt.Errorf("jetvol process %d: not ready after %s", s.cmd.Process.Pid, readyTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// live returns after the given time, with an error if the server ends before or ctx does.
func (s *server) live(ctx context.Context, uptime time.Duration) error {
	timer := time.NewTimer(uptime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ended:
		return s.endedByItself()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *server) endedByItself() error {
	return fmt.Errorf("jetvol process %d ended by itself: %s", s.cmd.Process.Pid, s.cmd.ProcessState)
}

// kill ends the process with SIGKILL and returns when it was found dead. A process that
// has ended already is no error.
func (s *server) kill() (time.Time, error) {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return time.Time{}, fmt.Errorf("kill jetvol process %d: %w", s.cmd.Process.Pid, err)
	}
	<-s.ended
	return time.Now(), nil
}

// stop asks the process to end and returns how it did: an error unless it drained in
// time and ended with code 0. In any case it is gone afterwards.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop jetvol process %d: %w", s.cmd.Process.Pid, err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_, err := s.kill()
		return errors.Join(fmt.Errorf("jetvol process %d: still there %s after SIGTERM", s.cmd.Process.Pid, stopTimeout), err)
	}
	if s.err != nil {
		return fmt.Errorf("jetvol process %d: end after SIGTERM: %w", s.cmd.Process.Pid, s.err)
	}
	return nil
}

// readyWriter passes output on and closes found at the ready line.
type readyWriter struct {
	to    io.Writer
	found chan struct{}
	line  []byte // the unfinished last line
	seen  bool
}

// Write looks for the ready line, which may come in pieces.
func (w *readyWriter) Write(data []byte) (int, error) {
	w.line = append(w.line, data...)
	for {
		end := bytes.IndexByte(w.line, '\n')
		if end < 0 {
			break
		}
		if !w.seen && bytes.HasPrefix(w.line[:end], []byte(readyPrefix)) {
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
