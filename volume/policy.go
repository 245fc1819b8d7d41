package volume

import "slices"

// RecordOnly says what becomes of a settled volume that its backend does not have.
type RecordOnly string

// The policies. They stand in configuration files.
const (
	RecordOnlyError  RecordOnly = "error"  // it is broken until somebody decides; the default
	RecordOnlyDelete RecordOnly = "delete" // its record is deleted, as if the volume had been
	RecordOnlyIgnore RecordOnly = "ignore" // its record stays as it is, marked drifted
)

// RecordOnlyPolicies returns every policy, the default first.
func RecordOnlyPolicies() []RecordOnly {
	return []RecordOnly{RecordOnlyError, RecordOnlyDelete, RecordOnlyIgnore}
}

// Side is one of the two that a reconcile compares.
type Side string

// BelieveBackend takes over what the backend has. It is the only side that can be asked
// for: a reconcile leaves the volume at the backend as it is.
const BelieveBackend Side = "backend"

// Validate returns an [ErrInvalidArgument] unless s is [BelieveBackend] or empty.
func (s Side) Validate() error {
	if !slices.Contains([]Side{"", BelieveBackend}, s) {
		return Errorf(ErrInvalidArgument, "side %.40q: want %q", string(s), BelieveBackend)
	}
	return nil
}
