package query

import (
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Stored is a record with its place in the bucket.
type Stored struct {
	volume.Record
	Revision uint64 `json:"revision"`
}

// GetReply is one volume.
type GetReply struct {
	Volume      Stored      `json:"volume"`
	Consistency Consistency `json:"consistency"`
}

// ListReply is one page of volumes, in the order of their revisions. A volume that is
// changed while others are paged through moves to the end and may be told twice; one that
// is there the whole time is never missed.
type ListReply struct {
	Volumes []Stored `json:"volumes"`
	// Next is the cursor of the next page; 0 after the last one. A page that is not the
	// last may hold fewer volumes than asked for, even none: one request looks at
	// [MaxLookedAt] records at most, and its reply has to fit into one message.
	Next uint64 `json:"next,omitempty"`
	// LookedAt is how many records were looked at.
	LookedAt int `json:"looked_at"`
	// Unreadable says which records cannot be read, and why.
	Unreadable  []string    `json:"unreadable,omitempty"`
	Consistency Consistency `json:"consistency"`
}

// Event is an event with its place on the stream.
type Event struct {
	Sequence uint64    `json:"sequence"`
	StoredAt time.Time `json:"stored_at"`
	volume.Transition
}

// HistoryReply is a part of a volume's events, oldest first.
type HistoryReply struct {
	Events []Event `json:"events"`
	// Next is what to ask for as After to get those that follow; 0 if there are none.
	Next uint64 `json:"next,omitempty"`
	// Unreadable says which events cannot be read, and why.
	Unreadable  []string    `json:"unreadable,omitempty"`
	Consistency Consistency `json:"consistency"`
}

// Backend is one configured backend, as the worker that answers has it.
type Backend struct {
	Name         string                `json:"name"`
	Default      bool                  `json:"default"` // for a create that names none
	Capabilities backends.Capabilities `json:"capabilities"`
	Policy       Policy                `json:"policy"`
	// The rest is told by the endpoint backends only.

	Driver  string            `json:"driver,omitempty"`
	Version string            `json:"version,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"` // free text for people
	Health  Status            `json:"health,omitempty"`
	Failure *volume.Failure   `json:"error,omitempty"` // why it is not healthy
}

// Policy is what an operator has decided for a backend.
type Policy struct {
	MaxDepth int  `json:"max_depth"` // of clones of clones
	Flatten  bool `json:"auto_flatten"`
}

// Status says whether something works.
type Status string

// The statuses.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // a part does not work
	Failed   Status = "failed"
)

// CapabilitiesReply says what can be asked of this jetvol.
type CapabilitiesReply struct {
	Version       string         `json:"version"`
	SchemaVersion int            `json:"schema_version"` // of records and events
	Verbs         []volume.Verb  `json:"verbs"`
	Events        []volume.Event `json:"events"`
	States        []volume.State `json:"states"`
	Queries       []Endpoint     `json:"queries"`
	Backends      []Backend      `json:"backends"`
}

// BackendsReply is every backend of the worker that answers.
type BackendsReply struct {
	Worker   string    `json:"worker"`
	Backends []Backend `json:"backends"`
}

// Worker is a live worker, as its lease says.
type Worker struct {
	Worker     string       `json:"worker"`
	Instance   string       `json:"instance"`
	JoinedAt   time.Time    `json:"joined_at"`
	Draining   bool         `json:"draining,omitempty"`
	Partitions []int        `json:"partitions"`
	Busy       []volume.Key `json:"busy,omitempty"`
}

// WorkersReply is every live worker, by name.
type WorkersReply struct {
	Workers     []Worker    `json:"workers"`
	Consistency Consistency `json:"consistency"`
}

// Partition says who takes the commands of a partition.
type Partition struct {
	Partition int `json:"partition"`
	// Worker is empty while nobody does, which lasts for a moment at a takeover.
	Worker string `json:"worker,omitempty"`
}

// PartitionsReply is every partition, by number.
type PartitionsReply struct {
	Partitions  []Partition `json:"partitions"`
	Unowned     int         `json:"unowned"`
	Consistency Consistency `json:"consistency"`
}

// HealthReply says how the worker that answers is, and what it sees of the others.
type HealthReply struct {
	Status   Status    `json:"status"`
	Worker   string    `json:"worker"`
	Version  string    `json:"version"`
	Since    time.Time `json:"since"`
	Server   string    `json:"server"` // of NATS, to which it is connected
	Workers  int       `json:"workers"`
	Unowned  int       `json:"unowned_partitions"`
	Problems []string  `json:"problems,omitempty"`
}
