package volume

// BlockerKind says what a [Blocker] is.
type BlockerKind string

// The kinds of blockers, in the order in which they are listed.
const (
	BlockedByNode     BlockerKind = "node"     // it holds the volume
	BlockedByWatcher  BlockerKind = "watcher"  // a client has the volume open, named as the backend does
	BlockedBySnapshot BlockerKind = "snapshot" // of the volume
	BlockedByChild    BlockerKind = "child"    // a clone that still needs the snapshot
)

// Blocker is one thing that stands in the way of a change.
type Blocker struct {
	Kind BlockerKind `json:"kind"`
	Name string      `json:"name"`
}

// MaxBlockers is how many blockers an error lists.
const MaxBlockers = 64
