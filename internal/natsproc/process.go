package natsproc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jetvol/jetvol/internal/embednats"
)

// stopTimeout is how long [Process.Stop] waits before it kills.
const stopTimeout = shutdownTimeout + 5*time.Second

// errNotRunning is the cause of a signal that could not be sent.
var errNotRunning = errors.New("not running")

// Options say how to run servers. Dir is required.
type Options struct {
	// Dir holds what the server stores. Each server of a cluster has a directory of its
	// own in it, named as the server is.
	Dir string
	// Log gets what servers write on standard error: JSON lines with their warnings and
	// errors. Nil discards them. One write is one or more whole lines.
	Log io.Writer
	// SyncAlways is [embednats.Options.SyncAlways].
	SyncAlways bool
	// Args are the arguments with which the calling program comes to call [Main]. None are
	// needed if it does so before it reads any.
	Args []string
}

// Process is a server that has an address and a directory, and a process while it runs.
// Its methods may be called concurrently; Start and the ways to end it wait for each other.
type Process struct {
	settings settings
	args     []string // of the program
	log      io.Writer

	mu   sync.Mutex // held over each change from running to not running and back
	life *life      // nil if not running
}

// life is one process from its start to its end.
type life struct {
	process *os.Process
	ended   chan struct{}
	err     error // how it ended; written before ended is closed
}

// Start starts one server that stands alone, on a free port. See [Process.Start] for the
// errors.
func Start(ctx context.Context, o Options) (*Process, error) {
	addresses, err := embednats.FreeAddresses(ctx, 1)
	if err != nil {
		return nil, err
	}
	p := &Process{
		settings: settings{Name: "n1", Dir: o.Dir, Listen: addresses[0], SyncAlways: o.SyncAlways},
		args:     o.Args,
		log:      lineWriter(o.Log),
	}
	return p, p.Start(ctx)
}

// Name returns how the server calls itself: "n1", "n2", "n3".
func (p *Process) Name() string { return p.settings.Name }

// URL returns the server's address, which stays the same for good.
func (p *Process) URL() string { return "nats://" + p.settings.Listen }

// Pid returns the process's number, 0 if it is not running.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.life.process.Pid
}

// running needs p.mu.
func (p *Process) running() bool {
	if p.life == nil {
		return false
	}
	select {
	case <-p.life.ended:
		return false
	default:
		return true
	}
}

// Start starts the server, again on the same directory and address if it ran before, and
// returns when clients can connect to it; a cluster may not have a leader yet. It does
// nothing if the server runs. It returns [embednats.ErrAddressInUse] if another process
// has the address, ctx's cause if that ends first, or how the process ended; then no
// process is left.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil
	}
	if err := p.start(ctx); err != nil {
		return fmt.Errorf("start server %s in %s: %w", p.settings.Name, p.settings.Dir, err)
	}
	return nil
}

func (p *Process) start(ctx context.Context) error {
	command, err := p.command()
	if err != nil {
		return err
	}
	if _, err := command.StdinPipe(); err != nil { // held open until the process was waited for
		return err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	l := &life{ended: make(chan struct{})}
	started, read := make(chan error, 1), make(chan struct{})
	go l.run(command, started, read)
	if err := <-started; err != nil {
		return err
	}
	p.life = l
	ready := make(chan bool, 1)
	go func() {
		defer close(read)
		ready <- awaitLine(stdout)
	}()
	select {
	case ok := <-ready:
		if ok {
			return nil
		}
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), p.kill())
	}
	<-l.ended
	if exit, ok := errors.AsType[*exec.ExitError](l.err); ok && exit.ExitCode() == exitAddressInUse {
		return fmt.Errorf("%s: %w", p.settings.Listen, embednats.ErrAddressInUse)
	}
	return fmt.Errorf("it ended before it was ready: %w", l.err)
}

// command returns this program as a server.
func (p *Process) command() (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p.settings)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, p.args...) //nolint:noctx // ended by hand only: when it dies is evidence
	command.Env = append(os.Environ(), settingsVariable+"="+string(text))
	command.Stderr = p.log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the program alone
	dieWithParent(command.SysProcAttr)
	return command, nil
}

// run starts the process and waits for its end, after its output was read. The kernel
// lets a child die with the thread that started it, so this one lives as long.
func (l *life) run(command *exec.Cmd, started chan<- error, read <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := command.Start()
	l.process = command.Process
	started <- err
	if err != nil {
		return
	}
	<-read
	l.err = command.Wait()
	close(l.ended)
}

// awaitLine reads until the ready line and reports whether it came.
func awaitLine(stdout io.Reader) bool {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), readyPrefix) {
			return true
		}
	}
	return false
}

// Kill ends the process with SIGKILL, also a paused one, and returns when it is gone. It
// does nothing if the server is not running.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kill()
}

func (p *Process) kill() error {
	if !p.running() {
		return nil
	}
	if err := p.life.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill server %s: %w", p.settings.Name, err)
	}
	<-p.life.ended
	return nil
}

// Stop ends the process with SIGTERM, resuming a paused one, and returns when it is gone.
// It returns an error, and has killed it, if the server did not stop in order and in
// time. It does nothing if the server is not running.
func (p *Process) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil
	}
	for _, signal := range []syscall.Signal{syscall.SIGCONT, syscall.SIGTERM} {
		if err := p.signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return errors.Join(err, p.kill())
		}
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.life.ended:
	case <-timer.C:
		return errors.Join(fmt.Errorf("stop server %s: still there after %s", p.settings.Name, stopTimeout), p.kill())
	}
	if p.life.err != nil {
		return fmt.Errorf("stop server %s: %w", p.settings.Name, p.life.err)
	}
	return nil
}

// Pause stops the process with SIGSTOP: it keeps its connections and says nothing. It
// returns an error if the server is not running.
func (p *Process) Pause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signal(syscall.SIGSTOP)
}

// Resume lets a paused process go on, with SIGCONT.
func (p *Process) Resume() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signal(syscall.SIGCONT)
}

func (p *Process) signal(signal syscall.Signal) error {
	err := errNotRunning
	if p.running() {
		err = p.life.process.Signal(signal)
	}
	if err != nil {
		return fmt.Errorf("signal %s to server %s: %w", signal, p.settings.Name, err)
	}
	return nil
}
