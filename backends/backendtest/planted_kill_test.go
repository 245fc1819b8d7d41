package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

// killPlants are faults that a kill brings out, each with the case that must notice.
var killPlants = map[string]string{
	attachForEver: "Kill_BeforeEachChangeToTheStore_RepeatHeals",
	openForEver:   "Kill_AtRandomMoments_RepeatHeals",
}

const (
	attachForEver = "a killed attach is taken for one that runs"
	openForEver   = "a killed process is taken for one that runs"
)

// directoryVariable names the store of a process that serves a call, in which the fault
// is also told.
const directoryVariable = "JETVOL_BACKENDTEST_DIRECTORY"

func TestMain(m *testing.M) {
	served, err := backendtest.ServeCall(func(killAt int) (backends.Driver, error) {
		d, err := openMarked(os.Getenv(directoryVariable), os.Getenv(plantVariable), true)
		if err == nil {
			d.killAt = killAt
		}
		return d, err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if served {
		return
	}
	os.Exit(m.Run())
}

// killHarness is a directory whose driver runs in processes that may be killed.
type killHarness struct{ dir, plant string }

func (h killHarness) MaxSize() volume.Bytes { return volume.TiB }

func (h killHarness) Open(t testing.TB) backends.Driver {
	d, err := openMarked(h.dir, h.plant, false)
	if err != nil {
		t.Fatalf("open: got %v, want no error", err)
	}
	return d
}

func (h killHarness) CallProcess(t testing.TB) *exec.Cmd {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), directoryVariable+"="+h.dir, plantVariable+"="+h.plant)
	return child
}

// unableToSnapshot is what a local.Driver is able to do without snapshots and clones.
type unableToSnapshot interface {
	backends.Driver
	backends.Resizer
	backends.Lister
	backends.Fencer
	backends.Evictor
}

// marked is a local.Driver without snapshots that makes a mark while it attaches, and one
// while a process that serves a call has it open. A fault is to heed the mark of a process
// that is gone.
type marked struct {
	unableToSnapshot
	dir, plant string
	serves     bool
	killAt     int
}

func openMarked(dir, plant string, serves bool) (*marked, error) {
	d, err := local.Open(local.Options{Dir: filepath.Join(dir, "volumes")})
	if err == nil && serves {
		err = os.Mkdir(filepath.Join(dir, "open"), 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return &marked{unableToSnapshot: d, dir: dir, plant: plant, serves: serves}, err
}

func (d *marked) Close() error {
	err := d.unableToSnapshot.Close()
	if d.serves {
		err = errors.Join(err, os.Remove(filepath.Join(d.dir, "open")))
	}
	return err
}

func (d *marked) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if _, err := os.Stat(filepath.Join(d.dir, "open")); err == nil && !d.serves && d.plant == openForEver {
		return volume.Attachment{}, backends.Errorf(volume.FailedPrecondition, "the store is open elsewhere")
	}
	mark := filepath.Join(d.dir, "mark-"+ref.Key.String())
	d.change()
	if err := os.Mkdir(mark, 0o700); errors.Is(err, fs.ErrExist) && d.plant == attachForEver {
		return volume.Attachment{}, backends.Errorf(volume.FailedPrecondition, "another call for this volume runs")
	}
	d.change()
	attachment, err := d.unableToSnapshot.Attach(ctx, ref, node, mode)
	d.change()
	return attachment, errors.Join(err, os.Remove(mark))
}

// change is the place before a change to the store.
func (d *marked) change() {
	if d.killAt == 0 {
		return // it is not to be killed
	}
	if d.killAt--; d.killAt == 0 {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {} // until the signal arrives
	}
}
