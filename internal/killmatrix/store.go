package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/backends/ceph"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/internal/verify"
)

// store is the kind of backend that the workers of a run use.
type store interface {
	// building returns the environment and the flags of the build that has the driver.
	building() (environment, flags []string)
	// room makes a place for the volumes of one trial, whose files are in dir.
	room(ctx context.Context, dir string) (room, error)
	// close ends what the store has started.
	close() error
}

// room is where the volumes of one trial are.
type room interface {
	// flags are those of a worker.
	flags() []string
	// failpoints are those that every worker of the trial has armed, whatever else.
	failpoints() []string
	// hold makes the backend refuse every change with Busy, until release is called, which
	// may be done again. The backend can still be asked what it has.
	hold() (release func(), err error)
	// read adds to the evidence what the backend has. No worker runs.
	read(ctx context.Context, e *verify.Evidence) error
}

// newStore starts what the workers need besides a NATS server, in the directory base.
func newStore(ctx context.Context, driver, base string) (store, error) {
	if driver == ceph.DriverName {
		return startCeph(ctx, base)
	}
	return localStore{}, nil
}

// drivers are those that -backend takes.
var drivers = []string{local.DriverName, ceph.DriverName}

// validateDriver returns an error for a driver that is not known or not built in.
func validateDriver(driver string) error {
	switch {
	case driver == local.DriverName, driver == ceph.DriverName && ceph.Built:
		return nil
	case driver == ceph.DriverName:
		return fmt.Errorf("%w: -backend %s: built without it: go run -tags %s", errUsage, driver, cephTags)
	}
	return fmt.Errorf("%w: -backend %q: want one of %s", errUsage, driver, strings.Join(drivers, ", "))
}
