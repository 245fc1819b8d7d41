package fsm

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// StepKind says what an operation needs next.
type StepKind int

// The kinds of step; the package comment shows the loop over them.
const (
	StepNone   StepKind = iota // no operation is under way
	StepAct                    // carry out Action, then Succeed, Evicted or Fail
	StepWait                   // wait until Until, then Retry
	StepGiveUp                 // GiveUp
	StepSettle                 // ask the backend what it has, then Settle
)

// Step is what an operation needs next.
type Step struct {
	Kind   StepKind
	Action Action
	Until  time.Time
}

// NextStep reads from the record how its operation goes on. It depends on nothing
// else, so a worker that takes over continues exactly where the last one stopped.
func NextStep(record volume.Record) Step {
	op := record.Op
	switch {
	case op == nil:
		return Step{Kind: StepNone}
	case !record.State.Failed():
		return Step{Kind: StepAct, Action: verbActions[op.Verb]}
	case ending(*op) != "":
		return Step{Kind: StepSettle, Action: ActionObserve}
	case op.NextRetryAt.IsZero():
		return Step{Kind: StepGiveUp}
	default:
		return Step{Kind: StepWait, Until: op.NextRetryAt}
	}
}

// refusals are the classes by which a backend says that something is in the way of what it
// was asked, and that it has changed nothing: a node that still has the volume open, a
// snapshot of it. For these verbs the volume is then no worse than it was.
var (
	refusals  = []volume.Class{volume.FailedPrecondition, volume.Busy}
	refusable = []volume.Verb{
		volume.VerbAttach, volume.VerbDetach, volume.VerbResize, volume.VerbDelete,
		volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore, volume.VerbFlatten,
		volume.VerbUnmanage, volume.VerbAdopt,
	}
	// ownRefusals are those of one verb besides: a restore is refused also by not having the
	// snapshot, or the volume; an adopt by not having the image, or another volume in its place.
	ownRefusals = map[volume.Verb][]volume.Class{
		volume.VerbRestore: {volume.NotFound},
		volume.VerbAdopt:   {volume.NotFound, volume.AlreadyExists},
	}
)

// ending returns the event with which a failed operation ends where the backend really is,
// or "" if it goes on or has to be given up.
func ending(op volume.Op) volume.Event {
	switch {
	case op.Failure == nil:
		return ""
	case op.Failure.Code == volume.ErrCancelled:
		return volume.EventCancelled
	case op.NextRetryAt.IsZero() && refused(op):
		return volume.EventRefused
	}
	return ""
}

// refused reports whether the backend has refused the operation and has changed nothing.
func refused(op volume.Op) bool {
	return slices.Contains(refusable, op.Verb) &&
		(slices.Contains(refusals, op.Failure.Class) || slices.Contains(ownRefusals[op.Verb], op.Failure.Class))
}

// doneEvents are the events that end an operation well.
var doneEvents = map[volume.Verb]volume.Event{
	volume.VerbCreate: volume.EventReady,
	volume.VerbDelete: volume.EventDeleted,
	volume.VerbAttach: volume.EventAttached,
	volume.VerbDetach: volume.EventDetached,
	volume.VerbResize: volume.EventExtended,

	volume.VerbSnapshot:       volume.EventSnapshotted,
	volume.VerbDeleteSnapshot: volume.EventPruned,
	volume.VerbRestore:        volume.EventRestored,
	volume.VerbFlatten:        volume.EventFlattened,

	volume.VerbUnmanage: volume.EventDeleted,
	volume.VerbAdopt:    volume.EventReady,
}

