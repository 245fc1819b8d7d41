package volume

import (
	"strings"
	"time"
)

// SchemaVersion is the version of the payload of records and events that this code
// writes. A reader refuses a greater one rather than lose fields that it does not know.
//
// From the first release on it is raised with every field that is added or means something else.
// Until then it stays 1, and workers of builds between which a field came must not work on the same
// buckets: the older one drops the field.
const SchemaVersion = 1

// Record is what the `volumes` bucket holds of one volume, under the key
// `<project>.<name>`. Its owner is the only one who writes it, by compare-and-set.
type Record struct {
	SchemaVersion int `json:"schema_version"`
	// State comes early because the nats CLI shows the beginning of a long value only.
	State      State  `json:"state"`
	Generation uint64 `json:"generation"` // of the last transition: 1, 2, 3 …
	Key
	ID ID `json:"id,omitempty"`

	Spec
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at"`

	// Owner is the worker that acts on the volume, or the last one that did.
	Owner Owner `json:"owner,omitzero"`
	// Op is the operation under way; nil in every settled state.
	Op *Op `json:"op,omitempty"`
	// CommandSequence is the command stream's sequence of the last command decided.
	CommandSequence uint64 `json:"command_sequence"`
	// Outcomes are the answers to the latest commands, oldest first.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Spilled counts the outcomes that were moved to the `outcomes` bucket. It is not 0
	// if that bucket may know a command of this name.
	Spilled uint64 `json:"spilled,omitempty"`

	// Reserved is the revision of the project's quota ledger at which the volume's usage was
	// reserved last; 0 if it never was. By it a reservation is told from one that was made
	// and not used: see package quotas.
	Reserved uint64 `json:"reserved,omitempty"`

	// Outbox holds the events of the latest writes, oldest first. They belong on the
	// event stream directly after sequence EventSequence, which is the volume's last
	// event before them.
	Outbox        []Transition `json:"outbox,omitempty"`
	EventSequence uint64       `json:"event_sequence"`
	// Assumed says that the worker stored this record without having looked for earlier events
	// of the name. It holds only if the one event in the outbox is the volume's first on the
	// stream; until that is known nothing else was done. If another event stands there, the
	// record is taken away.
	Assumed bool `json:"assumed,omitempty"`
	// EventHash is the hash of the volume's last event, which the next one will carry as
	// [Transition.Previous]: that of the last in the outbox, or of the one at EventSequence
	// if the outbox is empty. Empty in a record that an earlier build has written.
	EventHash string `json:"event_hash,omitempty"`
}

// Spec is what a volume is, apart from where it stands in its life.
type Spec struct {
	Size    Bytes  `json:"size_bytes"`
	Backend string `json:"backend,omitempty"`
	Labels  Labels `json:"labels,omitempty"`
	// Attachments are the nodes that hold the volume, in the order of their names.
	Attachments Attachments `json:"attachments,omitempty"`
	// Drift says how the backend differs from this record, if a reconcile found that.
	Drift *Drift `json:"drift,omitempty"`

	// Source is the snapshot that the volume is a clone of; none once it was flattened.
	Source SnapshotKey `json:"source,omitzero"`
	// ReadOnly says that the volume is a view: nodes attach it to read only.
	ReadOnly bool `json:"read_only,omitempty"`
	// Snapshots is how many snapshots of the volume there are, at most [MaxSnapshots].
	Snapshots int `json:"snapshots,omitempty"`
	// HalfRestored is the snapshot whose restore began and did not end. The content may
	// be of two times, so no node gets it, and no snapshot keeps it, until a restore ends.
	HalfRestored SnapshotName `json:"half_restored,omitempty"`
}

// Owner says which worker acts on a volume, and since when.
type Owner struct {
	Worker string `json:"worker"`
	// Instance is another one each time the worker is started.
	Instance string `json:"instance"`
	// Epoch is the fencing token: it goes up whenever the volume gets another owner, and
	// the backend refuses calls of an older one.
	Epoch uint64    `json:"epoch"`
	Since time.Time `json:"since"`
	// Fencing says that the backend has still to be told of the epoch.
	Fencing bool `json:"fencing,omitempty"`
}

