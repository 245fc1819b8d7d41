package fsm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// MaxOutcomes is how many answers a record holds; older ones live in the bucket
// `outcomes`. Moving them there is the worker's part, before it decides.
const MaxOutcomes = 16

// Action is what the backend is asked to do.
type Action string

// The actions.
const (
	ActionNone   Action = ""
	ActionCreate Action = "create"
	ActionDelete Action = "delete"
	ActionAttach Action = "attach"
	ActionDetach Action = "detach"
	ActionResize Action = "resize"
	ActionEvict  Action = "evict" // then observe: see [Evicted]

	ActionSnapshot       Action = "snapshot"
	ActionDeleteSnapshot Action = "delete_snapshot"
	ActionRestore        Action = "restore"
	ActionFlatten        Action = "flatten"

	ActionRelease Action = "release" // give the object its foreign name
	ActionImport  Action = "import"  // take in what has one

	ActionObserve Action = "observe" // ask what it has; changes nothing
)

// Decision is what follows from one thing that happened.
type Decision struct {
	// Record is to be stored by compare-and-set before anything else is done.
	Record volume.Record
	// Transition is the event of this decision, already in the record's outbox; nil if
	// only an answer was recorded, or nothing at all.
	Transition *volume.Transition
	// Action is to be carried out once the record is stored.
	Action Action
	// Outcome is the command's answer, already in the record; nil while it goes on.
	Outcome *volume.Outcome
}

// Stores reports whether the decision changed the record. A validate_only command does
// not, and a reconcile changes it only after the backend was asked.
func (d Decision) Stores() bool {
	return d.Transition != nil || d.Outcome != nil && d.Outcome.Result != volume.Valid
}

// verbEvents says which event a verb fires, by the record where that depends on it.
var verbEvents = map[volume.Verb]func(volume.Record, volume.Args) volume.Event{
	volume.VerbCreate: creation,
	volume.VerbAdopt:  creation, // of an image
	volume.VerbDelete: func(r volume.Record, _ volume.Args) volume.Event {
		if r.State == volume.StatePending || r.State == volume.StateError {
			return volume.EventDiscard
		}
		return volume.EventDelete
	},
	volume.VerbAttach: func(r volume.Record, args volume.Args) volume.Event {
		if r.State == volume.StateAttached && mayShare(r.Attachments, args) {
			return volume.EventShare
		}
		return volume.EventAttach
	},
	volume.VerbDetach:         always(volume.EventDetach),
	volume.VerbResize:         always(volume.EventExtend),
	volume.VerbNodeGone:       always(volume.EventEvict),
	volume.VerbSnapshot:       always(volume.EventSnapshot),
	volume.VerbDeleteSnapshot: always(volume.EventPrune),
	volume.VerbRestore:        always(volume.EventRestore),
	volume.VerbFlatten:        always(volume.EventFlatten),

	volume.VerbUnmanage: always(volume.EventDelete),
}

func creation(r volume.Record, _ volume.Args) volume.Event {
	if r.State == volume.StateDeleted {
		return volume.EventRecreate
	}
	return volume.EventCreate
}

func always(event volume.Event) func(volume.Record, volume.Args) volume.Event {
	return func(volume.Record, volume.Args) volume.Event { return event }
}

var verbActions = map[volume.Verb]Action{
	volume.VerbCreate:   ActionCreate,
	volume.VerbDelete:   ActionDelete,
	volume.VerbAttach:   ActionAttach,
	volume.VerbDetach:   ActionDetach,
	volume.VerbResize:   ActionResize,
	volume.VerbNodeGone: ActionEvict,

	volume.VerbSnapshot:       ActionSnapshot,
	volume.VerbDeleteSnapshot: ActionDeleteSnapshot,
	volume.VerbRestore:        ActionRestore,
	volume.VerbFlatten:        ActionFlatten,

	volume.VerbUnmanage: ActionRelease,
	volume.VerbAdopt:    ActionImport,
}

