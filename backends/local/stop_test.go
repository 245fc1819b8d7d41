package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

// TestDriver_StoppedBeforeEachDiskChange_ChangesNothingLater stops a process (SIGSTOP) at
// every point of every call. Another fences it and goes on, not at all, by one step, to
// the end of the volume's life, or into the next; then the first wakes up (SIGCONT).
func TestDriver_StoppedBeforeEachDiskChange_ChangesNothingLater(t *testing.T) {
	end := position(len(life))
	for p := range end {
		t.Run(string(p.step().change), func(t *testing.T) {
			for _, to := range []position{p, p + 1, end, end + 1} {
				if got := stopAndTakeOver(t, p, to, 1); got != fenced {
					t.Errorf("stopped before the lock: got outcome %d, want %d", got, fenced)
				}
			}
			waits := 0
			for outcome := waitedFor; outcome == waitedFor; waits++ {
				outcome = stopAndTakeOver(t, p, end+1, waits+2)
				if outcome == fenced {
					t.Errorf("stopped with the lock: got it fenced, want it waited for")
				}
			}
			if waits-1 < 2 {
				t.Errorf("points with the lock: got %d, want at least 2", waits-1)
			}
		})
	}
}

// What became of the stopped call.
const (
	survived  = iota // it has no nth change to the disk
	fenced           // it was refused when it woke up
	waitedFor        // the fence was Busy until it had ended
)

// stopAndTakeOver does step p in a process that is stopped before its nth change to the
// disk, takes over and goes on until to.
func stopAndTakeOver(t *testing.T, p, to position, n int) (outcome int) {
	t.Helper()
	const name = volume.Name("db-01")
	parent := t.TempDir()
	opts := Options{Dir: filepath.Join(parent, "volumes"), Journal: filepath.Join(parent, "journal")}
	d := openTest(t, opts)
	drive(t, d, staleEpoch, name, 0, p)
	child := startStopped(t, opts.Dir, opts.Journal, strconv.Itoa(int(p)), strconv.Itoa(n))

	err := d.Fence(t.Context(), in(ownerEpoch, p.ref(name)))
	switch {
	case !child.stopped:
		must(t, err)
		child.wantExit(t, 0, "")
	case errors.Is(err, volume.Busy):
		outcome = waitedFor
		child.wake(t)
		child.wantExit(t, 0, "")
		must(t, d.Fence(t.Context(), in(ownerEpoch, p.ref(name))))
	default:
		must(t, err)
		outcome = fenced
	}
	drive(t, d, ownerEpoch, name, p, to)
	before, files := listed(t, d), filesIn(t, opts.Dir)
	if outcome == fenced {
		child.wake(t)
		child.wantExit(t, 1, string(volume.ErrFenced))
	}
	if after := listed(t, d); !reflect.DeepEqual(after, before) {
		t.Errorf("after the stopped process went on: got %+v, want %+v", after, before)
	}
	if after := filesIn(t, opts.Dir); !reflect.DeepEqual(after, files) {
		t.Errorf("files after the stopped process went on: got %v, want %v", after, files)
	}
	end := position(2 * len(life))
	drive(t, d, ownerEpoch, name, max(p, to), end)
	wantEmpty(t, opts.Dir)
	entries, err := ReadJournal(opts.Journal)
	must(t, err)
	wantJournal(t, entries, map[volume.Name]position{name: end}, nil)
	return outcome
}

// filesIn returns the sizes of all files of volumes.
func filesIn(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	sizes := make(map[string]int64)
	for _, entry := range entries {
		info, err := entry.Info()
		must(t, err)
		if !entry.IsDir() {
			sizes[entry.Name()] = info.Size()
		}
	}
	return sizes
}

func stopChild(args []string) error {
	d, err := Open(Options{Dir: args[0], Journal: args[1]})
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	d.beforeChange(n, stopSelf)
	p := position(at)
	return p.step().call(context.Background(), d, in(staleEpoch, p.ref("db-01")))
}

// stopSelf stops the process. It sends the signal to its own thread, which therefore does
// nothing more before it stops.
func stopSelf() {
	_ = syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}

// stoppedChild is a child process that has stopped itself, or has ended instead.
type stoppedChild struct {
	*exec.Cmd
	output  *os.File
	stopped bool
	status  syscall.WaitStatus
}

func startStopped(t *testing.T, args ...string) *stoppedChild {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	must(t, err)
	t.Cleanup(func() { must(t, output.Close()) })
	child := &stoppedChild{Cmd: childCommand(t, "stop", args...), output: output}
	child.Stderr = output
	must(t, child.Start())
	child.wait(t, syscall.WUNTRACED)
	child.stopped = child.status.Stopped()
	return child
}

// wait waits until the child has ended or, with WUNTRACED, stopped. Exec's Wait knows
// nothing of stopping and is never called.
func (c *stoppedChild) wait(t *testing.T, options int) {
	t.Helper()
	for {
		_, err := syscall.Wait4(c.Process.Pid, &c.status, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			must(t, err)
			return
		}
	}
}

func (c *stoppedChild) wake(t *testing.T) {
	t.Helper()
	must(t, c.Process.Signal(syscall.SIGCONT))
	c.wait(t, 0)
}

func (c *stoppedChild) wantExit(t *testing.T, code int, text string) {
	t.Helper()
	output, err := os.ReadFile(c.output.Name())
	must(t, err)
	if !c.status.Exited() || c.status.ExitStatus() != code || !strings.Contains(string(output), text) {
		t.Errorf("child: got status %#x and output %q, want exit code %d and %q in it", c.status, output, code, text)
	}
}

// A delete that had found nothing was stopped there once, and removed the image of the
// volume that another process made meanwhile.
func TestDriver_DeleteOfMissingVolume_ExcludesCreate(t *testing.T) {
	opts := Options{Dir: filepath.Join(t.TempDir(), "volumes")}
	d, other := openTest(t, opts), openTest(t, opts)
	ref := position(0).ref("db-01")
	met := errors.New("no change to the disk")
	d.beforeChange(2, func() { met = other.Create(t.Context(), ref, volume.MiB) }) // the 1st is the lock
	must(t, d.Delete(t.Context(), ref))
	if !errors.Is(met, volume.Busy) {
		t.Errorf("create in the middle of a delete: got %v, want %v", met, volume.Busy)
	}
	must(t, other.Create(t.Context(), ref, volume.MiB))
	wantOneOf(t, listed(t, d), position(1).objects(d, "db-01"), position(1).objects(d, "db-01"))
}