// Op is a command being carried out. With it any worker can go on after a crash.
type Op struct {
	CommandID   CommandID `json:"command_id"`
	Digest      string    `json:"digest"`
	Verb        Verb      `json:"verb"`
	Args        Args      `json:"args"`
	Actor       string    `json:"actor,omitempty"`
	Sequence    uint64    `json:"sequence"`
	TraceParent string    `json:"traceparent,omitempty"`
	Deadline    time.Time `json:"deadline,omitzero"`
	StartedAt   time.Time `json:"started_at"`
	// Attempt is the number of the current or last attempt: 1, 2, 3 …
	Attempt     int       `json:"attempt"`
	NextRetryAt time.Time `json:"next_retry_at,omitzero"`
	// Failure is why the last attempt failed; nil while none has.
	Failure *Failure `json:"failure,omitempty"`
	// Eviction is what a node_gone has fenced so far; nil for every other verb.
	Eviction *Eviction `json:"eviction,omitempty"`
	// Snapshot is what the verb is about; nil for those that are not about one.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Image is what an unmanage has the backend keep the volume as, or what an adopt takes in;
	// empty for every other verb.
	Image Image `json:"image,omitempty"`
}

// Snapshot names the snapshot that an operation is about.
type Snapshot struct {
	Name SnapshotName `json:"name"`
	// ID is the snapshot's own, formed like the volume's with the generation of the
	// transition that began it. Empty in a delete and a restore.
	ID ID `json:"id,omitempty"`
	// Size is the volume's at the moment of the snapshot.
	Size Bytes `json:"size_bytes,omitempty"`
}

// Progress is how far a long operation has come. What it counts is the backend's matter;
// Done is Total at the end. A Total of 0 is not known.
type Progress struct {
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"`
}

// Failure is an error as data.
type Failure struct {
	Code    Code   `json:"code"`
	Class   Class  `json:"class"`
	Message string `json:"message"`
	// BlockedBy lists what stands in the way, at most [MaxBlockers].
	BlockedBy []Blocker `json:"blocked_by,omitempty"`
}

// Outcome returns the answer to the transition's command, if the command ended with it.
func (t Transition) Outcome() (Outcome, bool) {
	result := Succeeded
	switch t.Event {
	case EventRejected:
		result = Rejected
	case EventFail, EventCancelled, EventRefused:
		result = Failed
	case EventDrifted:
		if t.Failure != nil { // of an attach, which has found it; a reconcile has done its work
			result = Failed
		}
	}
	state := t.To
	if t.VolumeID == "" { // a volume that never was has no state
		state = ""
	}
	return Outcome{
		CommandID: t.CommandID, Digest: t.CommandDigest, Verb: t.Verb, Result: result,
		State: state, Generation: t.Generation, VolumeID: t.VolumeID, Failure: t.Failure, Eviction: t.Eviction,
		Snapshot: t.Snapshot, Image: t.Image,
	}, t.Final
}

// maxFailureMessage bounds the text of a [Failure], in bytes: a record holds several and
// has to fit into one message, whatever a backend says.
const maxFailureMessage = 1024

// NewFailure returns err as data. The message does not repeat the code at its end, and a
// very long one is cut. An error in its chain with a method Blockers says what blocks.
func NewFailure(err error) *Failure {
	code := CodeOf(err)
	message := cut(strings.TrimSuffix(err.Error(), ": "+string(code)), maxFailureMessage)
	return &Failure{Code: code, Class: code.Class(), Message: message, BlockedBy: blockersOf(err)}
}

// cut bounds a text, in bytes, and shows where it did.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// Result is how a command ended.
type Result string

