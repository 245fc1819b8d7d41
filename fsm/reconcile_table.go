package fsm

import (
	"slices"

	"github.com/jetvol/jetvol/volume"
)

// Sight is what is found at the backend when a record is compared with it.
type Sight string

// What there is to see. Present and absent are of an object with the volume's ID.
const (
	SeenNothing     Sight = "unreachable"                        // it does not answer
	SeenAbsent      Sight = "absent"                             //
	SeenFree        Sight = "present, no node"                   //
	SeenHeld        Sight = "present, on nodes"                  //
	SeenAsAsked     Sight = "present, on the node asked for"     // by the attach that is under way
	SeenElsewhere   Sight = "present, on a node never asked for" // neither by the record nor by the attach
	SeenAsRecorded  Sight = "as recorded"                        //
	SeenDifferent   Sight = "size, node, owner or snapshots differ"
	SeenAsBefore    Sight = "differs as the record says already"
	SeenNotRecorded Sight = "present, no record"
	SeenForeign     Sight = "present, under its foreign name" // by the adopt that is under way
)

// Row is one row of the decision table: what becomes of a volume whose record is in one of
// the states when that is seen at its backend.
type Row struct {
	States []volume.State // none for every state
	Seen   Sight
	Policy volume.RecordOnly // where the row is of one policy only
	// Believe says that the row is of a reconcile that believes the backend.
	Believe bool

	// To is the resulting state, empty for the one that it is.
	To    volume.State
	Event volume.Event
	// Resumed is the operation that is begun again and leads there, or empty.
	Resumed volume.Verb
}

// The states of a row that are told apart by nothing else.
var (
	broken     = []volume.State{volume.StateError}
	unsure     = []volume.State{volume.StatePending, volume.StateError}
	settled    = []volume.State{volume.StateAvailable, volume.StateAttached}
	creating   = []volume.State{volume.StateCreating, volume.StateCreatingFailed}
	attaching  = []volume.State{volume.StateAttaching, volume.StateAttachingFailed}
	detaching  = []volume.State{volume.StateDetaching, volume.StateDetachingFailed}
	deleting   = []volume.State{volume.StateDeleting, volume.StateDeletingFailed}
	recordless = []volume.State{volume.StatePending, volume.StateDeleted} // without an ID, or dead
)

// reconcileRows is the decision table of requirement A8. [Reconcile] and [Settle] take their
// event from it, and the machine's edges the state to which that leads. A row with an
// operation needs no look at the backend: calls are idempotent, so the operation finds out
// what is there by being begun again.
var reconcileRows = []Row{
	{Seen: SeenNothing, Event: volume.EventRejected},

	{States: unsure, Seen: SeenAbsent, To: volume.StatePending, Event: volume.EventReconciled},
	{States: unsure, Seen: SeenFree, To: volume.StateAvailable, Event: volume.EventReconciled},
	{States: unsure, Seen: SeenHeld, To: volume.StateAttached, Event: volume.EventReconciled},
	// Whom nobody asked for is not let in by being looked at again.
	{States: broken, Seen: SeenElsewhere, Event: volume.EventDrifted},
	{States: broken, Seen: SeenAsBefore, Event: volume.EventReconciled},

	{States: creating, Seen: SeenAbsent, Resumed: volume.VerbCreate, To: volume.StateAvailable, Event: volume.EventReady},
	{States: creating, Seen: SeenFree, Resumed: volume.VerbCreate, To: volume.StateAvailable, Event: volume.EventReady},
	{States: creating, Seen: SeenForeign, Resumed: volume.VerbAdopt, To: volume.StateAvailable, Event: volume.EventReady},
	{States: attaching, Seen: SeenAsAsked, Resumed: volume.VerbAttach, To: volume.StateAttached, Event: volume.EventAttached},
	{States: attaching, Seen: SeenElsewhere, Resumed: volume.VerbAttach, To: volume.StateError, Event: volume.EventDrifted},
	{States: attaching, Seen: SeenFree, Resumed: volume.VerbAttach, To: volume.StateAttached, Event: volume.EventAttached},
	{States: detaching, Seen: SeenHeld, Resumed: volume.VerbDetach, To: volume.StateAvailable, Event: volume.EventDetached},
	{States: detaching, Seen: SeenFree, Resumed: volume.VerbDetach, To: volume.StateAvailable, Event: volume.EventDetached},
	{States: deleting, Seen: SeenAbsent, Resumed: volume.VerbDelete, To: volume.StateDeleted, Event: volume.EventDeleted},
	{States: deleting, Seen: SeenFree, Resumed: volume.VerbDelete, To: volume.StateDeleted, Event: volume.EventDeleted},

	{States: settled, Seen: SeenAbsent, Policy: volume.RecordOnlyError, To: volume.StateError, Event: volume.EventDrifted},
	{States: settled, Seen: SeenAbsent, Policy: volume.RecordOnlyDelete, To: volume.StateDeleted, Event: volume.EventDrifted},
	{States: settled, Seen: SeenAbsent, Policy: volume.RecordOnlyIgnore, Event: volume.EventDrifted},
	{States: settled, Seen: SeenDifferent, Event: volume.EventDrifted},
	{States: settled, Seen: SeenAsBefore, Event: volume.EventReconciled},
	{States: settled, Seen: SeenAsRecorded, Event: volume.EventReconciled},
	{States: settled, Seen: SeenFree, Believe: true, To: volume.StateAvailable, Event: volume.EventReconciled},
	{States: settled, Seen: SeenHeld, Believe: true, To: volume.StateAttached, Event: volume.EventReconciled},

	{States: recordless, Seen: SeenFree, To: volume.StateAvailable, Event: volume.EventAdopted},
	{States: recordless, Seen: SeenHeld, To: volume.StateAttached, Event: volume.EventAdopted},
}

