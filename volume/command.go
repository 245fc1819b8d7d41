package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Command is a decoded and validated request to change one volume.
type Command struct {
	ID   CommandID
	Key  Key
	Verb Verb
	Args Args
	Preconditions

	// Backend is the backend that a create or an adopt is for: Args.Backend or the default one. It is
	// resolved by the worker and no part of what identifies the command.
	Backend string
	// SourceSize is the size of the snapshot that a create is to clone, or that a restore or
	// a delete_snapshot names, resolved by the worker like Backend.
	SourceSize Bytes
	// Plan is what an adopt of an image would do, resolved by the worker like Backend; nil for
	// every other command.
	Plan *Plan
	// RecordOnly is the policy of the volume's backend for a reconcile, resolved by the
	// worker like Backend; empty means the default one.
	RecordOnly RecordOnly
	// Actor is who asked, as the publisher told it; jetvol does not verify it.
	Actor string
	// Sequence is the command's place in the command stream: the publish order.
	Sequence uint64
	// TraceParent is the W3C trace context of the publisher, or empty.
	TraceParent string
}

// Args are the arguments of all verbs; each verb uses some of them.
type Args struct {
	Size    Bytes     `json:"size,omitempty"`    // create, resize; a clone may leave it out
	Backend string    `json:"backend,omitempty"` // create, adopt; empty means the default one, or the source's
	Labels  Labels    `json:"labels,omitempty"`  // create, snapshot
	Node    Node      `json:"node,omitempty"`    // attach, detach (optional there), node_gone
	Mode    Mode      `json:"mode,omitempty"`    // attach; read-write if it is not said
	Target  CommandID `json:"target,omitempty"`  // cancel; empty means whatever is running
	Reason  string    `json:"reason,omitempty"`  // node_gone; see [ValidateReason]

	Snapshot SnapshotName `json:"snapshot,omitempty"`  // snapshot, delete_snapshot, restore
	Source   SnapshotKey  `json:"source,omitzero"`     // create: what it is a clone of
	ReadOnly bool         `json:"read_only,omitempty"` // create, with a source: it cannot be written

	ID      ID    `json:"id,omitempty"`      // adopt: whose object it has to be; empty means any
	Image   Image `json:"image,omitempty"`   // adopt: what the backend has it as that jetvol never made
	Believe Side  `json:"believe,omitempty"` // reconcile: who is right about a settled volume

	Name Image `json:"name,omitempty"` // unmanage: what the backend is to keep it as; empty means [ReleasedImage]
}

// Plan is what an adopt does with an image that jetvol never made.
type Plan struct {
	Backend string `json:"backend"`
	Image   Image  `json:"image"`
	Size    Bytes  `json:"size_bytes"`
	// Becomes is the name that the backend gives it, for people.
	Becomes string `json:"becomes"`
}

// TakesImage reports whether the command takes an image in that jetvol never made: an
// operation, where every other adopt only makes a record.
func (c Command) TakesImage() bool { return c.Verb == VerbAdopt && c.Args.Image != "" }

// Preconditions refuse a command unless they hold when it is taken up.
type Preconditions struct {
	IfState      State     `json:"if_state,omitempty"`
	IfGeneration *uint64   `json:"if_generation,omitempty"`
	Deadline     time.Time `json:"deadline,omitzero"`
	// ValidateOnly asks only whether the command would be accepted now.
	ValidateOnly bool `json:"validate_only,omitempty"`
}

// digestLength is how many bytes of SHA-256 tell one body from another.
const digestLength = 12

// Digest is a short hash of what the command asks for. Two commands with one ID and
// different digests are a reuse of the ID, not a repeat.
func (c Command) Digest() string {
	body, err := json.Marshal(struct {
		Verb Verb
		Args
		Preconditions
	}{c.Verb, c.Args, c.Preconditions})
	if err != nil {
		panic("volume: a command's arguments always encode: " + err.Error())
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:digestLength])
}
