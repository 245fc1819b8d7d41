// Package preload puts volumes straight into jetvol's streams, as a worker would have left
// them, but without a worker: it is for measurements and tests that need more volumes than
// anybody would wait for.
package preload

import (
	"time"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// creating is how long a create takes by the events' times.
const creating = time.Millisecond

// Volume is all that jetvol knows of a volume: its events, in order, and its record. The
// record's EventSequence is set when the events are stored.
type Volume struct {
	Events []volume.Transition
	Record volume.Record
}

// Created returns the volume that a create with these arguments has made, carried out by
// the owner. It returns the error of [fsm.Decide] if the arguments do not allow that.
func Created(create volume.Command, owner volume.Owner) (Volume, error) {
	create.Backend = create.Args.Backend
	v := Volume{Record: volume.Record{SchemaVersion: volume.SchemaVersion, Key: create.Key, State: volume.StatePending}}
	decision, err := fsm.Decide(v.Record, create, owner.Since)
	if err == nil {
		err = v.commit(decision, owner)
	}
	if err != nil {
		return v, err
	}
	if decision, err = fsm.Succeed(v.Record, nil, owner.Since.Add(creating)); err != nil {
		return v, err
	}
	return v, v.commit(decision, owner)
}

// commit does what a worker's commit does once all earlier events are on the stream.
func (v *Volume) commit(d fsm.Decision, owner volume.Owner) error {
	d.Transition.Worker, d.Transition.Epoch = owner.Worker, owner.Epoch
	hash, err := events.Chain(d.Transition, v.Record.EventHash)
	if err != nil {
		return err
	}
	v.Record = d.Record
	v.Record.Owner, v.Record.EventHash = owner, hash
	v.Record.Outbox = []volume.Transition{*d.Transition}
	v.Events = append(v.Events, *d.Transition)
	return nil
}
