package fsm

import (
	"cmp"
	"slices"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// Reconcile ends a reconcile command with what the backend has, by the decision table
// ([ReconcileTable]). Where the record is pending or error the backend is believed. Where it
// is settled it is only marked drifted, unless the command believes the backend, or has a
// policy for a volume that is gone. It returns a [*RejectedError] for a record in any other
// state.
//
// A volume in error because a node holds it that nobody asked for stays there as long as one
// does, unless the command believes the backend.
//
// The event is drifted if a difference is found that the record does not tell yet. One that
// it tells already is reconciled: who listens for drifts hears of each once, however often
// it is looked at. A reconcile that finds none clears what was found before.
func Reconcile(record volume.Record, command volume.Command, seen Observation, now time.Time) (Decision, error) {
	row, found := rowOf(record, seen, command)
	if !found || row.Resumed != "" {
		row.Event = volume.EventReconciled // which the machine refuses
	}
	to, err := Next(record.State, row.Event, Facts{Observed: &seen, RecordOnly: command.RecordOnly, Believed: row.Believe, Stranger: row.strange()})
	if err != nil {
		return Decision{Record: record}, invalidTransition(record, command, err)
	}
	next := record
	drift := Drift(record, seen)
	if row.strange() {
		_, drift = heldElsewhere(record, seen)
	}
	if seen.Snapshots != nil { // what differed is settled by now: see worker
		next.Snapshots = *seen.Snapshots
	}
	reason := reasonOf(row, record, seen, drift, to)
	switch {
	case row.Seen == SeenAsBefore:
		drift = record.Drift // and when it was found first
	case row.Believe, !row.strange() && slices.Contains(unsure, record.State):
		next, drift = believe(record, seen, to), nil
	case drift != nil:
		drift.FoundAt = now
	}
	if to == volume.StateDeleted {
		next.Attachments, next.Snapshots = nil, 0
	}
	next.Drift = drift
	next.CommandSequence = command.Sequence
	op := momentary(command)
	next.Op = &op
	return fire(next, row.Event, to, now, reason).answer(outcomeOf(op, volume.Succeeded, nil)), nil
}

// strange reports whether the row is of a volume in error that a node holds which nobody asked
// for.
func (r Row) strange() bool {
	return slices.Equal(r.States, broken)
}

// reasonOf tells in words why a reconcile ends as it does.
func reasonOf(row Row, record volume.Record, seen Observation, drift *volume.Drift, to volume.State) string {
	switch {
	case row.Believe && drift != nil:
		return "the backend is believed: " + drift.String()
	case row.Seen == SeenAsBefore:
		return "drift as before: " + drift.String()
	case row.Policy != "":
		return drift.String() + "; record_only is " + string(row.Policy)
	case drift != nil:
		return drift.String()
	case !seen.Present && seen.ID != "":
		return "absent, and in its place is " + string(seen.ID)
	case to != record.State:
		return "the backend decides"
	default:
		return "record and backend agree"
	}
}

// Adopt ends an adopt command with the object that the backend has under the name: the
// record of a volume that does not exist becomes that of the object's life, with what spec
// tells of it but for the backend. Generations go on from the last event of the name. With
// validate_only it says only whether it would.
//
// It returns a [*RejectedError]: of [volume.ErrPreconditionFailed] if the command asks for
// another ID, of [volume.ErrBackendPrecondition] if the ID is none of a life of the name.
func Adopt(record volume.Record, command volume.Command, id volume.ID, spec volume.Spec, now time.Time) (Decision, error) {
	key, err := id.Key()
	switch {
	case err != nil || key != record.Key:
		return Decision{Record: record}, refuse(record, command, volume.ErrBackendPrecondition, "backend %s has id %q there, which is none of it", command.Backend, id)
	case command.Args.ID != "" && command.Args.ID != id:
		return Decision{Record: record}, refuse(record, command, volume.ErrPreconditionFailed, "backend %s has id %s there, not %s", command.Backend, id, command.Args.ID)
	}
	seen := Observation{Present: true, ID: id, Size: spec.Size, Attachments: spec.Attachments}
	to, err := Next(record.State, volume.EventAdopted, Facts{Observed: &seen})
	if err != nil {
		return Decision{Record: record}, invalidTransition(record, command, err)
	}
	if command.ValidateOnly {
		return valid(record, command), nil
	}
	next := record
	spec.Backend = command.Backend
	if record.ID == id { // it was given up as deleted, and the same life goes on
		spec.Labels, spec.HalfRestored = record.Labels, record.HalfRestored
	}
	if record.ID != id || record.CreatedAt.IsZero() {
		next.CreatedAt = now
	}
	next.ID, next.Spec = id, spec
	next.CommandSequence = command.Sequence
	op := momentary(command)
	next.Op = &op
	return fire(next, volume.EventAdopted, to, now, "backend "+command.Backend+" had it without a record").
		answer(outcomeOf(op, volume.Succeeded, nil)), nil
}

// momentary is the operation of a command that ends with its first event.
func momentary(command volume.Command) volume.Op {
	return volume.Op{
		CommandID: command.ID, Digest: command.Digest(), Verb: command.Verb, Args: command.Args,
		Actor: command.Actor, Sequence: command.Sequence, TraceParent: command.TraceParent, Attempt: 1,
	}
}

// Settle ends an operation that was cancelled, or that the backend has refused, where the
// backend really is. An attach ends in error, drifted, if the backend holds the volume for a
// node that nobody asked for, also if the attach was cancelled: to take that node into the
// record because somebody asked for another one, or then did not, would make right what no
// command ever asked for, and the next detach of it would seem in order.
func Settle(record volume.Record, seen Observation, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "settle")
	}
	op := *record.Op
	event := cmp.Or(ending(op), volume.EventCancelled)
	strange, drift := heldElsewhere(record, seen)
	if strange {
		event = volume.EventDrifted
	}
	to, err := Next(record.State, event, Facts{Observed: &seen, Stranger: strange})
	if err != nil {
		return Decision{Record: record}, err
	}
	next, reason := record, elsewhereBefore(record, to)
	if strange {
		drift.FoundAt = now
		next.Drift, reason = drift, drift.String()
	} else {
		next = believe(record, seen, to)
	}
	return fire(next, event, to, now, reason).answer(outcomeOf(op, volume.Failed, op.Failure)), nil
}