// Succeed ends the operation well, unless it is a node_gone: see [Evicted]. The attachment
// is what the backend returned from an attach, and nil for every other action. It returns a
// [*RejectedError] if the record is not in a state in which an operation can succeed.
func Succeed(record volume.Record, attachment *volume.Attachment, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "succeed")
	}
	next, op := healed(record)
	event, reason := doneEvents[op.Verb], ""
	switch op.Verb {
	case volume.VerbAttach:
		if attachment == nil {
			return Decision{Record: record}, impossible(record, "attach succeeded without an attachment")
		}
		next.Attachments = record.Attachments.With(*attachment)
	case volume.VerbDetach:
		next.Attachments = record.Attachments.Without(DetachNode(record))
		if len(next.Attachments) > 0 {
			event = volume.EventReleased
		}
	case volume.VerbDelete:
		next.Attachments = nil
	case volume.VerbResize:
		next.Size = op.Args.Size
	case volume.VerbSnapshot:
		next.Snapshots++
	case volume.VerbDeleteSnapshot:
		next.Snapshots = max(0, next.Snapshots-1) // one that was given up was not counted
	case volume.VerbRestore:
		next.HalfRestored = ""
		next.Size = cmp.Or(op.Snapshot.Size, record.Size)
	case volume.VerbFlatten:
		next.Source = volume.SnapshotKey{}
	case volume.VerbUnmanage:
		next.Attachments, reason = nil, released(record)
	case volume.VerbAdopt:
		reason = takenIn(record)
	}
	to, err := Next(record.State, event, Facts{RecordAttached: len(record.Attachments) > 0})
	if err != nil {
		return Decision{Record: record}, err
	}
	next.Drift = afterSuccess(record)
	return fire(next, event, to, now, reason).answer(outcomeOf(op, volume.Succeeded, nil)), nil
}

// healed returns the record without the failure of an earlier attempt, and its operation.
func healed(record volume.Record) (volume.Record, volume.Op) {
	op := *record.Op
	if op.Failure == nil && op.NextRetryAt.IsZero() {
		return record, op
	}
	op.NextRetryAt, op.Failure = time.Time{}, nil
	kept := op
	record.Op = &kept
	return record, op
}

// released says in words where the volume of an unmanage is.
func released(record volume.Record) string {
	return fmt.Sprintf("unmanaged: backend %s keeps it as %s", record.Backend, record.Op.Image)
}

// Evicted ends a node_gone well, where the backend is after it, which is asked because a
// node may be gone whatever the record says: also from a volume in error. It returns a
// [*RejectedError] if the backend does not have the volume, or the record is not in a state
// in which a node_gone can succeed.
func Evicted(record volume.Record, seen Observation, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "evict")
	}
	to, err := Next(record.State, volume.EventEvicted, Facts{Observed: &seen})
	if err != nil {
		return Decision{Record: record}, err
	}
	next := believe(record, seen, to)
	op := *record.Op
	op.NextRetryAt, op.Failure = time.Time{}, nil
	next.Op = &op
	next.Drift = afterSuccess(record)
	return fire(next, volume.EventEvicted, to, now, "").answer(outcomeOf(op, volume.Succeeded, nil)), nil
}

// Fenced notes the clients that an attempt of a node_gone has fenced, without an event: the
// attempt's own tells them, whether it succeeds or fails.
func Fenced(record volume.Record, clients []string) volume.Record {
	if record.Op == nil || record.Op.Eviction == nil || len(clients) == 0 {
		return record
	}
	next := record
	op := *record.Op
	eviction := op.Eviction.Fenced(clients)
	op.Eviction = &eviction
	next.Op = &op
	return next
}

// Fail records a failed attempt: X becomes X_failed, with the attempt's number, the
// error, and when it will be tried again, which is never if the policy says so. An
// error with code [volume.ErrCancelled] is a cancellation: the operation settles next.
func Fail(record volume.Record, cause error, policy RetryPolicy, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "fail")
	}
	to, err := Next(record.State, volume.EventError, Facts{})
	if err != nil {
		return Decision{Record: record}, err
	}
	next := record
	op := *record.Op
	op.Failure = volume.NewFailure(cause)
	op.NextRetryAt = policy.again(op.Failure.Class, op, now)
	next.Op = &op
	if op.Verb == volume.VerbRestore && (op.Failure.Code == volume.ErrCancelled || !refused(op)) {
		next.HalfRestored = op.Args.Snapshot // a cancelled one may have come anywhere
	}
	return fire(next, volume.EventError, to, now, ""), nil
}

