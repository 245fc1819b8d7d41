package main

import (
	"context"

	"github.com/jetvol/jetvol/backends/ceph"
	trials "github.com/jetvol/jetvol/internal/trial"
	"github.com/jetvol/jetvol/volume"
)

// store is the kind of backend that the workers of a run use.
type store interface {
	// room makes a place for the volumes of one trial, whose files are in dir.
	room(ctx context.Context, dir string) (room, error)
	// close ends what the store has started.
	close() error
}

// room is where the volumes of one trial are.
type room interface {
	trials.Store
	// failpoints are those that every worker of the trial has armed, whatever else.
	failpoints() []string
	// hold makes the backend refuse every change with Busy, until release is called, which
	// may be done again. The backend can still be asked what it has.
	hold() (release func(), err error)
	// driver opens the backend beside the workers, without their journal.
	driver(ctx context.Context) (tampered, error)
	// decide gives the backend of the workers that are still to be started a policy.
	decide(policy volume.RecordOnly) error
}

// newStore starts what the workers need besides a NATS server, in the directory base.
func newStore(ctx context.Context, driver, base string) (store, error) {
	if driver == ceph.DriverName {
		return startCeph(ctx, base)
	}
	return localStore{}, nil
}
