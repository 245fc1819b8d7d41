//go:build ceph

package ceph

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ceph/go-ceph/rados"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// childVariable makes this test binary a child process; its value is the kind of child,
// and the arguments follow in os.Args.
const childVariable = "JETVOL_CEPH_CHILD"

var children = map[string]func(args []string) error{
	"idle": idleChild, "inside": insideChild, "verb": verbChild, "flatten": flattenChild, "glance": glanceChild,
}

// Epochs of the tests: a worker that is stopped or killed, and the one that follows.
const (
	staleEpoch = 3
	ownerEpoch = 5
)

func in(epoch uint64, ref backends.Ref) backends.Ref {
	ref.Epoch = epoch
	return ref
}

// outcomes is what a child tells of its calls: the one in which it was stopped, and the
// one after that.
type outcomes struct {
	First, Second             string // errors, empty for none
	FirstClass, SecondClass   volume.Class
	FirstFenced, SecondFenced bool
}

func (o *outcomes) set(first, second error) {
	o.First, o.FirstClass, o.FirstFenced = text(first), volume.ClassOf(first), errors.Is(first, volume.ErrFenced)
	o.Second, o.SecondClass, o.SecondFenced = text(second), volume.ClassOf(second), errors.Is(second, volume.ErrFenced)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// wrong tells what is wrong with the outcomes of a process that was stopped, fenced and
// woken. If it was in time, its call had ended before it was stopped.
func (o outcomes) wrong(inTime bool) error {
	switch {
	case !o.SecondFenced:
		return fmt.Errorf("call after the one that was stopped: got %q, want %v", o.Second, volume.ErrFenced)
	case o.First == "" && !inTime:
		return errors.New("call that was stopped: got success, want a refusal")
	case o.First != "" && !o.FirstFenced && o.FirstClass != volume.Unavailable && o.FirstClass != volume.Busy:
		return fmt.Errorf("call that was stopped: got %q, want %v, %v or %v", o.First, volume.ErrFenced, volume.Unavailable, volume.Busy)
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// openConnected returns a driver with a connection.
func openConnected(t testing.TB, cfg Config) *driver {
	t.Helper()
	d := open(t, cfg)
	withConn(t, d, func(*conn) error { return nil })
	return d
}

// child is a process that has the store open.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	status syscall.WaitStatus
}

// childCommand is a child that is yet to be started.
func childCommand(t testing.TB, cfg Config, kind string, args ...string) *exec.Cmd {
	t.Helper()
	encoded, err := json.Marshal(cfg)
	must(t, err)
	process := exec.Command(os.Args[0], append([]string{string(encoded)}, args...)...)
	// The race detector sleeps for a second at the end of a process, unless told not to.
	process.Env = append(os.Environ(), childVariable+"="+kind, "GORACE=atexit_sleep_ms=0")
	return process
}

// startChild starts a child of the given kind on the store.
func startChild(t testing.TB, cfg Config, kind string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: childCommand(t, cfg, kind, args...)}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	must(t, err)
	c.Stderr = stderr
	c.stdin, err = c.StdinPipe()
	must(t, err)
	stdout, err := c.StdoutPipe()
	must(t, err)
	c.stdout = bufio.NewReader(stdout)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill() // most have ended
		_, _ = c.Process.Wait()
		if output, _ := os.ReadFile(stderr.Name()); t.Failed() && len(output) > 0 {
			t.Logf("child %s:\n%s", kind, output)
		}
		must(t, stderr.Close())
	})
	return c
}

// ready waits until the child has the store open.
func (c *child) ready(t testing.TB) {
	t.Helper()
	if line, err := c.stdout.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("child: got %q and %v, want it ready", line, err)
	}
}

func (c *child) tell(line string) error {
	_, err := io.WriteString(c.stdin, line+"\n")
	return err
}

// wait waits until the child has ended or, with WUNTRACED, stopped.
func (c *child) wait(options int) error {
	for {
		_, err := syscall.Wait4(c.Process.Pid, &c.status, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// stop stops all threads of the child and returns when they are.
func (c *child) stop() error {
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return c.stopped()
}

func (c *child) stopped() error {
	if err := c.wait(syscall.WUNTRACED); err != nil {
		return err
	}
	if !c.status.Stopped() {
		return fmt.Errorf("child: got status %#x, want it stopped", c.status)
	}
	return nil
}

// wake lets a stopped child go on and returns what it tells at its end.
func (c *child) wake() (outcomes, error) {
	if err := c.Process.Signal(syscall.SIGCONT); err != nil {
		return outcomes{}, err
	}
	var told outcomes
	if err := json.NewDecoder(c.stdout).Decode(&told); err != nil {
		return outcomes{}, fmt.Errorf("child: got no outcomes: %w", err)
	}
	return told, nil
}

func openChild(encoded string) (*driver, error) {
	var cfg Config
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil {
		return nil, err
	}
	d, err := Open(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	if err := d.(*driver).use(context.Background(), func(*conn) error { return nil }); err != nil {
		return nil, err
	}
	return d.(*driver), nil
}

// idleChild has the store open until its input ends.
func idleChild(args []string) error {
	d, err := openChild(args[0])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return d.Close()
}

// insideChild stops itself when its call has passed the guard and asked for nothing yet.
func insideChild(args []string) error {
	d, err := openChild(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	ref := in(staleEpoch, refOf(volume.Name(args[1])))
	first := d.change(context.Background(), ref, func(c *conn) error {
		stopSelf()
		return makeTrace(c, args[1])
	})
	second := d.change(context.Background(), ref, func(c *conn) error { return makeTrace(c, args[1]) })
	return tellOutcomes(first, second)
}

// stopSelf stops the process. It sends the signal to its own thread, which therefore does
// nothing more before it stops.
func stopSelf() {
	_ = syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}

func tellOutcomes(first, second error) error {
	var told outcomes
	told.set(first, second)
	return json.NewEncoder(os.Stdout).Encode(told)
}

// verbChild makes a call for each line of its input, twice.
func verbChild(args []string) error {
	d, err := openChild(args[0])
	if err != nil {
		return err
	}
	ref := in(staleEpoch, refOf(volume.Name(args[2])))
	fmt.Println("ready")
	var results [2]error
	lines := bufio.NewReader(os.Stdin)
	for i := range results {
		if _, err := lines.ReadString('\n'); err != nil {
			return err
		}
		results[i] = verbs[volume.Verb(args[1])].call(context.Background(), d, ref)
	}
	if errors.Is(results[1], volume.Unavailable) {
		// The first call was in time. This one found the connection shut out.
		results[1] = verbs[volume.Verb(args[1])].call(context.Background(), d, ref)
	}
	return tellOutcomes(results[0], results[1])
}

// makeTrace leaves something behind that hasTrace finds.
func makeTrace(c *conn, name string) error { return c.io.Create("trace."+name, rados.CreateIdempotent) }

func hasTrace(t testing.TB, d *driver, name string) bool {
	t.Helper()
	found := false
	must(t, d.use(t.Context(), func(c *conn) error {
		_, err := c.io.Stat("trace." + name)
		found = err == nil
		if is(err, syscall.ENOENT) {
			return nil
		}
		return err
	}))
	return found
}

// entriesOf returns the entries of the registry.
func entriesOf(t testing.TB, d *driver) (entries []string) {
	t.Helper()
	must(t, d.use(t.Context(), func(c *conn) error {
		members, err := readMembers(c.io)
		for _, m := range members {
			prefix, _, _ := strings.Cut(m.entry(), ".")
			entries = append(entries, prefix)
		}
		return err
	}))
	return entries
}
