package reconciletest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// crafted is a record in the making, and what was wrong with the first step that was.
type crafted struct {
	record  volume.Record
	backend string
	begun   int // operations
	err     error
}

// Record returns the record of the row for a volume of a backend, without a word of it in any
// event: they count as published.
func (r Row) Record(key volume.Key, backend string) (volume.Record, error) {
	c := &crafted{
		backend: backend,
		record:  volume.Record{SchemaVersion: volume.SchemaVersion, Key: key, State: volume.StatePending},
	}
	r.record(c)
	if c.err != nil {
		return volume.Record{}, fmt.Errorf("craft %s: %w", r.Name, c.err)
	}
	return c.record, nil
}

// Place makes the backend have what the row says of the record's volume.
func (r Row) Place(ctx context.Context, driver backends.Driver, record volume.Record) error {
	ref := backends.Ref{Key: record.Key, ID: record.ID, Epoch: record.Owner.Epoch}
	has, node, held := strings.Cut(r.Has, " on ")
	size := volume.MiB
	switch has {
	case "nothing":
		return nil
	case "an image":
		return placeImage(ctx, driver, record)
	case "more":
		size = 2 * volume.MiB
	case "another":
		ref.ID = volume.NewID(ref.Key, 77)
	}
	if err := driver.Create(ctx, ref, size); err != nil || !held {
		return err
	}
	_, err := driver.Attach(ctx, ref, volume.Node(node), volume.ReadWrite)
	return err
}

// placeImage makes an image that jetvol does not look after.
func placeImage(ctx context.Context, driver backends.Driver, record volume.Record) error {
	importer, able := driver.(backends.Importer)
	if !able {
		return backends.Errorf(volume.Unsupported, "driver cannot release")
	}
	ref := backends.Ref{Key: record.Key, ID: volume.NewID(record.Key, 99)}
	if err := driver.Create(ctx, ref, volume.MiB); err != nil {
		return err
	}
	return importer.Release(ctx, ref, record.Op.Image)
}

func (c *crafted) decide(f func(volume.Record, time.Time) (fsm.Decision, error)) {
	if c.err != nil {
		return
	}
	decision, err := f(c.record, time.Now().UTC())
	c.record, c.err = decision.Record, err
}

// begin takes up a command whose message is in no stream any more.
func (c *crafted) begin(verb volume.Verb, args volume.Args) {
	c.begun++
	command := volume.Command{
		ID: volume.CommandID(fmt.Sprintf("lost-%d", c.begun)), Key: c.record.Key, Verb: verb, Args: args, Backend: c.backend,
	}
	if command.TakesImage() {
		command.Plan = &volume.Plan{Size: volume.MiB}
	}
	c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		r.Outbox = nil
		return fsm.Decide(r, command, now)
	})
}

func (c *crafted) succeed() {
	c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Succeed(r, &volume.Attachment{Node: r.Op.Args.Node, Mode: r.Op.Args.Mode}, now)
	})
}

func (c *crafted) fail(class volume.Class) {
	c.decide(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Fail(r, volume.BackendError(class), fsm.DefaultRetryPolicy(), now)
	})
}

func (c *crafted) giveUp() { c.decide(fsm.GiveUp) }

// How a record gets into the states of the table.
func isCreating(c *crafted)  { c.begin(volume.VerbCreate, volume.Args{Size: volume.MiB}) }
func isAvailable(c *crafted) { isCreating(c); c.succeed() }
func isAttached(c *crafted)  { isAttaching(c); c.succeed() }
func isDetaching(c *crafted) { isAttached(c); c.begin(volume.VerbDetach, volume.Args{}) }
func isDeleting(c *crafted)  { isAvailable(c); c.begin(volume.VerbDelete, volume.Args{}) }
func isError(c *crafted)     { isDetaching(c); c.fail(volume.Internal); c.giveUp() }

func isImporting(c *crafted) {
	c.begin(volume.VerbAdopt, volume.Args{Image: volume.ReleasedImage(volume.NewID(c.record.Key, 99))})
}

func isAttaching(c *crafted) {
	isAvailable(c)
	c.begin(volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
}

func isErrorUnheld(c *crafted) { isCreating(c); c.fail(volume.Internal); c.giveUp() }

func hasFailed(before func(*crafted)) func(*crafted) {
	return func(c *crafted) { before(c); c.fail(volume.Unavailable) }
}
