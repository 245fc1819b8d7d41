package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// tamper is what is done to the volume at the backend, behind jetvol's back.
type tamper string

// The ways to tamper with a volume.
const (
	destroys tamper = "destroys" // it is gone
	remakes  tamper = "remakes"  // what was destroyed is there again
	keeps    tamper = "keeps"    // there is a snapshot of it that nobody made
	grows    tamper = "grows"    // it is larger
	takes    tamper = "takes"    // a node has it that nobody asked for
)

// intruder is that node, and adoptee the snapshot that nobody made.
const (
	intruder volume.Node         = "intruder"
	adoptee  volume.SnapshotName = "adoptee"
)

// growth is no size that a resize of the matrix leads to: it would find its work done, and no
// effect of it in the journal.
const growth = 4 * volume.KiB

// tampered is a driver with what the matrix needs of it.
type tampered interface {
	backends.Driver
	backends.Resizer
	backends.Snapshotter
}

// tamper does it to the volume of the trial. Nobody is at work on it.
func (t *trial) tamper(ctx context.Context, ways []tamper) (err error) {
	if len(ways) == 0 {
		return nil
	}
	driver, err := t.room.driver(ctx)
	if err != nil {
		return fmt.Errorf("tamper: %w", err)
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	for _, way := range ways {
		if err := t.tamperBy(ctx, driver, way); err != nil {
			return fmt.Errorf("tamper: %s: %w", way, err)
		}
	}
	return nil
}

func (t *trial) tamperBy(ctx context.Context, driver tampered, way tamper) error {
	if way == remakes {
		return driver.Create(ctx, t.destroyed.Ref, t.destroyed.Size)
	}
	object, err := driver.Get(ctx, t.plan.key)
	if err != nil {
		return err
	}
	object.Epoch = math.MaxUint64 // that nothing fences
	switch way {
	case grows:
		return driver.Resize(ctx, object.Ref, object.Size+growth)
	case keeps:
		_, err := driver.CreateSnapshot(ctx, object.Ref, adoptee)
		return err
	case takes:
		_, err := driver.Attach(ctx, object.Ref, intruder, volume.ReadWrite)
		return err
	default:
		return t.destroy(ctx, driver, object)
	}
}

func (t *trial) destroy(ctx context.Context, driver tampered, object backends.Object) error {
	t.destroyed = object
	for _, one := range object.Attachments {
		if err := driver.Detach(ctx, object.Ref, one.Node); err != nil {
			return err
		}
	}
	return driver.Delete(ctx, object.Ref)
}

// policyFile writes the configuration of workers whose backend has the policy.
func policyFile(name, backend string, policy volume.RecordOnly) error {
	return write(name, fmt.Appendf(nil, "%s    record_only: %s\n", backend, policy))
}
