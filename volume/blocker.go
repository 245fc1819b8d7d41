package volume

import "errors"

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

// maxBlockerName bounds a blocker's name in a [Failure], in bytes; that of a node fits.
const maxBlockerName = MaxNodeLength

// blockersOf returns what the first error in the chain that has a method Blockers says,
// bounded and in a list of its own.
func blockersOf(err error) []Blocker {
	blocked, ok := errors.AsType[interface {
		error
		Blockers() []Blocker
	}](err)
	if !ok {
		return nil
	}
	var by []Blocker
	for _, one := range blocked.Blockers() {
		if len(by) == MaxBlockers {
			break
		}
		one.Name = cut(one.Name, maxBlockerName)
		by = append(by, one)
	}
	return by
}