// Decide takes up a command. The record of a volume that does not exist has no ID; its
// State is pending, or deleted if the name was used before, and its Generation is that
// of the last transition the name ever had, from which generations go on.
//
// The decision's record is in progress and its action is to be carried out, except:
//   - a reconcile, and an adopt of no image, change nothing yet: their action is
//     [ActionObserve], then [Reconcile] or [Adopt];
//   - a cancel is answered from the outcome of its target, which must have ended;
//   - with validate_only there is an outcome and nothing to store.
//
// A command that is refused returns a [*RejectedError]; [Reject] records it.
func Decide(record volume.Record, command volume.Command, now time.Time) (Decision, error) {
	if err := Admit(record, command, now); err != nil {
		return Decision{Record: record}, err
	}
	switch command.Verb {
	case volume.VerbCancel:
		return decideCancel(record, command, now)
	case volume.VerbReconcile:
		if command.ValidateOnly {
			return valid(record, command), nil
		}
		return Decision{Record: record, Action: ActionObserve}, nil
	case volume.VerbAdopt: // also if it is only to be validated
		if !command.TakesImage() {
			return Decision{Record: record, Action: ActionObserve}, nil
		}
	}
	eventFor, known := verbEvents[command.Verb]
	if !known {
		return Decision{Record: record}, refuse(record, command, volume.ErrUnknownVerb, "unknown verb %q", command.Verb)
	}
	event := eventFor(record, command.Args)
	to, err := Next(record.State, event, Facts{RecordAttached: len(record.Attachments) > 0})
	if err != nil {
		return Decision{Record: record}, invalidTransition(record, command, err)
	}
	if err := checkArguments(record, command); err != nil {
		return Decision{Record: record}, err
	}
	if command.ValidateOnly {
		return valid(record, command), nil
	}
	return begin(record, command, event, to, now), nil
}

// Admit refuses what must not even be looked at: a volume that is not there or is there
// already, a passed deadline, a precondition that does not hold. It returns nil or a
// [*RejectedError]. [Decide] begins with it.
func Admit(record volume.Record, command volume.Command, now time.Time) error {
	creates := command.Verb == volume.VerbCreate || command.Verb == volume.VerbAdopt
	switch {
	case creates && inLife(record, command):
		return refuse(record, command, volume.ErrVolumeExists, "it exists with id %s", record.ID)
	case !creates && command.Verb != volume.VerbCancel && !record.Exists():
		return refuse(record, command, volume.ErrVolumeNotFound, "no such volume")
	case !command.Deadline.IsZero() && now.After(command.Deadline):
		return refuse(record, command, volume.ErrDeadlineExceeded, "deadline was %s", command.Deadline.Format(time.RFC3339))
	case command.IfState != "" && command.IfState != record.State:
		return refuse(record, command, volume.ErrPreconditionFailed, "if_state %s does not hold", command.IfState)
	case command.IfGeneration != nil && *command.IfGeneration != record.Generation:
		return refuse(record, command, volume.ErrPreconditionFailed, "if_generation %d does not hold, it is %d", *command.IfGeneration, record.Generation)
	}
	return nil
}

// inLife reports whether the volume lives for a command that makes one. A pending one may be
// created, or made of an image, and be reconciled with what the backend has.
func inLife(record volume.Record, command volume.Command) bool {
	looks := command.Verb == volume.VerbAdopt && !command.TakesImage()
	return record.Exists() && (record.State != volume.StatePending || looks)
}

// checkArguments refuses what the state allows but this volume does not.
func checkArguments(record volume.Record, command volume.Command) error {
	if err := checkSnapshots(record, command); err != nil {
		return err
	}
	switch command.Verb {
	case volume.VerbCreate:
		return checkCreate(record, command)
	case volume.VerbAdopt:
		return checkImage(record, command)
	case volume.VerbResize:
		if err := command.Args.Size.ValidateSize(); err != nil {
			return refuse(record, command, volume.ErrInvalidSize, "%v", err)
		}
		if command.Args.Size <= record.Size {
			return refuse(record, command, volume.ErrInvalidSize, "new size %s is not larger than %s", command.Args.Size, record.Size)
		}
	case volume.VerbAttach:
		if record.ReadOnly && command.Args.Mode != volume.ReadOnly {
			return refuse(record, command, volume.ErrReadOnlyVolume, "it is %s: attach it with mode %s", view(record), volume.ReadOnly)
		}
		if len(record.Attachments) >= volume.MaxAttachments {
			return refuse(record, command, volume.ErrTooManyNodes, "it is attached to %d nodes already", len(record.Attachments))
		}
	case volume.VerbNodeGone:
		if err := volume.ValidateReason(command.Args.Reason); err != nil {
			return refuse(record, command, volume.ErrInvalidArgument, "%v", err)
		}
	case volume.VerbDetach:
		return checkDetach(record, command)
	}
	return nil
}

