// Package fsm decides. It is the pure core of jetvol: from a volume's record and what
// happened (a command, a backend's answer, the end of a wait) it works out the record
// as it must be stored next and the event that tells of it. It does no I/O, reads no
// clock and keeps no state, so that any worker, at any time, comes to the same result.
//
// The life of an operation is a loop over the record alone:
//
//	decision, err := fsm.Decide(record, command, now)   // record → creating, event create
//	for {
//		switch step := fsm.NextStep(record); step.Kind {
//		case fsm.StepAct:    // call the backend, then Succeed, Evicted or Fail
//		case fsm.StepWait:   // wait until step.Until, then Retry
//		case fsm.StepGiveUp: // GiveUp
//		case fsm.StepSettle: // ask the backend what it has, then Settle
//		case fsm.StepNone:   // the operation has ended
//		}
//	}
//
// A worker that takes over after a crash enters the same loop with the record it finds.
package fsm

import (
	"cmp"
	"context"
	"fmt"

	"github.com/qmuntal/stateless"

	"github.com/jetvol/jetvol/volume"
)

// edge is one row of the transition table.
type edge struct {
	from  volume.State
	event volume.Event
	to    volume.State
	guard stateless.GuardFunc // nil: always
	fact  string              // the guard in words, for diagrams
}

