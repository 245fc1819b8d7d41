// Package reconciletest holds the rows of the decision table of a reconcile (requirement A8) as
// tests need them: for each a record that a worker could have left, what the backend is made
// to have of it, and how both have to be after a reconcile. They are held against every
// backend with a real server.
package reconciletest

import (
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// Row is one row, for one of its states.
type Row struct {
	Name string
	// Has is what the backend has: nothing, it, more of it, another's in its place, an image
	// that an adopt is to take in; with " on NODE" a node writes it.
	Has string
	// Policy is that of the volume's backend; empty is none at all.
	Policy volume.RecordOnly
	Args   volume.Args // of the reconcile

	To    volume.State
	Event volume.Event
	Node  string // that the record says has it then
	// Failed is the code with which the reconcile is refused when its volume is gone.
	Failed volume.Code

	record func(*crafted)
	drift  string
}

// Volume is a name for the volume of the row.
func (r Row) Volume() volume.Name {
	return volume.Name(strings.NewReplacer(", ", "-", " ", "-", "'", "").Replace(r.Name))
}

// Drift is what the record of the volume is marked with in the end.
func (r Row) Drift(key volume.Key) string { return strings.ReplaceAll(r.drift, "KEY", key.String()) }

// Comparable reports whether record and backend say the same in the end.
func (r Row) Comparable() bool {
	crafted := r.Name == attachedAsRecorded // which does not say how the node reaches the volume
	return r.Has != "nothing" && r.Has != "another" && r.drift == "" && !crafted
}

// Quiet reports whether a second reconcile changes nothing. One that is gone is after it what
// a volume in error is that the backend does not have.
func (r Row) Quiet() bool {
	return r.To != volume.StatePending && r.To != volume.StateDeleted && (r.To != volume.StateError || r.Has != "nothing")
}

const attachedAsRecorded = "attached, as recorded"

// Rows returns all of them, each state of a row by itself.
func Rows() []Row {
	rows := append(unsure(), gone()...)
	rows = append(append(rows, different()...), believed()...)
	for _, row := range resumed() {
		rows = append(rows, row)
		row.Name, row.record = strings.Replace(row.Name, ",", " failed,", 1), hasFailed(row.record)
		rows = append(rows, row)
	}
	return rows
}

func unsure() []Row {
	return []Row{
		{Name: "error, absent", record: isError, Has: "nothing", To: volume.StatePending, Event: volume.EventReconciled},
		{Name: "error, present", record: isError, Has: "it", To: volume.StateAvailable, Event: volume.EventReconciled},
		{Name: "error, on a node", record: isErrorUnheld, Has: "it on n3", To: volume.StateAttached, Event: volume.EventReconciled, Node: "n3"},
		{Name: "error, another's", record: isError, Has: "another", To: volume.StatePending, Event: volume.EventReconciled},
	}
}

func gone() []Row {
	const ghost = "ghost: wanted 1MiB, actual nothing"
	rows := []Row{
		{Name: "available, absent, error", record: isAvailable, Policy: volume.RecordOnlyError, To: volume.StateError},
		{Name: "available, absent, delete", record: isAvailable, Policy: volume.RecordOnlyDelete, To: volume.StateDeleted},
		{Name: "available, absent, ignore", record: isAvailable, Policy: volume.RecordOnlyIgnore, To: volume.StateAvailable},
		{Name: "available, absent, believed", record: isAvailable, Args: believe, To: volume.StateError},
		{Name: "attached, absent, default", record: isAttached, To: volume.StateError, Node: "n1"},
		{Name: "attached, absent, delete", record: isAttached, Policy: volume.RecordOnlyDelete, To: volume.StateDeleted},
		{Name: "attached, absent, ignore", record: isAttached, Policy: volume.RecordOnlyIgnore, To: volume.StateAttached, Node: "n1"},
	}
	for i := range rows {
		rows[i].Has, rows[i].Event, rows[i].drift = "nothing", volume.EventDrifted, ghost
	}
	return rows
}

func different() []Row {
	rows := []Row{
		{Name: "available, larger", record: isAvailable, Has: "more", To: volume.StateAvailable, drift: "size: wanted 1MiB, actual 2MiB"},
		{Name: "available, on a node", record: isAvailable, Has: "it on n3", To: volume.StateAvailable, drift: "node: wanted nothing, actual n3"},
		{Name: "attached, on another", record: isAttached, Has: "it on n9", To: volume.StateAttached, drift: "node: wanted n1, actual n9", Node: "n1"},
		{Name: "attached, on none", record: isAttached, Has: "it", To: volume.StateAttached, drift: "node: wanted n1, actual nothing", Node: "n1"},
		{Name: "available, another's", record: isAvailable, Has: "another", Policy: volume.RecordOnlyDelete, To: volume.StateAvailable, drift: "owner: wanted KEY.1, actual KEY.77"},
	}
	for i := range rows {
		rows[i].Event = volume.EventDrifted
	}
	return append(rows, Row{
		Name: attachedAsRecorded, record: isAttached, Has: "it on n1", To: volume.StateAttached, Event: volume.EventReconciled, Node: "n1",
	})
}

var believe = volume.Args{Believe: volume.BelieveBackend}

func believed() []Row {
	return []Row{
		{Name: "available, believed", record: isAvailable, Has: "it on n3", Args: believe, To: volume.StateAttached, Event: volume.EventReconciled, Node: "n3"},
		{Name: "attached, believed", record: isAttached, Has: "more", Args: believe, To: volume.StateAvailable, Event: volume.EventReconciled},
	}
}

// resumed are those of operations whose command is in no stream any more: the reconcile is
// the next command of the volume, and ends them first.
func resumed() []Row {
	return []Row{
		{Name: "creating, absent", record: isCreating, Has: "nothing", To: volume.StateAvailable, Event: volume.EventReady},
		{Name: "creating, present", record: isCreating, Has: "it", To: volume.StateAvailable, Event: volume.EventReady},
		{Name: "importing, not yet", record: isImporting, Has: "an image", To: volume.StateAvailable, Event: volume.EventReady},
		{Name: "importing, done", record: isImporting, Has: "it", To: volume.StateAvailable, Event: volume.EventReady},
		{Name: "attaching, as asked", record: isAttaching, Has: "it on n1", To: volume.StateAttached, Event: volume.EventAttached, Node: "n1"},
		{Name: "attaching, elsewhere", record: isAttaching, Has: "it on n9", To: volume.StateError, Event: volume.EventDrifted, drift: "node: wanted n1, actual n9"},
		{Name: "attaching, not", record: isAttaching, Has: "it", To: volume.StateAttached, Event: volume.EventAttached, Node: "n1"},
		{Name: "detaching, not yet", record: isDetaching, Has: "it on n1", To: volume.StateAvailable, Event: volume.EventDetached},
		{Name: "detaching, done", record: isDetaching, Has: "it", To: volume.StateAvailable, Event: volume.EventDetached},
		{Name: "deleting, done", record: isDeleting, Has: "nothing", To: volume.StateDeleted, Event: volume.EventDeleted, Failed: volume.ErrVolumeNotFound},
		{Name: "deleting, not yet", record: isDeleting, Has: "it", To: volume.StateDeleted, Event: volume.EventDeleted, Failed: volume.ErrVolumeNotFound},
	}
}