func begin(record volume.Record, command volume.Command, event volume.Event, to volume.State, now time.Time) Decision {
	next := record
	next.CommandSequence = command.Sequence
	next.Op = &volume.Op{
		CommandID:   command.ID,
		Digest:      command.Digest(),
		Verb:        command.Verb,
		Args:        command.Args,
		Actor:       command.Actor,
		Sequence:    command.Sequence,
		TraceParent: command.TraceParent,
		Deadline:    command.Deadline,
		StartedAt:   now,
		Attempt:     1,
	}
	switch command.Verb {
	case volume.VerbCreate:
		next.ID = volume.NewID(record.Key, record.Generation+1)
		next.Spec = volume.Spec{
			Size: cmp.Or(command.Args.Size, command.SourceSize), Backend: command.Backend, Labels: command.Args.Labels,
			Source: command.Args.Source, ReadOnly: command.Args.ReadOnly,
		}
		next.CreatedAt = now
	case volume.VerbAdopt:
		next.ID = volume.NewID(record.Key, record.Generation+1)
		next.Spec = volume.Spec{Size: command.Plan.Size, Backend: command.Backend}
		next.CreatedAt = now
		next.Op.Image = command.Args.Image
	case volume.VerbNodeGone:
		next.Op.Eviction = &volume.Eviction{Node: command.Args.Node, Reason: command.Args.Reason}
	case volume.VerbSnapshot:
		next.Op.Snapshot = &volume.Snapshot{Name: command.Args.Snapshot, ID: volume.NewID(record.Key, record.Generation+1), Size: record.Size}
	case volume.VerbDeleteSnapshot, volume.VerbRestore:
		next.Op.Snapshot = &volume.Snapshot{Name: command.Args.Snapshot, Size: command.SourceSize}
	case volume.VerbUnmanage:
		next.Op.Image = cmp.Or(command.Args.Name, volume.ReleasedImage(record.ID))
	}
	return fire(next, event, to, now, "").with(verbActions[command.Verb])
}

// fire moves the record to a state and puts the event into its outbox. The record must
// have an operation, to which the event belongs.
func fire(record volume.Record, event volume.Event, to volume.State, now time.Time, reason string) Decision {
	next := record
	next.SchemaVersion = volume.SchemaVersion
	next.State = to
	next.Generation = record.Generation + 1
	next.UpdatedAt = now
	t := volume.Transition{
		ID:              record.Key.String() + "/" + strconv.FormatUint(next.Generation, 10),
		Key:             record.Key,
		VolumeID:        next.ID,
		Event:           event,
		From:            record.State,
		To:              to,
		Generation:      next.Generation,
		CommandID:       record.Op.CommandID,
		CommandDigest:   record.Op.Digest,
		CommandSequence: record.Op.Sequence,
		Verb:            record.Op.Verb,
		Actor:           record.Op.Actor,
		Attempt:         record.Op.Attempt,
		NextRetryAt:     record.Op.NextRetryAt,
		Failure:         record.Op.Failure,
		Eviction:        record.Op.Eviction,
		Snapshot:        record.Op.Snapshot,
		Image:           record.Op.Image,
		Reason:          reason,
		Time:            now,
		TraceParent:     record.Op.TraceParent,
		Spec:            next.Spec,
	}
	next.Outbox = append(slices.Clip(record.Outbox), t) // clipped, so that it is a list of its own
	return Decision{Record: next, Transition: &next.Outbox[len(next.Outbox)-1]}
}

func (d Decision) with(action Action) Decision {
	d.Action = action
	return d
}

// answer ends a command: the outcome goes into the record, its operation out of it.
func (d Decision) answer(outcome volume.Outcome) Decision {
	if d.Record.ID != "" { // a volume that never was has no state
		outcome.State = d.Record.State
	}
	outcome.Generation = d.Record.Generation
	outcome.VolumeID = d.Record.ID
	if op := d.Record.Op; op != nil && op.CommandID == outcome.CommandID { // another's operation goes on
		d.Record.Op = nil
	}
	d.Record.Outcomes = append(slices.Clip(d.Record.Outcomes), outcome)
	d.Outcome = &outcome
	if d.Transition != nil {
		d.Transition.Final = true
	}
	return d
}