// edges is the whole machine. The first block holds the 20 transitions of requirement
// A3 and must never change; the others are jetvol's own.
var edges = []edge{
	{from: volume.StatePending, event: volume.EventCreate, to: volume.StateCreating},
	{from: volume.StateCreating, event: volume.EventReady, to: volume.StateAvailable},
	{from: volume.StateAvailable, event: volume.EventAttach, to: volume.StateAttaching},
	{from: volume.StateAttaching, event: volume.EventAttached, to: volume.StateAttached},
	{from: volume.StateAttached, event: volume.EventDetach, to: volume.StateDetaching},
	{from: volume.StateDetaching, event: volume.EventDetached, to: volume.StateAvailable},
	{from: volume.StateAvailable, event: volume.EventDelete, to: volume.StateDeleting},
	{from: volume.StateDeleting, event: volume.EventDeleted, to: volume.StateDeleted},
	{from: volume.StateCreating, event: volume.EventError, to: volume.StateCreatingFailed},
	{from: volume.StateAttaching, event: volume.EventError, to: volume.StateAttachingFailed},
	{from: volume.StateDetaching, event: volume.EventError, to: volume.StateDetachingFailed},
	{from: volume.StateDeleting, event: volume.EventError, to: volume.StateDeletingFailed},
	{from: volume.StateCreatingFailed, event: volume.EventRetry, to: volume.StateCreating},
	{from: volume.StateAttachingFailed, event: volume.EventRetry, to: volume.StateAttaching},
	{from: volume.StateDetachingFailed, event: volume.EventRetry, to: volume.StateDetaching},
	{from: volume.StateDeletingFailed, event: volume.EventRetry, to: volume.StateDeleting},
	{from: volume.StateCreatingFailed, event: volume.EventFail, to: volume.StateError},
	{from: volume.StateAttachingFailed, event: volume.EventFail, to: volume.StateError},
	{from: volume.StateDetachingFailed, event: volume.EventFail, to: volume.StateError},
	{from: volume.StateDeletingFailed, event: volume.EventFail, to: volume.StateError},

	// A deleted name may live again; a pending or broken volume may be got rid of.
	{from: volume.StateDeleted, event: volume.EventRecreate, to: volume.StateCreating},
	{from: volume.StatePending, event: volume.EventDiscard, to: volume.StateDeleting},
	{from: volume.StateError, event: volume.EventDiscard, to: volume.StateDeleting},

	// A resize returns to where it began.
	{from: volume.StateAvailable, event: volume.EventExtend, to: volume.StateExtending},
	{from: volume.StateAttached, event: volume.EventExtend, to: volume.StateExtending},
	{from: volume.StateExtending, event: volume.EventExtended, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StateExtending, event: volume.EventExtended, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StateExtending, event: volume.EventError, to: volume.StateExtendingFailed},
	{from: volume.StateExtendingFailed, event: volume.EventRetry, to: volume.StateExtending},
	{from: volume.StateExtendingFailed, event: volume.EventFail, to: volume.StateError},

	// Nodes that only read share a volume: it is attached before and after. These are
	// events of their own because requirement A3 refuses attach in attached.
	{from: volume.StateAttached, event: volume.EventShare, to: volume.StateAttaching},
	{from: volume.StateDetaching, event: volume.EventReleased, to: volume.StateAttached},

	// A node that is gone loses the volume, whoever else holds it, also if the record of a
	// settled volume does not know that it has it. It ends where the backend then is.
	{from: volume.StateAttached, event: volume.EventEvict, to: volume.StateEvicting},
	{from: volume.StateAvailable, event: volume.EventEvict, to: volume.StateEvicting},
	{from: volume.StateError, event: volume.EventEvict, to: volume.StateEvicting},
	{from: volume.StateEvicting, event: volume.EventEvicted, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateEvicting, event: volume.EventEvicted, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateEvicting, event: volume.EventError, to: volume.StateEvictingFailed},
	{from: volume.StateEvictingFailed, event: volume.EventRetry, to: volume.StateEvicting},
	{from: volume.StateEvictingFailed, event: volume.EventFail, to: volume.StateError},

	// Snapshots are made and deleted, and clones flattened, of volumes in use too; each
	// returns to where it began. What was given up has changed nothing of the volume.
	{from: volume.StateAvailable, event: volume.EventSnapshot, to: volume.StateSnapshotting},
	{from: volume.StateAttached, event: volume.EventSnapshot, to: volume.StateSnapshotting},
	{from: volume.StateSnapshotting, event: volume.EventSnapshotted, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StateSnapshotting, event: volume.EventSnapshotted, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StateSnapshotting, event: volume.EventError, to: volume.StateSnapshottingFailed},
	{from: volume.StateSnapshottingFailed, event: volume.EventRetry, to: volume.StateSnapshotting},
	{from: volume.StateSnapshottingFailed, event: volume.EventFail, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StateSnapshottingFailed, event: volume.EventFail, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StateSnapshottingFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateSnapshottingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateSnapshottingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateSnapshottingFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateSnapshottingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateSnapshottingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateAvailable, event: volume.EventPrune, to: volume.StatePruning},
	{from: volume.StateAttached, event: volume.EventPrune, to: volume.StatePruning},
	{from: volume.StatePruning, event: volume.EventPruned, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StatePruning, event: volume.EventPruned, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StatePruning, event: volume.EventError, to: volume.StatePruningFailed},
	{from: volume.StatePruningFailed, event: volume.EventRetry, to: volume.StatePruning},
	{from: volume.StatePruningFailed, event: volume.EventFail, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StatePruningFailed, event: volume.EventFail, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StatePruningFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StatePruningFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StatePruningFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StatePruningFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StatePruningFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StatePruningFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateAvailable, event: volume.EventFlatten, to: volume.StateFlattening},
	{from: volume.StateAttached, event: volume.EventFlatten, to: volume.StateFlattening},
	{from: volume.StateFlattening, event: volume.EventFlattened, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StateFlattening, event: volume.EventFlattened, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StateFlattening, event: volume.EventError, to: volume.StateFlatteningFailed},
	{from: volume.StateFlatteningFailed, event: volume.EventRetry, to: volume.StateFlattening},
	{from: volume.StateFlatteningFailed, event: volume.EventFail, to: volume.StateAvailable, guard: recordDetached, fact: "record detached"},
	{from: volume.StateFlatteningFailed, event: volume.EventFail, to: volume.StateAttached, guard: recordAttached, fact: "record attached"},
	{from: volume.StateFlatteningFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateFlatteningFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateFlatteningFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateFlatteningFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateFlatteningFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateFlatteningFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateFlattening, event: volume.EventProgress, to: volume.StateFlattening},

	// A restore needs a volume that nobody holds. One that was given up leaves content that
	// may be of two times, and so a volume in error.
	{from: volume.StateAvailable, event: volume.EventRestore, to: volume.StateRestoring},
	{from: volume.StateRestoring, event: volume.EventProgress, to: volume.StateRestoring},
	{from: volume.StateRestoring, event: volume.EventRestored, to: volume.StateAvailable},
	{from: volume.StateRestoring, event: volume.EventError, to: volume.StateRestoringFailed},
	{from: volume.StateRestoringFailed, event: volume.EventRetry, to: volume.StateRestoring},
	{from: volume.StateRestoringFailed, event: volume.EventFail, to: volume.StateError},
	{from: volume.StateRestoringFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateRestoringFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateRestoringFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateRestoringFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateRestoringFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateRestoringFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},

	// A reconcile believes the backend where the record knows nothing better
	// (requirement A8, see reconcileRows), and where it is told to.
	{from: volume.StatePending, event: volume.EventReconciled, to: volume.StatePending, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StatePending, event: volume.EventReconciled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StatePending, event: volume.EventReconciled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateError, event: volume.EventReconciled, to: volume.StatePending, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateError, event: volume.EventReconciled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateError, event: volume.EventReconciled, to: volume.StateAttached, guard: rightlyAttached, fact: "backend attached"},
	{from: volume.StateError, event: volume.EventReconciled, to: volume.StateError, guard: strangerHolds, fact: "on a node never asked for"},
	{from: volume.StateAvailable, event: volume.EventReconciled, to: volume.StateAvailable, guard: notBelievedAttached, fact: "record stays, or backend believed, detached"},
	{from: volume.StateAvailable, event: volume.EventReconciled, to: volume.StateAttached, guard: believedAttached, fact: "backend believed, attached"},
	{from: volume.StateAttached, event: volume.EventReconciled, to: volume.StateAvailable, guard: believedDetached, fact: "backend believed, detached"},
	{from: volume.StateAttached, event: volume.EventReconciled, to: volume.StateAttached, guard: notBelievedDetached, fact: "record stays, or backend believed, attached"},

	// What differs from a settled record leaves it where it is, unless the volume is gone.
	{from: volume.StateAvailable, event: volume.EventDrifted, to: volume.StateAvailable, guard: recordStays, fact: "record stays"},
	{from: volume.StateAvailable, event: volume.EventDrifted, to: volume.StateError, guard: goneIsError, fact: "backend absent, record_only error"},
	{from: volume.StateAvailable, event: volume.EventDrifted, to: volume.StateDeleted, guard: goneIsDeleted, fact: "backend absent, record_only delete"},
	{from: volume.StateAttached, event: volume.EventDrifted, to: volume.StateAttached, guard: recordStays, fact: "record stays"},
	{from: volume.StateAttached, event: volume.EventDrifted, to: volume.StateError, guard: goneIsError, fact: "backend absent, record_only error"},
	{from: volume.StateAttached, event: volume.EventDrifted, to: volume.StateDeleted, guard: goneIsDeleted, fact: "backend absent, record_only delete"},
	{from: volume.StateAttachingFailed, event: volume.EventDrifted, to: volume.StateError, guard: strangerHolds, fact: "on a node never asked for"},
	{from: volume.StateError, event: volume.EventDrifted, to: volume.StateError, guard: strangerHolds, fact: "on a node never asked for"},

	// A volume that only the backend has gets a record.
	{from: volume.StatePending, event: volume.EventAdopted, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StatePending, event: volume.EventAdopted, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateDeleted, event: volume.EventAdopted, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateDeleted, event: volume.EventAdopted, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},

	// A cancelled operation settles where the backend really is.
	{from: volume.StateCreatingFailed, event: volume.EventCancelled, to: volume.StatePending, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateCreatingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateCreatingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateAttachingFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateAttachingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateAttachingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateDetachingFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateDetachingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateDetachingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateDeletingFailed, event: volume.EventCancelled, to: volume.StateDeleted, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateDeletingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateDeletingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateExtendingFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateExtendingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateExtendingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateEvictingFailed, event: volume.EventCancelled, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateEvictingFailed, event: volume.EventCancelled, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateEvictingFailed, event: volume.EventCancelled, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},

	// What the backend refuses leaves the volume where the backend really is, too. A create is
	// never refused: the first three are of an image that is not to be taken in.
	{from: volume.StateCreatingFailed, event: volume.EventRefused, to: volume.StatePending, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateCreatingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateCreatingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateAttachingFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateAttachingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateAttachingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateDetachingFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateDetachingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateDetachingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateDeletingFailed, event: volume.EventRefused, to: volume.StateDeleted, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateDeletingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateDeletingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
	{from: volume.StateExtendingFailed, event: volume.EventRefused, to: volume.StateError, guard: backendAbsent, fact: "backend absent"},
	{from: volume.StateExtendingFailed, event: volume.EventRefused, to: volume.StateAvailable, guard: backendDetached, fact: "backend detached"},
	{from: volume.StateExtendingFailed, event: volume.EventRefused, to: volume.StateAttached, guard: backendAttached, fact: "backend attached"},
}

// Facts are what the guards look at.
type Facts struct {
	// RecordAttached says that the record has attachments.
	RecordAttached bool
	// Observed is what the backend has; nil while nobody asked it.
	Observed *Observation
	// RecordOnly is the policy for a settled volume that the backend does not have; empty
	// means the default one.
	RecordOnly volume.RecordOnly
	// Believed says that the backend is right about a settled volume, too.
	Believed bool
	// Stranger says that a node holds the volume at the backend that nobody asked for.
	Stranger bool
}

// Observation is what a backend has of a volume.
type Observation struct {
	// Present says that the backend has the volume, with its ID.
	Present bool
	// ID is whose the object is that has the volume's place; empty if there is none, and it
	// may be left out of the volume's own.
	ID          volume.ID
	Size        volume.Bytes
	Attachments volume.Attachments
	// Snapshots is how many there are; nil if nobody counted them.
	Snapshots *int
	// Whole says that the volume is known to share nothing with its source any more.
	Whole bool
}

// nowhere reports whether there is nothing in the volume's place, not even another's.
func (o Observation) nowhere() bool { return !o.Present && o.ID == "" }

type factsKey struct{}

func factsOf(ctx context.Context) Facts { return ctx.Value(factsKey{}).(*lookup).facts }

func recordAttached(ctx context.Context, _ ...any) bool { return factsOf(ctx).RecordAttached }
func recordDetached(ctx context.Context, _ ...any) bool { return !factsOf(ctx).RecordAttached }

func backendAbsent(ctx context.Context, _ ...any) bool {
	seen := factsOf(ctx).Observed
	return seen != nil && !seen.Present
}

func backendPresent(ctx context.Context, _ ...any) bool {
	seen := factsOf(ctx).Observed
	return seen != nil && seen.Present
}

// recordStays: neither is the volume gone, unless that is ignored, nor is the backend believed.
func recordStays(ctx context.Context, _ ...any) bool {
	facts := factsOf(ctx)
	return facts.Observed != nil && !goneIsError(ctx) && !goneIsDeleted(ctx) && !(facts.Believed && facts.Observed.Present)
}

func goneIsError(ctx context.Context, _ ...any) bool {
	return gone(ctx) && (factsOf(ctx).RecordOnly == "" || factsOf(ctx).RecordOnly == volume.RecordOnlyError)
}

func goneIsDeleted(ctx context.Context, _ ...any) bool {
	return gone(ctx) && factsOf(ctx).RecordOnly == volume.RecordOnlyDelete
}

func gone(ctx context.Context) bool {
	seen := factsOf(ctx).Observed
	return seen != nil && seen.nowhere()
}

func strangerHolds(ctx context.Context, _ ...any) bool {
	return factsOf(ctx).Stranger && backendAttached(ctx)
}

func rightlyAttached(ctx context.Context, _ ...any) bool {
	return !factsOf(ctx).Stranger && backendAttached(ctx)
}

func believedAttached(ctx context.Context, _ ...any) bool {
	return factsOf(ctx).Believed && backendAttached(ctx)
}

func notBelievedAttached(ctx context.Context, _ ...any) bool {
	return recordStays(ctx) || believedDetached(ctx)
}

func notBelievedDetached(ctx context.Context, _ ...any) bool {
	return recordStays(ctx) || believedAttached(ctx)
}

func believedDetached(ctx context.Context, _ ...any) bool {
	return factsOf(ctx).Believed && backendDetached(ctx)
}

func backendAttached(ctx context.Context, _ ...any) bool {
	return backendPresent(ctx) && len(factsOf(ctx).Observed.Attachments) > 0
}

func backendDetached(ctx context.Context, _ ...any) bool {
	return backendPresent(ctx) && len(factsOf(ctx).Observed.Attachments) == 0
}

// lookup carries one question through the machine, which itself holds no state.
type lookup struct {
	from, to volume.State
	facts    Facts
}

// machine is used as a lookup table only: no actions, no parameters, and the state
// lives in the context, so that one machine serves all goroutines.
var machine = newMachine()

func newMachine() *stateless.StateMachine {
	m := stateless.NewStateMachineWithExternalStorage(
		func(ctx context.Context) (stateless.State, error) {
			question, ok := ctx.Value(factsKey{}).(*lookup)
			if !ok {
				return volume.StatePending, nil // stateless asks for a state when it draws its graph
			}
			return question.from, nil
		},
		func(ctx context.Context, to stateless.State) error {
			ctx.Value(factsKey{}).(*lookup).to = to.(volume.State)
			return nil
		},
		stateless.FiringImmediate,
	)
	for _, state := range volume.States() {
		m.Configure(state)
	}
	for _, e := range edges {
		guards := []stateless.GuardFunc{}
		if e.guard != nil {
			guards = append(guards, e.guard)
		}
		if e.from == e.to {
			m.Configure(e.from).PermitReentry(e.event, guards...)
		} else {
			m.Configure(e.from).Permit(e.event, e.to, guards...)
		}
	}
	m.OnUnhandledTrigger(func(_ context.Context, state stateless.State, trigger stateless.Trigger, unmet []string) error {
		return &RejectedError{
			State: state.(volume.State),
			Event: trigger.(volume.Event),
			Unmet: unmet,
			Code:  volume.ErrInvalidTransition,
		}
	})
	return m
}

var knownStates = func() map[volume.State]bool {
	known := map[volume.State]bool{}
	for _, s := range volume.States() {
		known[s] = true
	}
	return known
}()

// Next returns the state that the event leads to from the given one. For a pair that
// is not in the table, or whose guards do not hold, it returns the unchanged state and
// a [*RejectedError] that is an [volume.ErrInvalidTransition].
func Next(from volume.State, event volume.Event, facts Facts) (volume.State, error) {
	// stateless would add a state that it does not know to its table.
	if !knownStates[from] {
		return from, &RejectedError{State: from, Event: event, Code: volume.ErrInvalidTransition, Detail: "unknown state"}
	}
	question := &lookup{from: from, to: from, facts: facts}
	err := machine.FireCtx(context.WithValue(context.Background(), factsKey{}, question), event)
	if err != nil {
		return from, err
	}
	return question.to, nil
}

// CanTransition reports whether the event is valid from the state for some facts.
func CanTransition(from volume.State, event volume.Event) bool {
	for _, e := range edges {
		if e.from == from && e.event == event {
			return true
		}
	}
	return false
}

// RejectedError is a refusal: a command or event that the volume's state or a
// precondition does not allow. Nothing was changed and trying again will not help.
// It matches its [volume.Code] and that code's [volume.Class].
type RejectedError struct {
	Key    volume.Key
	State  volume.State // empty if there is no such volume
	Event  volume.Event // the trigger; empty if a precondition refused first
	Verb   volume.Verb
	Unmet  []string // names of the guards that did not hold
	Code   volume.Code
	Detail string
	By     []volume.Blocker // what stands in the way, where that can be named
}

// Error names the volume, what was asked, the state if there is one, and why not.
func (e *RejectedError) Error() string {
	text := string(cmp.Or(e.Verb, volume.Verb(e.Event)))
	if e.Key != (volume.Key{}) {
		text += " volume " + e.Key.String()
	}
	if e.State != "" {
		text += " in state " + string(e.State)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if len(e.Unmet) > 0 {
		text += fmt.Sprintf(": unmet %v", e.Unmet)
	}
	return text + ": " + string(e.Code)
}

// Blockers returns By; see [volume.NewFailure].
func (e *RejectedError) Blockers() []volume.Blocker { return e.By }

// Is reports whether target is the error's code or that code's class.
func (e *RejectedError) Is(target error) bool {
	return target == error(e.Code) || target == error(e.Code.Class())
}

// As lets errors.As find the code.
func (e *RejectedError) As(target any) bool {
	code, ok := target.(*volume.Code)
	if ok {
		*code = e.Code
	}
	return ok
}
