package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/volume"
)

// crashVariable makes this test binary a child process, most often one that is going to be
// killed or stopped; its value is the kind of child, and the arguments follow in os.Args.
const crashVariable = "JETVOL_LOCAL_CRASH"

// seedVariable repeats a run of the random test.
const seedVariable = "JETVOL_SEED"

func TestMain(m *testing.M) {
	children := map[string]func([]string) error{
		"step": stepChild, "loop": loopChild, "fence": fenceChild, "stop": stopChild, "crowd": crowdChild,
		"call": callChild,
	}
	child, isChild := children[os.Getenv(crashVariable)]
	if !isChild {
		os.Exit(m.Run())
	}
	if err := child(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func childCommand(t testing.TB, kind string, args ...string) *exec.Cmd {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	// The race detector sleeps for a second at the end of a process, unless told not to.
	child.Env = append(os.Environ(), crashVariable+"="+kind, "GORACE=atexit_sleep_ms=0")
	return child
}

// TestDriver_KilledBeforeEachDiskChange_RepeatEndsRight kills a process at every point of
// every call: before the 1st, 2nd, 3rd … change to the disk, until the call outlives it.
func TestDriver_KilledBeforeEachDiskChange_RepeatEndsRight(t *testing.T) {
	for p := range position(len(life)) {
		t.Run(string(p.step().change), func(t *testing.T) {
			killed := 0
			for survived := false; !survived; killed++ {
				survived = killAndRepeat(t, p, killed+1)
			}
			// Only the journal's line and at least the file's rename or removal.
			if killed-1 < 3 {
				t.Errorf("points of the kill: got %d, want at least 3", killed-1)
			}
			t.Logf("killed at %d points", killed-1)
		})
	}
}

// killAndRepeat does step p in a process that is killed before its nth change to the
// disk, and reports whether it had fewer.
func killAndRepeat(t *testing.T, p position, n int) (survived bool) {
	t.Helper()
	const name = volume.Name("db-01")
	parent := t.TempDir()
	opts := Options{Dir: filepath.Join(parent, "volumes"), Journal: filepath.Join(parent, "journal")}
	drive(t, openTest(t, opts), 0, name, 0, p)

	output, killed := childCommand(t, "step", opts.Dir, opts.Journal, strconv.Itoa(int(p)), strconv.Itoa(n)).CombinedOutput()
	if killed != nil && !wasKilled(killed) {
		t.Fatalf("child: got %v, want success or SIGKILL; output:\n%s", killed, output)
	}
	d := openTest(t, opts)
	wantNoTemporaryFiles(t, opts.Dir)
	wantOneOf(t, listed(t, d), p.objects(d, name), (p+1).objects(d, name))
	drive(t, d, 0, name, p, position(len(life)))
	wantEmpty(t, opts.Dir)

	entries, err := ReadJournal(opts.Journal)
	must(t, err)
	wantJournal(t, entries, map[volume.Name]position{name: position(len(life))}, map[interruption]bool{{name, p}: true})
	return killed == nil
}

// drive does the steps from p on until to in the given epoch, checking the object after
// each.
func drive(t *testing.T, d *Driver, epoch uint64, name volume.Name, p, to position) {
	t.Helper()
	for ; p < to; p++ {
		if err := p.step().call(t.Context(), d, in(epoch, p.ref(name))); err != nil {
			t.Fatalf("%s: got %v, want no error", p, err)
		}
		key := p.ref(name).Key
		found, err := d.Get(t.Context(), key)
		if errors.Is(err, volume.NotFound) {
			wantOneOf(t, nil, nil, (p+1).objects(d, name))
			continue
		}
		must(t, err)
		wantOneOf(t, []backends.Object{found}, (p+1).objects(d, name), (p+1).objects(d, name))
	}
}

func stepChild(args []string) error {
	d, err := Open(Options{Dir: args[0], Journal: args[1]})
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	d.beforeChange(left, killSelf)
	if args[2] == cloneStep {
		return cloneOfMonday(context.Background(), d)
	}
	p := position(at)
	return p.step().call(context.Background(), d, p.ref("db-01"))
}

// callChild makes a call of the conformance suite.
func callChild(args []string) error {
	_, err := backendtest.ServeCall(func(killAt int) (backends.Driver, error) {
		d, err := Open(Options{Dir: args[0], Journal: args[1]})
		if err == nil && killAt > 0 {
			d.beforeChange(killAt, killSelf)
		}
		return d, err
	})
	return err
}

// CallProcess returns the process that makes a call of the conformance suite.
func CallProcess(t testing.TB, dir, journal string) *exec.Cmd {
	t.Helper()
	return childCommand(t, "call", dir, journal)
}

// beforeChange calls f before the nth change to the disk, counting the lock as one.
func (d *Driver) beforeChange(n int, f func()) {
	step := func() {
		if n--; n == 0 {
			f()
		}
	}
	d.dir.step, d.fences.step = step, step
}

func killSelf() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // until the signal arrives
}

// TestDriver_KilledAtRandomMoments_NothingIsDoneTwice kills a process that works on
// several volumes again and again, each time letting its successor go on where it was.
func TestDriver_KilledAtRandomMoments_NothingIsDoneTwice(t *testing.T) {
	const kills = 20
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	parent := t.TempDir()
	opts := Options{Dir: filepath.Join(parent, "volumes"), Journal: filepath.Join(parent, "journal")}
	next := map[volume.Name]position{"a": 0, "b": 0, "c": 0, "d": 0}
	interrupted := make(map[interruption]bool)
	for range kills {
		runAndKill(t, opts, next, random)
		for name, p := range next {
			interrupted[interruption{name, p}] = true
		}
	}
	d := openTest(t, opts)
	for name, p := range next {
		// Step p may be done already, even if it is the create of a new life.
		end := (p/position(len(life)) + 1) * position(len(life))
		drive(t, d, 0, name, p, end)
		next[name] = end
	}
	wantEmpty(t, opts.Dir)
	entries, err := ReadJournal(opts.Journal)
	must(t, err)
	wantJournal(t, entries, next, interrupted)
	t.Logf("seed %d: %d kills, %d changes", seed, kills, len(entries))
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv(seedVariable); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("repeat with %s=%d", seedVariable, seed)
	return seed
}

// runAndKill lets a child go on from the given positions, kills it at a random moment,
// and moves the positions to the first step that it did not report as done.
func runAndKill(t *testing.T, opts Options, next map[volume.Name]position, random *rand.Rand) {
	t.Helper()
	args := []string{opts.Dir, opts.Journal}
	for name, p := range next {
		args = append(args, fmt.Sprintf("%s=%d", name, p))
	}
	child := childCommand(t, "loop", args...)
	var complaints bytes.Buffer
	child.Stderr = &complaints
	reports, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewReader(reports)
	for range random.IntN(40) {
		report(t, lines, next)
	}
	// Somewhere within the next few steps, not only right after a report.
	<-time.After(time.Duration(random.IntN(4000)) * time.Microsecond)
	must(t, child.Process.Kill())
	for report(t, lines, next) {
	}
	if err := child.Wait(); !wasKilled(err) {
		t.Fatalf("child: got %v, want SIGKILL; output:\n%s", err, &complaints)
	}
}

// report reads one "name=position" and reports whether there was one.
func report(t *testing.T, lines *bufio.Reader, next map[volume.Name]position) bool {
	t.Helper()
	line, err := lines.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return false
	}
	must(t, err)
	name, p, err := parsePosition(strings.TrimSpace(line))
	must(t, err)
	next[name] = p
	return true
}

