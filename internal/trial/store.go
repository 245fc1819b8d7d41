package trial

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/verify"
)

// Store is where the processes of a trial keep their volumes.
type Store interface {
	// Flags are those of `jetvol worker`.
	Flags() []string
	// Read adds to the evidence what the backend has. No process uses it any more.
	Read(ctx context.Context, e *verify.Evidence) error
}

// Drivers are those that a trial can be made over.
func Drivers() []string { return []string{local.DriverName, ceph.DriverName} }

// CheckDriver returns an error for a driver that is not known or not built in.
func CheckDriver(driver string) error {
	switch {
	case driver == local.DriverName, driver == ceph.DriverName && ceph.Built:
		return nil
	case driver == ceph.DriverName:
		return fmt.Errorf("backend %s: this program was built without it: go run -tags %s", driver, CephTags)
	}
	return fmt.Errorf("backend %q: want one of %s", driver, strings.Join(Drivers(), ", "))
}

// Building returns the environment and the flags of `go build` for a jetvol that has the
// driver.
func Building(driver string) (environment, flags []string) {
	if driver == ceph.DriverName {
		return []string{"CGO_ENABLED=1"}, []string{"-tags", CephTags}
	}
	return []string{"CGO_ENABLED=0"}, nil
}

// Disk is a directory of the local backend, as `jetvol --dir` has one.
type Disk struct {
	Dir     string // --dir
	Journal string
}

// Flags names the directory and the journal.
func (d Disk) Flags() []string { return []string{"--dir", d.Dir, "--local-journal", d.Journal} }

// Volumes is where the backend keeps its files.
func (d Disk) Volumes() string { return filepath.Join(d.Dir, "volumes") }

// Read collects the files and the journal.
func (d Disk) Read(ctx context.Context, e *verify.Evidence) error {
	return readDisk(ctx, d.Volumes(), d.Journal, e)
}
