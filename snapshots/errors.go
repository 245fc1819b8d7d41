package snapshots

import (
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// The errors of this package that concern transactions. What is wrong with an entry is
// told by the codes of package volume: snapshot_not_found, snapshot_exists,
// snapshot_in_use, invalid_argument, invalid_name and precondition_failed.
var (
	// ErrNoTransaction: the transaction is nil or has ended. Class failed_precondition.
	ErrNoTransaction error = &fault{volume.FailedPrecondition, "no transaction"}
	// ErrReadOnly: a write in a transaction that is not writable. Class
	// failed_precondition.
	ErrReadOnly error = &fault{volume.FailedPrecondition, "read-only transaction"}
	// ErrConflict: an entry that the transaction looked at was changed by another one.
	// Nothing was stored: repeat the whole transaction, as [Store.Update] does. Class
	// aborted.
	ErrConflict error = &fault{volume.Aborted, "transaction conflict"}
	// ErrRemoving: somebody has begun to remove the entry. It will be gone soon, or be
	// usable again. Class busy.
	ErrRemoving error = &fault{volume.Busy, "being removed"}
	// ErrClosed: the store was closed. Class failed_precondition.
	ErrClosed error = &fault{volume.FailedPrecondition, "store closed"}
)

// fault is a sentinel with a class.
type fault struct {
	class volume.Class
	text  string
}

func (f *fault) Error() string        { return f.text }
func (f *fault) Is(target error) bool { return target == error(f.class) }

// shownChildren is how many children the text of a BlockedError names.
const shownChildren = 5

// BlockedError says that an entry was not removed because others need it. It is an
// error of code snapshot_in_use.
type BlockedError struct {
	Key      Key
	Children []Key // all of them, in the order of their keys
}

// Error returns `remove db-01@s1: 2 children: [db-02 db-03]: snapshot_in_use`.
func (e *BlockedError) Error() string {
	names := make([]string, 0, shownChildren+1)
	for i, child := range e.Children {
		if i == shownChildren {
			names = append(names, "…")
			break
		}
		names = append(names, child.String())
	}
	return fmt.Sprintf("remove %s: %d children: [%s]: %s", e.Key, len(e.Children), strings.Join(names, " "), volume.ErrSnapshotInUse)
}

// Unwrap returns the error of code snapshot_in_use.
func (e *BlockedError) Unwrap() error {
	return volume.Errorf(volume.ErrSnapshotInUse, "%d children", len(e.Children))
}

func notFound(operation string, key Key) error {
	return volume.Errorf(volume.ErrSnapshotNotFound, "%s %s: no such entry", operation, key)
}

func exists(operation string, key Key) error {
	return volume.Errorf(volume.ErrSnapshotExists, "%s %s: the key is in use", operation, key)
}

func precondition(format string, args ...any) error {
	return volume.Errorf(volume.ErrPreconditionFailed, format, args...)
}
