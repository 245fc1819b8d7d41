package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// TestMain keeps the settings of whoever runs the tests away from them.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "NATS_") {
			os.Unsetenv(name)
		}
	}
	config, err := os.MkdirTemp("", "jetvol-config")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CONFIG_HOME", config)
	// A server of NATS 2.15.2 that is ended while it makes a stream leaves that stream's loop
	// behind, and nothing else.
	left := goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop")
	goleak.VerifyTestMain(m, left, goleak.Cleanup(func(code int) {
		os.RemoveAll(config)
		os.Exit(code)
	}))
}

// ended is what a finished command line leaves.
type ended struct {
	stdout, stderr string
	code           int
}

// jetvol carries out one command line as main does.
func jetvol(t *testing.T, args ...string) ended {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return jetvolContext(ctx, args...)
}

func jetvolContext(ctx context.Context, args ...string) ended {
	var stdout, stderr bytes.Buffer
	err := run(ctx, args, &stdout, &stderr)
	if err != nil {
		fmt.Fprintln(&stderr, describe(err))
	}
	return ended{stdout.String(), stderr.String(), exitCode(err)}
}

// want fails the test unless the command line ended with the code and said all of that.
func (e ended) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit code: got %d, want %d", e.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(e.stdout+e.stderr, text) {
			t.Errorf("output: want it to hold %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", e.stdout, e.stderr)
	}
}

// screen collects what a command line prints while it runs.
type screen struct {
	mu      sync.Mutex // guards both below
	text    bytes.Buffer
	changed chan struct{} // closed and replaced at each change
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(data)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns the first whole line that holds the text, once it is there.
func (s *screen) await(ctx context.Context, text string) (string, error) {
	for {
		s.mu.Lock()
		shown, changed := s.text.String(), s.changed
		s.mu.Unlock()
		for line := range strings.Lines(shown) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n"), nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("waited for %q, got:\n%s", text, shown)
		}
	}
}

// process is a command line that runs until it is stopped.
type process struct {
	stdout, stderr *screen
	interrupt      context.CancelFunc
	done           chan struct{} // closed at the end
	err            error         // valid then
}

// begin starts a command line and interrupts it at the latest when the test ends.
func begin(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &process{stdout: newScreen(), stderr: newScreen(), interrupt: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = run(ctx, args, p.stdout, p.stderr)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// awaitLine returns the line on stdout that holds the text.
func (p *process) awaitLine(t *testing.T, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	line, err := p.stdout.await(ctx, text)
	if err != nil {
		t.Fatalf("%v\nstderr:\n%s", err, p.stderr)
	}
	return line
}

// end waits until the command line has ended by itself.
func (p *process) end(t *testing.T) error {
	t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		t.Fatalf("still running, stdout:\n%s\nstderr:\n%s", p.stdout, p.stderr)
		return nil
	}
}

// stop interrupts the command line and waits for its end.
func (p *process) stop(t *testing.T) error {
	t.Helper()
	p.interrupt()
	return p.end(t)
}

// up runs `jetvol up` on a free port and returns it with its URL once it is ready.
func up(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	p := begin(t, append([]string{"up", "--listen", "127.0.0.1:0"}, args...)...)
	line := p.awaitLine(t, "jetvol ready: ")
	return p, strings.Fields(line)[2]
}