func parsePosition(text string) (volume.Name, position, error) {
	name, number, _ := strings.Cut(text, "=")
	p, err := strconv.Atoi(number)
	return volume.Name(name), position(p), err
}

func loopChild(args []string) error {
	d, err := Open(Options{Dir: args[0], Journal: args[1]})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, arg := range args[2:] {
		name, p, err := parsePosition(arg)
		if err != nil {
			return err
		}
		go func() {
			for ; ; p++ {
				if err := p.step().call(context.Background(), d, p.ref(name)); err != nil {
					failed <- fmt.Errorf("%s: %s: %w", name, p, err)
					return
				}
				fmt.Printf("%s=%d\n", name, p+1)
			}
		}()
	}
	return <-failed
}

// interruption is a step during which the process was killed.
type interruption struct {
	name volume.Name
	at   position
}

// wantJournal wants each step up to next once and in order, a restore perhaps again; one that was interrupted may
// be missing, because its process was killed before it could write the line.
func wantJournal(t *testing.T, entries []JournalEntry, next map[volume.Name]position, interrupted map[interruption]bool) {
	t.Helper()
	want := make(map[volume.Name]position)
	skip := func(name volume.Name, to position) {
		for want[name] < to && interrupted[interruption{name, want[name]}] {
			want[name]++
		}
	}
	for _, entry := range entries {
		name := volume.Name(strings.TrimPrefix(entry.Key, "default."))
		p := positionOf(t, entry)
		skip(name, p)
		if p.step().change == ChangeRestore && p == want[name]-1 {
			continue // a repeat does it all again
		}
		if p != want[name] {
			t.Errorf("journal of %s: got %s, want %s", name, p, want[name])
		}
		want[name] = p + 1
	}
	for name, end := range next {
		skip(name, end)
	}
	if !maps.Equal(want, next) {
		t.Errorf("journal ends: got %v, want %v", want, next)
	}
}

func wantNoTemporaryFiles(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*"+temporarySuffix))
	must(t, err)
	ofFences, err := filepath.Glob(filepath.Join(dir, FencesDir, temporaryPrefix+"*"))
	must(t, err)
	names = append(names, ofFences...)
	if len(names) != 0 {
		t.Errorf("temporary files after open: got %v, want none", names)
	}
}

func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
