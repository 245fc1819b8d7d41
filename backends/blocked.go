package backends

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// The kinds of blockers, in the order in which a [BlockedError] lists them; see
// [volume.BlockerKind].
const (
	BlockedByNode     = volume.BlockedByNode
	BlockedByWatcher  = volume.BlockedByWatcher
	BlockedBySnapshot = volume.BlockedBySnapshot
	BlockedByChild    = volume.BlockedByChild
)

var blockerKinds = []volume.BlockerKind{BlockedByNode, BlockedByWatcher, BlockedBySnapshot, BlockedByChild}

// Blocker is one thing that stands in the way of a change.
type Blocker = volume.Blocker

// MaxBlockers is how many blockers a [BlockedError] lists; it counts the others.
const MaxBlockers = volume.MaxBlockers

// BlockedError refuses a change because of what must go first. Its class is
// [volume.Busy] if there are only watchers, which go by themselves, and
// [volume.FailedPrecondition] otherwise.
type BlockedError struct {
	By   []Blocker // without repeats, by kind and name, at most MaxBlockers
	More int       // how many there are besides
}

// Blocked returns a [BlockedError] that lists the given blockers, for use by drivers. It
// returns nil if there are none.
func Blocked(by ...Blocker) error {
	if len(by) == 0 {
		return nil
	}
	by = slices.Clone(by)
	slices.SortFunc(by, func(a, b Blocker) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	by = slices.Compact(by)
	listed := min(len(by), MaxBlockers)
	return &BlockedError{By: by[:listed], More: len(by) - listed}
}

// Holders returns the nodes that hold a volume as what blocks a change of it.
func Holders(attachments volume.Attachments) []Blocker {
	by := make([]Blocker, 0, len(attachments))
	for _, holder := range attachments {
		by = append(by, Blocker{Kind: BlockedByNode, Name: string(holder.Node)})
	}
	return by
}

func rank(k volume.BlockerKind) int { return slices.Index(blockerKinds, k) }

// Blockers returns what is listed; see [volume.NewFailure].
func (e *BlockedError) Blockers() []Blocker { return e.By }

// Error lists the blockers: "blocked by node n12, snapshot monday: failed_precondition".
func (e *BlockedError) Error() string {
	var text strings.Builder
	for i, b := range e.By {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%s %s", b.Kind, b.Name)
	}
	if e.More > 0 {
		fmt.Fprintf(&text, " and %d more", e.More)
	}
	return fmt.Sprintf("blocked by %s: %s", text.String(), e.class())
}

// Unwrap returns the class.
func (e *BlockedError) Unwrap() error { return e.class() }

func (e *BlockedError) class() volume.Class {
	if slices.ContainsFunc(e.By, func(b Blocker) bool { return b.Kind != BlockedByWatcher }) {
		return volume.FailedPrecondition
	}
	return volume.Busy
}
