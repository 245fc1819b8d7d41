package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jetvol/jetvol/internal/verify"
)

// maxTold is how many faults are printed; all of them go into a file.
const maxTold = 20

// place is where a trial keeps its files.
type place struct {
	base string
	own  bool // made here, so it may be removed
}

// newPlace returns the place in dir, or in a new temporary directory if dir is empty.
// Files that were there before would count as faults, so dir must be empty or missing.
func newPlace(dir string) (place, error) {
	if dir == "" {
		base, err := os.MkdirTemp("", "jetvol-crash-")
		return place{base: base, own: true}, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return place{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return place{}, err
	}
	if len(entries) > 0 {
		return place{}, fmt.Errorf("%w: -dir %s: not empty", errUsage, dir)
	}
	base, err := filepath.Abs(dir)
	return place{base: base}, err
}

func (p place) data() string    { return filepath.Join(p.base, "data") }
func (p place) volumes() string { return filepath.Join(p.data(), "volumes") }
func (p place) journal() string { return filepath.Join(p.base, "journal.jsonl") }
func (p place) log() string     { return filepath.Join(p.base, "jetvol.log") }
func (p place) faults() string  { return filepath.Join(p.base, "faults.txt") }

// remove deletes the place after a clean run, or only what is in it if the directory
// was there before.
func (p place) remove() error {
	if p.own {
		return os.RemoveAll(p.base)
	}
	entries, err := os.ReadDir(p.base)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(p.base, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// tell prints the first faults and stores all of them beside what they were found in.
func (p place) tell(faults []verify.Fault, stderr io.Writer) {
	var all bytes.Buffer
	for i, fault := range faults {
		fmt.Fprintln(&all, fault)
		if i < maxTold {
			fmt.Fprintln(stderr, fault)
		}
	}
	if len(faults) > maxTold {
		fmt.Fprintf(stderr, "… and %d more in %s\n", len(faults)-maxTold, p.faults())
	}
	if err := os.WriteFile(p.faults(), all.Bytes(), 0o600); err != nil {
		fmt.Fprintln(stderr, "crash:", err)
	}
}

// build makes the binary from the module that the program is run in.
func (p place) build(ctx context.Context) (string, error) {
	binary := filepath.Join(p.base, "jetvol")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/jetvol/jetvol/cmd/jetvol")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build jetvol: %w\n%s", err, output)
	}
	return binary, nil
}
