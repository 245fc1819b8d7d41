package volume

import "strings"

// State is where a volume stands in its life.
type State string

// The states. The first thirteen are those of the seed document block-storage-api
// (requirement A1); the others are jetvol's own.
const (
	StatePending         State = "pending"
	StateCreating        State = "creating"
	StateCreatingFailed  State = "creating_failed"
	StateAvailable       State = "available"
	StateAttaching       State = "attaching"
	StateAttachingFailed State = "attaching_failed"
	StateAttached        State = "attached"
	StateDetaching       State = "detaching"
	StateDetachingFailed State = "detaching_failed"
	StateDeleting        State = "deleting"
	StateDeletingFailed  State = "deleting_failed"
	StateDeleted         State = "deleted"
	StateError           State = "error"

	StateExtending       State = "extending"
	StateExtendingFailed State = "extending_failed"

	StateEvicting       State = "evicting" // a node that is gone is fenced
	StateEvictingFailed State = "evicting_failed"

	StateSnapshotting       State = "snapshotting" // a snapshot is made
	StateSnapshottingFailed State = "snapshotting_failed"
	StatePruning            State = "pruning" // a snapshot is deleted
	StatePruningFailed      State = "pruning_failed"
	StateRestoring          State = "restoring" // the content of a snapshot comes back
	StateRestoringFailed    State = "restoring_failed"
	StateFlattening         State = "flattening" // a clone is made independent of its source
	StateFlatteningFailed   State = "flattening_failed"
)

// States returns every state, the thirteen of A1 first.
func States() []State {
	return []State{
		StatePending, StateCreating, StateCreatingFailed, StateAvailable,
		StateAttaching, StateAttachingFailed, StateAttached,
		StateDetaching, StateDetachingFailed,
		StateDeleting, StateDeletingFailed, StateDeleted, StateError,
		StateExtending, StateExtendingFailed,
		StateEvicting, StateEvictingFailed,
		StateSnapshotting, StateSnapshottingFailed, StatePruning, StatePruningFailed,
		StateRestoring, StateRestoringFailed, StateFlattening, StateFlatteningFailed,
	}
}

// InProgress reports whether a backend operation is under way or waits to be tried
// again: the worker that owns the volume, or its successor, will leave such a state.
func (s State) InProgress() bool {
	switch s {
	case StateCreating, StateAttaching, StateDetaching, StateDeleting, StateExtending, StateEvicting,
		StateSnapshotting, StatePruning, StateRestoring, StateFlattening:
		return true
	default:
		return s.Failed()
	}
}

// Failed reports whether s follows a failed attempt that is to be tried again.
func (s State) Failed() bool { return strings.HasSuffix(string(s), "_failed") }

// Event is the name of a transition, in the past or as the thing that happened; it is
// the last token of the event's subject.
type Event string

// The events. The first eleven are those of the seed document (requirement A2), the
// others are jetvol's own. EventRejected is no transition: it tells of a command
// that the state machine or a precondition refused.
const (
	EventCreate   Event = "create"
	EventReady    Event = "ready"
	EventAttach   Event = "attach"
	EventAttached Event = "attached"
	EventDetach   Event = "detach"
	EventDetached Event = "detached"
	EventDelete   Event = "delete"
	EventDeleted  Event = "deleted"
	EventError    Event = "error"
	EventRetry    Event = "retry"
	EventFail     Event = "fail"

	EventExtend     Event = "extend"     // a resize begins
	EventExtended   Event = "extended"   // a resize ended
	EventRecreate   Event = "recreate"   // a deleted name begins a new life
	EventDiscard    Event = "discard"    // a pending or broken volume is deleted
	EventReconciled Event = "reconciled" // the backend was compared with the record
	EventCancelled  Event = "cancelled"  // the running operation was given up on request
	EventRefused    Event = "refused"    // the backend refused the operation and changed nothing
	EventShare      Event = "share"      // an attach begins beside nodes that only read
	EventReleased   Event = "released"   // a detach ended, and other nodes hold the volume still
	EventEvict      Event = "evict"      // a node was declared gone
	EventEvicted    Event = "evicted"    // it is fenced and does not hold the volume any more

	EventSnapshot    Event = "snapshot"    // a snapshot begins to be made
	EventSnapshotted Event = "snapshotted" // it is there
	EventPrune       Event = "prune"       // a snapshot begins to be deleted
	EventPruned      Event = "pruned"      // it is gone
	EventRestore     Event = "restore"     // a snapshot's content begins to come back
	EventRestored    Event = "restored"    // it has
	EventFlatten     Event = "flatten"     // a clone begins to be copied whole
	EventFlattened   Event = "flattened"   // it shares nothing any more
	EventProgress    Event = "progress"    // a long operation has come further

	EventDrifted Event = "drifted" // the backend is not as the record says
	EventAdopted Event = "adopted" // the backend had it, and no record did

	EventRejected Event = "rejected"
)

// Events returns every event that can be a transition, the eleven of A2 first.
func Events() []Event {
	return []Event{
		EventCreate, EventReady, EventAttach, EventAttached, EventDetach, EventDetached,
		EventDelete, EventDeleted, EventError, EventRetry, EventFail,
		EventExtend, EventExtended, EventRecreate, EventDiscard, EventReconciled, EventCancelled, EventRefused,
		EventShare, EventReleased,
		EventEvict, EventEvicted,
		EventSnapshot, EventSnapshotted, EventPrune, EventPruned,
		EventRestore, EventRestored, EventFlatten, EventFlattened, EventProgress,
		EventDrifted, EventAdopted,
	}
}

// Verb is what a command asks for: the last token of its subject.
type Verb string

// The verbs.
const (
	VerbCreate    Verb = "create"
	VerbDelete    Verb = "delete"
	VerbAttach    Verb = "attach"
	VerbDetach    Verb = "detach"
	VerbResize    Verb = "resize"
	VerbReconcile Verb = "reconcile"
	VerbCancel    Verb = "cancel"
	VerbNodeGone  Verb = "node_gone" // a node is dead: it is fenced and loses the volume

	VerbSnapshot       Verb = "snapshot"
	VerbDeleteSnapshot Verb = "delete_snapshot"
	VerbRestore        Verb = "restore"
	VerbFlatten        Verb = "flatten"

	VerbAdopt    Verb = "adopt"    // what the backend has under the name gets a record
	VerbUnmanage Verb = "unmanage" // the backend keeps it under another name, and jetvol lets go
)

// Verbs returns every verb.
func Verbs() []Verb {
	return []Verb{
		VerbCreate, VerbDelete, VerbAttach, VerbDetach, VerbResize, VerbReconcile, VerbCancel, VerbNodeGone,
		VerbSnapshot, VerbDeleteSnapshot, VerbRestore, VerbFlatten, VerbAdopt, VerbUnmanage,
	}
}