func refuse(record volume.Record, command volume.Command, code volume.Code, format string, args ...any) *RejectedError {
	refusal := &RejectedError{
		Key: record.Key, State: record.State, Verb: command.Verb, Code: code,
		Detail: fmt.Sprintf(format, args...),
	}
	if record.ID == "" {
		refusal.State = ""
	}
	return refusal
}

func invalidTransition(record volume.Record, command volume.Command, err error) error {
	rejected, ok := err.(*RejectedError) //nolint:errorlint // Next returns exactly this type, unwrapped.
	if !ok {
		return err
	}
	rejected.Key, rejected.Verb = record.Key, command.Verb
	if len(record.Attachments) > 0 {
		rejected.Detail = attachedTo(record.Attachments)
		for _, holder := range record.Attachments {
			rejected.By = append(rejected.By, volume.Blocker{Kind: volume.BlockedByNode, Name: string(holder.Node)})
		}
	}
	return rejected
}

func valid(record volume.Record, command volume.Command) Decision {
	return Decision{Record: record, Outcome: &volume.Outcome{
		CommandID: command.ID, Digest: command.Digest(), Verb: command.Verb, Result: volume.Valid,
		State: record.State, Generation: record.Generation, VolumeID: record.ID, Plan: command.Plan,
	}}
}

// decideCancel answers a cancel when its turn in the lane has come. By then its target
// has ended; whether by this cancel is told by the target's outcome.
func decideCancel(record volume.Record, command volume.Command, now time.Time) (Decision, error) {
	target, found := cancelTarget(record, command)
	if !found || target.Failure == nil || target.Failure.Code != volume.ErrCancelled {
		detail := "nothing is running"
		if command.Args.Target != "" {
			detail = fmt.Sprintf("command %s is not running", command.Args.Target)
		}
		return Decision{Record: record}, refuse(record, command, volume.ErrNothingToCancel, "%s", detail)
	}
	if command.ValidateOnly {
		return valid(record, command), nil
	}
	next := record
	next.CommandSequence = command.Sequence
	next.UpdatedAt = now
	return Decision{Record: next}.answer(volume.Outcome{
		CommandID: command.ID, Digest: command.Digest(), Verb: command.Verb, Result: volume.Succeeded,
	}), nil
}

// cancelTarget is the outcome that a cancel speaks of: the one it names, or the latest
// cancelled one that no cancel has been answered with yet.
func cancelTarget(record volume.Record, command volume.Command) (volume.Outcome, bool) {
	if command.Args.Target != "" {
		return record.Outcome(command.Args.Target)
	}
	for _, outcome := range slices.Backward(record.Outcomes) {
		if outcome.Verb == volume.VerbCancel && outcome.Result == volume.Succeeded {
			break
		}
		if outcome.Failure != nil && outcome.Failure.Code == volume.ErrCancelled {
			return outcome, true
		}
	}
	return volume.Outcome{}, false
}

// Reject records a refusal: an event without a new generation, and the answer.
func Reject(record volume.Record, command volume.Command, why error, now time.Time) Decision {
	next := record
	next.SchemaVersion = volume.SchemaVersion
	next.CommandSequence = command.Sequence
	next.UpdatedAt = now
	failure := volume.NewFailure(why)
	next.Outbox = append(slices.Clip(record.Outbox), volume.Transition{
		ID:              record.Key.String() + "/rejected/" + string(command.ID),
		Key:             record.Key,
		VolumeID:        record.ID,
		Event:           volume.EventRejected,
		From:            record.State,
		To:              record.State,
		Generation:      record.Generation,
		CommandID:       command.ID,
		CommandDigest:   command.Digest(),
		CommandSequence: command.Sequence,
		Verb:            command.Verb,
		Actor:           command.Actor,
		Failure:         failure,
		Time:            now,
		TraceParent:     command.TraceParent,
		Spec:            record.Spec,
	})
	return Decision{Record: next, Transition: &next.Outbox[len(next.Outbox)-1]}.answer(volume.Outcome{
		CommandID: command.ID, Digest: command.Digest(), Verb: command.Verb, Result: volume.Rejected, Failure: failure,
	})
}
