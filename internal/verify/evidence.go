package verify

import (
	"cmp"
	"slices"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// Evidence is what a run has left behind. All commands must be in it: an event of any
// other counts as a fault.
type Evidence struct {
	Commands    []Command
	Transitions []volume.Transition // in the order of the event stream
	Records     map[volume.Key]volume.Record
	// Outcomes are the answers in the bucket of outcomes, by the key of their volume.
	Outcomes    map[volume.Key][]volume.Outcome
	DeadLetters map[volume.CommandID]int

	Objects []backends.Object // as the backend lists them
	// Snapshots are those of each volume as the backend lists them.
	Snapshots map[volume.Key][]backends.Snapshot
	Files     Files
	// Entries are those of the store of snapshots and clones, and Broken is what the store's
	// own check says of them.
	Entries []Entry
	Broken  []string
	// Quotas is in what the ledgers of quotas differ from the records.
	Quotas  []string
	Effects []Effect // the backend's journal, in its order
	// NoJournal says that the backend keeps none: there are no effects to be checked.
	NoJournal bool
	Kills     []Span // of processes that use the backend, by SIGKILL
	Stops     []Span // of such processes, by SIGSTOP until SIGCONT

	ColdStart ColdStart
	// Audited is what the audit of events and records found.
	Audited []Fault
}

// Span is the time between two moments. A kill is somewhere between the call that asks
// for it and the return of the one that finds the process dead.
type Span struct {
	From, To time.Time
}

// Command is one command and everything that its publishers were told about it.
type Command struct {
	Key  volume.Key
	ID   volume.CommandID
	Verb volume.Verb
	Args volume.Args
	volume.Preconditions
	Kind Kind
	// Client is who gave it first, at Called, which is before it was published. Returned
	// is when the first answer came to anybody; it is zero if nobody asked.
	Client           int
	Called, Returned time.Time
	// Accepted says that the stream acknowledged it to a publisher who did not wait for
	// an answer, and who would not have noticed if it had been lost.
	Accepted bool
	// Asked is how often it was published by somebody who waited for its answer, and
	// Answers are what they got.
	Asked   int
	Answers []commands.Reply
	// Reused and Reuses are the same for other commands of the volume under this ID.
	Reused int
	Reuses []commands.Reply
}

// Kind says what has to become of a command.
type Kind string

// The kinds of command.
const (
	Ordinary     Kind = "ordinary"      // one outcome, whatever it is
	ValidateOnly Kind = "validate_only" // an answer and no trace
	Malformed    Kind = "malformed"     // a dead letter and an answer that says why
)

// Files is what the backend has, as something else than its driver shows it: the local
// backend's directory, or a Ceph pool by Ceph's own tools.
type Files struct {
	Data  map[volume.Key]volume.Bytes // size of each data file
	Stray []string                    // files that belong to no object
	// Snapshots are the sizes of what is kept of each volume.
	Snapshots map[volume.Key]map[volume.SnapshotName]volume.Bytes
	// Restored are the sizes of what was copied for a restore and did not get into its place.
	Restored map[volume.Key]volume.Bytes
	// Released are the sizes of what has a name of [volume.ReleasedImage].
	Released map[volume.Image]volume.Bytes
	// Parents are the snapshots that volumes still share content with. A backend whose
	// clones are whole from the start has none.
	Parents map[volume.Key]volume.SnapshotKey
}

// Entry is one of the store of snapshots and clones.
type Entry struct {
	Project volume.Project
	// Of a clone Snapshot is empty.
	volume.SnapshotKey
	Kind   EntryKind
	ID     volume.ID
	Parent volume.SnapshotKey
	// Size is that of the volume when the snapshot was made.
	Size volume.Bytes
	// Removing says that the entry is marked as about to go.
	Removing bool
}

func (e Entry) volume() volume.Key { return volume.Key{Project: e.Project, Name: e.Volume} }

// EntryKind is what an [Entry] stands for.
type EntryKind string

// The kinds of entry, named as in the store.
const (
	Active    EntryKind = "active"    // a clone
	View      EntryKind = "view"      // a clone that is only read
	Committed EntryKind = "committed" // a snapshot
)

// Effect is one entry of the backend's journal: a change that really happened.
type Effect struct {
	Time   time.Time
	Change fsm.Action
	ID     volume.ID
	Size   volume.Bytes // of a create, resize, snapshot or restore
	Node   volume.Node  // of an attach or detach

	Snapshot volume.SnapshotName // of a snapshot, its deletion or a restore
	Source   volume.SnapshotKey  // of the create of a clone
}

// ColdStart is what a start after an orderly end found to do.
type ColdStart struct {
	Queued uint64 // commands in the stream
	Events uint64 // events that it published
	Writes uint64 // records that it wrote
}

// Answer returns the command's first answer, or the stored outcome if nobody asked. It
// returns ok false if there is neither.
func (c Command) Answer(stored []volume.Outcome) (first commands.Reply, ok bool) {
	switch {
	case len(c.Answers) > 0:
		return c.Answers[0], true
	case len(stored) > 0:
		return commands.NewReply(c.Key, stored[0], false), true
	default:
		return commands.Reply{}, false
	}
}

// commandKey addresses a command: IDs are each volume's own.
type commandKey struct {
	volume.Key
	ID volume.CommandID
}

// byVolume groups what belongs to volumes and keeps its order.
func byVolume[T any](all []T, key func(T) volume.Key) map[volume.Key][]T {
	groups := map[volume.Key][]T{}
	for _, one := range all {
		groups[key(one)] = append(groups[key(one)], one)
	}
	return groups
}

func (e Evidence) transitionsByVolume() map[volume.Key][]volume.Transition {
	return byVolume(e.Transitions, func(t volume.Transition) volume.Key { return t.Key })
}

// sortedKeys returns the keys of m in the order of their text, so that the same
// evidence always gives the same report.
func sortedKeys[V any](m map[volume.Key]V) []volume.Key {
	keys := make([]volume.Key, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b volume.Key) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}