// Advance tells how far the operation has come. A restore that has come anywhere has changed
// the volume. It returns a [*RejectedError] if the record is not in a state that a long
// operation has.
func Advance(record volume.Record, progress volume.Progress, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "advance")
	}
	to, err := Next(record.State, volume.EventProgress, Facts{})
	if err != nil {
		return Decision{Record: record}, err
	}
	next := record
	if progress.Done > 0 {
		next = Interrupted(record)
	}
	d := fire(next, volume.EventProgress, to, now, "")
	d.Transition.Progress = &progress
	d.Transition.Failure = nil // it is an earlier attempt's
	return d, nil
}

// Interrupted notes, without an event, that an attempt was broken off and left no answer: by
// a crash, or by a worker that stopped. Nobody knows how far it came, so a restore may be
// half done, whatever the next attempt meets. It may be repeated.
func Interrupted(record volume.Record) volume.Record {
	next := record
	if record.State == volume.StateRestoring && record.Op != nil {
		next.HalfRestored = record.Op.Args.Snapshot
	}
	return next
}

// Retry begins the next attempt: X_failed becomes X.
func Retry(record volume.Record, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "retry")
	}
	to, err := Next(record.State, volume.EventRetry, Facts{})
	if err != nil {
		return Decision{Record: record}, err
	}
	next := record
	op := *record.Op
	op.Attempt++
	op.NextRetryAt = time.Time{}
	next.Op = &op
	return fire(next, volume.EventRetry, to, now, "").with(verbActions[op.Verb]), nil
}

// Cancel turns a wait for the next attempt into a cancellation without an event: the
// attempt has failed already. The operation settles next.
func Cancel(record volume.Record, cause error) volume.Record {
	next := record
	op := *record.Op
	op.Failure = volume.NewFailure(cause)
	op.NextRetryAt = time.Time{}
	next.Op = &op
	return next
}

// GiveUp ends the operation after its last failed attempt: X_failed becomes error, or what
// the volume was before if the operation could not break it.
func GiveUp(record volume.Record, now time.Time) (Decision, error) {
	if record.Op == nil {
		return Decision{Record: record}, noOperation(record, "give up")
	}
	to, err := Next(record.State, volume.EventFail, Facts{RecordAttached: len(record.Attachments) > 0})
	if err != nil {
		return Decision{Record: record}, err
	}
	op := *record.Op
	reason := fmt.Sprintf("gave up after attempt %d", op.Attempt)
	return fire(record, volume.EventFail, to, now, reason).answer(outcomeOf(op, volume.Failed, op.Failure)), nil
}

// believe takes over what the backend has.
func believe(record volume.Record, seen Observation, to volume.State) volume.Record {
	next := record
	next.Attachments = nil
	if seen.Present {
		next.Size = seen.Size
		next.Attachments = seen.Attachments
	}
	if seen.Present && seen.Whole {
		next.Source = volume.SnapshotKey{}
	}
	switch {
	case seen.Snapshots != nil:
		next.Snapshots = *seen.Snapshots
	case !seen.Present && to != volume.StateError:
		next.Snapshots = 0 // they went with the volume; counted, they would keep it from a delete
	}
	if to == volume.StateError {
		next.Attachments = record.Attachments
	}
	return next
}

func outcomeOf(op volume.Op, result volume.Result, failure *volume.Failure) volume.Outcome {
	return volume.Outcome{
		CommandID: op.CommandID, Digest: op.Digest, Verb: op.Verb, Result: result,
		Failure: failure, Eviction: op.Eviction, Snapshot: op.Snapshot, Image: op.Image,
	}
}

func noOperation(record volume.Record, what string) error {
	return impossible(record, what+" without an operation")
}

func impossible(record volume.Record, detail string) error {
	return &RejectedError{Key: record.Key, State: record.State, Code: volume.ErrInvalidTransition, Detail: detail}
}