// The results.
const (
	Succeeded Result = "succeeded"
	Failed    Result = "failed"   // the backend failed, or it was cancelled
	Rejected  Result = "rejected" // refused: nothing was changed
	Valid     Result = "valid"    // validate_only: it would be accepted
)

// Outcome is the answer to one command. It is stored, so that the same command gets
// the same answer again.
type Outcome struct {
	CommandID  CommandID `json:"command_id"`
	Digest     string    `json:"digest"`
	Verb       Verb      `json:"verb"`
	Result     Result    `json:"outcome"`
	State      State     `json:"state,omitempty"`
	Generation uint64    `json:"generation"`
	VolumeID   ID        `json:"volume_id,omitempty"`
	Failure    *Failure  `json:"error,omitempty"`
	// Eviction is what a node_gone has fenced, also if it failed.
	Eviction *Eviction `json:"eviction,omitempty"`
	// Snapshot is the one that the command was about, also if it failed.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Image is the name that an unmanage was to leave the volume under, or that an adopt was to
	// take it in from, also if it failed.
	Image Image `json:"image,omitempty"`
	// Plan is what an adopt of an image would do; nil unless it was only validated, which is
	// never stored.
	Plan *Plan `json:"-"`
}

// Exists reports whether the record is of a volume that lives: known to users, with
// an ID, and not deleted.
func (r Record) Exists() bool { return r.ID != "" && r.State != StateDeleted }

// Outcome returns the stored answer to the command with the given ID, if it is still
// in the record.
func (r Record) Outcome(id CommandID) (Outcome, bool) {
	for _, outcome := range r.Outcomes {
		if outcome.CommandID == id {
			return outcome, true
		}
	}
	return Outcome{}, false
}

// Transition is one step of a volume's life and the data of one event. A rejected
// command is told in the same form, with the generation and the state that it found.
type Transition struct {
	ID string `json:"id"`
	Key
	VolumeID   ID     `json:"volume_id,omitempty"`
	Event      Event  `json:"event"`
	From       State  `json:"from"`
	To         State  `json:"to"`
	Generation uint64 `json:"generation"`

	CommandID       CommandID `json:"command_id"`
	CommandDigest   string    `json:"command_digest"`
	CommandSequence uint64    `json:"command_sequence"`
	Verb            Verb      `json:"verb"`
	Actor           string    `json:"actor,omitempty"`
	Worker          string    `json:"worker"`
	Epoch           uint64    `json:"epoch"` // of the worker's ownership of the volume
	Attempt         int       `json:"attempt,omitempty"`
	NextRetryAt     time.Time `json:"next_retry_at,omitzero"`
	// Reason is why, in words, where the event itself does not say it.
	Reason  string   `json:"reason,omitempty"`
	Failure *Failure `json:"error,omitempty"`
	// Eviction is told by the events of a node_gone: why, and what is fenced so far.
	Eviction *Eviction `json:"eviction,omitempty"`
	// Snapshot is told by the events of the verbs that are about one.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	// Image is told by the events of an unmanage, what the backend is to keep the volume as, and
	// of an adopt, what it had the volume as.
	Image Image `json:"image,omitempty"`
	// Progress is told by the event progress.
	Progress *Progress `json:"progress,omitempty"`
	// Final marks the event with which its command ended.
	Final       bool      `json:"final"`
	Time        time.Time `json:"time"`
	TraceParent string    `json:"traceparent,omitempty"`
	// Previous is the SHA-256, in hexadecimal, of the data of the volume's event before this
	// one on the stream, refusals included. Empty in the first.
	Previous string `json:"previous,omitempty"`

	// Spec is the volume as it is after the transition.
	Spec Spec `json:"volume"`
}

// Same reports whether both are the same step. Their IDs alone do not tell: when a name's
// record is gone, a worker that has not seen its events yet begins with the same generation.
func (t Transition) Same(other Transition) bool {
	return t.ID == other.ID && t.CommandID == other.CommandID &&
		t.CommandSequence == other.CommandSequence && t.Time.Equal(other.Time)
}
