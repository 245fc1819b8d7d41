package acceptance

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests. Nothing is ever waited for that long unless
// it does not come at all.
const patience = 30 * time.Second

// program is a running shell command.
type program struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // of its end; to be read after done

	mu      sync.Mutex
	out     bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next write to out
}

// startProgram starts a shell command in the server's working directory. It ends at the
// latest with the test.
func startProgram(t testing.TB, s *server, url, command string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, "sh", "-c", command)
	p.cmd.Dir, p.cmd.Env = s.workDir, environment(s.workDir, url)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // sh's children end with it
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// Write takes what the program prints.
func (p *program) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.out.Write(data)
}

func (p *program) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// until returns what the program has printed once that is enough, when it has ended, or
// when patience has.
func (p *program) until(enough func(string) bool) string {
	late := time.After(patience)
	for {
		p.mu.Lock()
		printed, changed := p.out.String(), p.changed
		p.mu.Unlock()
		if enough(printed) {
			return printed
		}
		select {
		case <-changed:
		case <-p.done:
			return p.printed()
		case <-late:
			return p.printed()
		}
	}
}

// end waits until the program has ended and returns all that it printed. A program that
// takes longer than patience is killed, which is an error.
func (p *program) end() (string, error) {
	late := time.AfterFunc(patience, p.cancel)
	defer late.Stop()
	<-p.done
	return p.printed(), p.err
}

func (p *program) kill() {
	p.cancel()
	<-p.done
}