// ReconcileTable returns the rows of the decision table, in their order.
func ReconcileTable() []Row { return slices.Clone(reconcileRows) }

// rowOf returns the row of a record of a volume that lives, and false for one in a state in
// which the backend is not asked.
func rowOf(record volume.Record, seen Observation, command volume.Command) (Row, bool) {
	policy := command.RecordOnly
	if policy == "" {
		policy = volume.RecordOnlyError
	}
	sight := sightOf(record, seen, policy, command.Args.Believe)
	believe := slices.Contains(settled, record.State) && (sight == SeenFree || sight == SeenHeld)
	for _, row := range reconcileRows {
		if row.Seen == sight && row.Believe == believe && row.Event != volume.EventAdopted &&
			slices.Contains(row.States, record.State) && (row.Policy == "" || row.Policy == policy) {
			return row, true
		}
	}
	return Row{}, false
}

// sightOf says what is seen, as the rows of the record's state tell it apart.
func sightOf(record volume.Record, seen Observation, policy volume.RecordOnly, believe volume.Side) Sight {
	if slices.Contains(settled, record.State) {
		return settledSight(record, seen, policy, believe)
	}
	isAttach := slices.Contains(attaching, record.State)
	elsewhere, drift := heldElsewhere(record, seen)
	switch {
	case !seen.Present:
		return SeenAbsent
	case len(seen.Attachments) == 0:
		return SeenFree
	case elsewhere && isAttach:
		return SeenElsewhere
	case elsewhere && believe == "" && drift.Same(record.Drift):
		return SeenAsBefore
	case elsewhere && believe == "":
		return SeenElsewhere
	case isAttach:
		return SeenAsAsked
	default:
		return SeenHeld
	}
}

func settledSight(record volume.Record, seen Observation, policy volume.RecordOnly, believe volume.Side) Sight {
	drift := Drift(record, seen)
	switch {
	case seen.nowhere() && policy != volume.RecordOnlyIgnore:
		return SeenAbsent
	case seen.Present && believe == volume.BelieveBackend && len(seen.Attachments) > 0:
		return SeenHeld
	case seen.Present && believe == volume.BelieveBackend:
		return SeenFree
	case drift == nil:
		return SeenAsRecorded
	case drift.Same(record.Drift):
		return SeenAsBefore
	case seen.nowhere():
		return SeenAbsent
	default:
		return SeenDifferent
	}
}
