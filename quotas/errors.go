package quotas

import (
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// ErrNoQuota says that a project has no quota. Class not_found.
var ErrNoQuota = fmt.Errorf("no quota: %w", volume.NotFound)

// UnseenError says that live workers have not told that they reserve, so that what is used
// cannot be derived yet: they hang, or are of a jetvol that knows no quotas. It is of class
// [volume.Unavailable].
type UnseenError struct {
	Project volume.Project
	Workers []string
}

// Error names the workers.
func (e *UnseenError) Error() string {
	return fmt.Sprintf("quota of project %s is not in force: no word from worker %s", e.Project, strings.Join(e.Workers, ", "))
}

// Unwrap returns [volume.Unavailable].
func (e *UnseenError) Unwrap() error { return volume.Unavailable }

// errRestless says that a ledger was changed by others each time.
var errRestless = fmt.Errorf("the ledger does not come to rest: %w", volume.Unavailable)
