// Package trial holds what programs share that try jetvol's own binary under bad
// conditions: a place on disk, processes to kill and stop, and the collecting of the
// evidence that is left when they rest.
package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/internal/cephproc"
	"github.com/jetvol/jetvol/internal/verify"
)

// ErrNotEmpty says that a directory has files in it. They would count as faults.
var ErrNotEmpty = errors.New("directory not empty")

// cephDown bounds the end of a cluster.
const cephDown = time.Minute

// maxTold is how many faults are printed; all of them go into a file.
const maxTold = 20

// Place is where a trial keeps its files.
type Place struct {
	Base string // absolute
	own  bool   // made here, so it may be removed
}

// NewPlace returns the place in dir, or in a new temporary directory whose name begins
// with prefix if dir is empty. Dir must be empty or missing: else it returns [ErrNotEmpty].
func NewPlace(dir, prefix string) (Place, error) {
	if dir == "" {
		base, err := os.MkdirTemp("", prefix)
		return Place{Base: base, own: true}, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return Place{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Place{}, err
	}
	if len(entries) > 0 {
		return Place{}, fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	base, err := filepath.Abs(dir)
	return Place{Base: base}, err
}

// Path returns the path of a file in the place.
func (p Place) Path(name string) string { return filepath.Join(p.Base, name) }

// Data is the directory that jetvol gets for its data.
func (p Place) Data() string { return p.Path("data") }

// Store makes the store that the processes use, of the given driver, and returns how to
// end what belongs to it.
func (p Place) Store(ctx context.Context, driver string) (_ Store, end func() error, err error) {
	if driver != ceph.DriverName {
		return Disk{Dir: p.Data(), Journal: p.Path("journal.jsonl")}, func() error { return nil }, nil
	}
	cluster, err := cephproc.Up(ctx, p.Path("ceph"))
	if err != nil {
		return nil, nil, fmt.Errorf("start ceph: %w", err)
	}
	end = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), cephDown)
		defer cancel()
		return cephproc.Down(ctx, cluster.Dir())
	}
	namespace, err := NewNamespace(ctx, cluster, "trial", p.Base)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return namespace, end, nil
}

// Faults is the file that [Place.Tell] writes.
func (p Place) Faults() string { return p.Path("faults.txt") }

// Remove deletes the place after a clean run, or only what is in it if the directory
// was there before.
func (p Place) Remove() error {
	if p.own {
		return os.RemoveAll(p.Base)
	}
	entries, err := os.ReadDir(p.Base)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(p.Base, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Tell prints the first faults and stores all of them beside what they were found in.
func (p Place) Tell(faults []verify.Fault, stderr io.Writer) {
	var all bytes.Buffer
	for i, fault := range faults {
		fmt.Fprintln(&all, fault)
		if i < maxTold {
			fmt.Fprintln(stderr, fault)
		}
	}
	if len(faults) > maxTold {
		fmt.Fprintf(stderr, "… and %d more in %s\n", len(faults)-maxTold, p.Faults())
	}
	if err := os.WriteFile(p.Faults(), all.Bytes(), 0o600); err != nil {
		fmt.Fprintln(stderr, err)
	}
}

// Build makes the binary with the driver from the module that the program is run in.
func (p Place) Build(ctx context.Context, driver string) (string, error) {
	binary := filepath.Join(p.Base, "jetvol")
	environment, flags := Building(driver)
	args := append([]string{"build", "-o", binary}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, "github.com/jetvol/jetvol/cmd/jetvol")...)
	build.Env = append(os.Environ(), environment...)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build jetvol: %w\n%s", err, output)
	}
	return binary, nil
}
