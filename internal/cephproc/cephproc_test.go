//go:build ceph

package cephproc_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jetvol/jetvol/internal/cephproc"
)

// newDir returns a directory for a cluster, which is ended with the test.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cephproc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cephproc.Down(context.Background(), dir); err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return dir
}

func up(t *testing.T, dir string) *cephproc.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := cephproc.Up(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pids returns the process number of each daemon, 0 if it does not run.
func pids(t *testing.T, c *cephproc.Cluster) map[cephproc.Daemon]int {
	t.Helper()
	states, err := c.States()
	must(t, err)
	pids := map[cephproc.Daemon]int{}
	for _, s := range states {
		pids[s.Daemon] = s.Pid
	}
	return pids
}

func state(t *testing.T, c *cephproc.Cluster, daemon cephproc.Daemon) string {
	t.Helper()
	states, err := c.States()
	must(t, err)
	i := slices.IndexFunc(states, func(s cephproc.State) bool { return s.Daemon == daemon })
	return strings.TrimSuffix(states[i].String(), " pid "+strconv.Itoa(states[i].Pid))
}

// using returns the processes whose command line contains text.
func using(t *testing.T, text string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	var lines []string
	for _, file := range files {
		line, _ := os.ReadFile(file) // it may have ended
		if strings.Contains(string(line), text) {
			lines = append(lines, file+": "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}

func TestUp_Twice_SameCluster(t *testing.T) {
	dir := newDir(t)
	c := up(t, dir)
	before := pids(t, c)
	for daemon, pid := range before {
		if pid == 0 {
			t.Errorf("%s is not running", daemon)
		}
	}
	if after := pids(t, up(t, dir)); after[cephproc.Mon] != before[cephproc.Mon] || after[cephproc.OSD] != before[cephproc.OSD] {
		t.Errorf("got processes %v after the second up, want %v", after, before)
	}
}

func TestUp_DaemonsKilledOrFrozen_BackWithTheirData(t *testing.T) {
	dir := newDir(t)
	c := up(t, dir)
	_, err := c.RBD(t.Context(), "create", "--size", "1M", cephproc.Pool+"/kept")
	must(t, err)
	for _, daemon := range cephproc.Daemons() {
		must(t, c.Kill(t.Context(), daemon))
		if got, want := state(t, c, daemon), string(daemon)+" down"; !strings.HasPrefix(got, want) {
			t.Errorf("after a kill: got %q, want %q", got, want)
		}
	}
	up(t, dir)
	must(t, c.Freeze(t.Context(), cephproc.OSD))
	if got, want := state(t, c, cephproc.OSD), "osd frozen"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	up(t, dir)
	if got, want := state(t, c, cephproc.OSD), "osd up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	images, err := c.RBD(t.Context(), "ls", cephproc.Pool)
	must(t, err)
	if got, want := string(images), "kept\n"; got != want {
		t.Errorf("got images %q, want %q", got, want)
	}
}

func TestStop_FrozenDaemon_Ends(t *testing.T) {
	c := up(t, newDir(t))
	must(t, c.Freeze(t.Context(), cephproc.Mgr))
	must(t, c.Stop(t.Context(), cephproc.Mgr))
	must(t, c.Stop(t.Context(), cephproc.Mgr)) // a repeat does nothing
	if err := c.Freeze(t.Context(), cephproc.Mgr); err == nil {
		t.Error("froze a daemon that does not run")
	}
	must(t, c.Start(t.Context(), cephproc.Mgr))
	if got, want := state(t, c, cephproc.Mgr), "mgr up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Up is killed after longer and longer times, until it once comes to its end.
func TestUp_KilledHalfWay_NextUpWorksAndDownLeavesNothing(t *testing.T) {
	dir := newDir(t)
	const step = 150 * time.Millisecond
	killed := 0
	for delay := step; ; delay += step {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), upVariable+"="+dir)
		command.Stderr = os.Stderr
		must(t, command.Start())
		timer := time.AfterFunc(delay, func() { _ = command.Process.Kill() })
		err := command.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("up after %d kills: %v", killed, err)
		}
		killed++
		expectNoTools(t, dir)
		if killed%2 == 0 { // Down, too, finds the half of a cluster
			must(t, cephproc.Down(t.Context(), dir))
			expectNothing(t, dir)
		}
	}
	if killed < 3 {
		t.Errorf("up was killed %d times, want at least 3", killed)
	}
	up(t, dir)
	must(t, cephproc.Down(t.Context(), dir))
	expectNothing(t, dir)
}

// expectNoTools fails the test if a client's program still runs, which would find a
// cluster that is no longer the one it was started for. They die with their parent.
func expectNoTools(t *testing.T, dir string) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for {
		left := slices.DeleteFunc(using(t, dir+"/"), func(line string) bool { return strings.Contains(line, ": ceph-") })
		if len(left) == 0 {
			return
		}
		select {
		case <-pause.C:
		case <-deadline:
			t.Fatalf("tools left: %s", strings.Join(left, "\n"))
		}
	}
}

func expectNothing(t *testing.T, dir string) {
	t.Helper()
	if left := using(t, dir+"/"); len(left) > 0 {
		t.Errorf("processes left: %s", strings.Join(left, "\n"))
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for the directory, want it gone", err)
	}
}

func TestDown_ProcessesOfOthers_StayAlive(t *testing.T) {
	mine, other := newDir(t), newDir(t)
	c, neighbour := up(t, mine), up(t, other)
	strangers := map[string]*exec.Cmd{
		"another program with the path on its line": stranger(t, "sh", c.Conf()),
		"the same program with another path":        stranger(t, "ceph-osd", c.Conf()+".old"),
	}
	// A number in the pid file that the system has given to someone else.
	numbered := stranger(t, "sh", "x")
	must(t, os.WriteFile(filepath.Join(mine, "run", "osd.pid"), []byte(strconv.Itoa(numbered.Process.Pid)), 0o600))
	strangers["the one in the pid file"] = numbered

	before := pids(t, neighbour)
	must(t, cephproc.Down(t.Context(), mine))
	must(t, cephproc.Down(t.Context(), mine)) // a repeat does nothing
	for daemon, pid := range pids(t, c) {
		if pid != 0 {
			t.Errorf("%s still runs", daemon)
		}
	}
	for name, process := range strangers {
		if err := process.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := pids(t, neighbour); after[cephproc.OSD] != before[cephproc.OSD] || after[cephproc.Mon] != before[cephproc.Mon] {
		t.Errorf("got neighbour %v, want %v", after, before)
	}
}

// stranger is a shell that calls itself name, with arg among its arguments. It ends with
// the test.
func stranger(t *testing.T, name, arg string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/bin/sh")
	command.Args = []string{name, "-c", "read x", "0", arg}
	hold, err := command.StdinPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() {
		hold.Close()
		_ = command.Wait() // read finds the end and fails
	})
	return command
}

func TestUp_DirectoryOfOthers_ErrForeignAndUntouched(t *testing.T) {
	dir := newDir(t)
	file := filepath.Join(dir, "ceph.conf")
	must(t, os.WriteFile(file, []byte("mine"), 0o600))
	if _, err := cephproc.Up(t.Context(), dir); !errors.Is(err, cephproc.ErrForeign) {
		t.Errorf("got %v, want %v", err, cephproc.ErrForeign)
	}
	must(t, cephproc.Down(t.Context(), dir))
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("got %q, %v, want the file untouched", text, err)
	}
}

func TestDown_FileOfOthersInDirectory_Stays(t *testing.T) {
	dir := newDir(t)
	up(t, dir)
	file := filepath.Join(dir, "notes.txt")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, cephproc.Down(t.Context(), dir))
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != "notes.txt" {
		t.Errorf("got %v, want notes.txt alone", entries)
	}
}

func TestUp_Concurrently_OneCluster(t *testing.T) {
	dir := newDir(t)
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := cephproc.Up(t.Context(), dir)
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
