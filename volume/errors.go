package volume

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Class says what kind of fault an error is and so what a caller may do about it.
// A Class is itself an error, for use with errors.Is:
//
//	if errors.Is(err, volume.Unavailable) { … }
type Class string

// The classes. They cross the wire: append only.
const (
	NotFound           Class = "not_found"
	AlreadyExists      Class = "already_exists"
	InvalidArgument    Class = "invalid_argument"
	FailedPrecondition Class = "failed_precondition"
	Busy               Class = "busy"
	Unavailable        Class = "unavailable"
	ResourceExhausted  Class = "resource_exhausted"
	Unsupported        Class = "unsupported"
	Aborted            Class = "aborted"
	Internal           Class = "internal"
)

// Error returns the class's name.
func (c Class) Error() string { return string(c) }

// Retryable reports whether the same attempt may succeed later without anybody
// changing it: only busy, unavailable and aborted.
func (c Class) Retryable() bool { return c == Busy || c == Unavailable || c == Aborted }

// Code names one fault exactly. Every reply, every event of a failure and every Go
// error of jetvol carries one. A Code is itself an error, for use with errors.Is:
//
//	if errors.Is(err, volume.ErrInvalidTransition) { … }
type Code string

// The codes. They cross the wire: append only. The first five are those of the seed
// document block-storage-api (requirement A5).
const (
	ErrVolumeNotFound     Code = "volume_not_found"
	ErrVolumeExists       Code = "volume_exists"
	ErrInvalidTransition  Code = "invalid_transition"
	ErrInvalidSize        Code = "invalid_size"
	ErrBackendUnavailable Code = "backend_unavailable"

	ErrInvalidName        Code = "invalid_name"
	ErrInvalidArgument    Code = "invalid_argument"
	ErrInvalidCommandID   Code = "invalid_command_id"
	ErrInvalidPayload     Code = "invalid_payload" // not JSON, not UTF-8, not an object, nested too deep
	ErrUnknownField       Code = "unknown_field"
	ErrPayloadTooLarge    Code = "payload_too_large"
	ErrUnknownVerb        Code = "unknown_verb"
	ErrUnknownBackend     Code = "unknown_backend"
	ErrCommandIDReused    Code = "command_id_reused"
	ErrPreconditionFailed Code = "precondition_failed" // if_state or if_generation does not hold
	ErrDeadlineExceeded   Code = "deadline_exceeded"
	ErrNodeMismatch       Code = "node_mismatch"  // detach names a node that does not hold the volume
	ErrNodeRequired       Code = "node_required"  // detach names none, and several hold the volume
	ErrTooManyNodes       Code = "too_many_nodes" // MaxAttachments hold the volume
	ErrCancelled          Code = "cancelled"
	ErrNothingToCancel    Code = "nothing_to_cancel"

	ErrBackendNotFound     Code = "backend_not_found"
	ErrBackendExists       Code = "backend_exists"
	ErrBackendInvalid      Code = "backend_invalid_argument"
	ErrBackendPrecondition Code = "backend_failed_precondition"
	ErrBackendBusy         Code = "backend_busy"
	ErrBackendExhausted    Code = "backend_resource_exhausted"
	ErrBackendUnsupported  Code = "backend_unsupported"
	ErrBackendAborted      Code = "backend_aborted"
	ErrBackendInternal     Code = "backend_internal"

	ErrInternal Code = "internal"

	ErrFenced Code = "fenced" // another worker has taken the volume over

	ErrSnapshotNotFound Code = "snapshot_not_found"
	ErrSnapshotExists   Code = "snapshot_exists"
	ErrSnapshotInUse    Code = "snapshot_in_use"    // clones need it
	ErrHasSnapshots     Code = "has_snapshots"      // a volume with snapshots is not deleted
	ErrTooManySnapshots Code = "too_many_snapshots" // MaxSnapshots of the volume are there
	ErrReadOnlyVolume   Code = "read_only_volume"   // it was made to be read only
	ErrNotAClone        Code = "not_a_clone"        // there is nothing to flatten
	ErrIsAClone         Code = "is_a_clone"         // it shares with a snapshot, which must not lose sight of it
	ErrHalfRestored     Code = "half_restored"      // its content is of two times until a restore ends
	ErrChainTooDeep     Code = "chain_too_deep"     // the backend's max_depth of clones of clones

	ErrQuotaExceeded Code = "quota_exceeded" // of the project
)

// codeClasses is the one table from code to class; Codes lists its keys.
var codeClasses = map[Code]Class{
	ErrVolumeNotFound:      NotFound,
	ErrVolumeExists:        AlreadyExists,
	ErrInvalidTransition:   FailedPrecondition,
	ErrInvalidSize:         InvalidArgument,
	ErrBackendUnavailable:  Unavailable,
	ErrInvalidName:         InvalidArgument,
	ErrInvalidArgument:     InvalidArgument,
	ErrInvalidCommandID:    InvalidArgument,
	ErrInvalidPayload:      InvalidArgument,
	ErrUnknownField:        InvalidArgument,
	ErrPayloadTooLarge:     InvalidArgument,
	ErrUnknownVerb:         InvalidArgument,
	ErrUnknownBackend:      InvalidArgument,
	ErrCommandIDReused:     FailedPrecondition,
	ErrPreconditionFailed:  FailedPrecondition,
	ErrDeadlineExceeded:    FailedPrecondition,
	ErrNodeMismatch:        FailedPrecondition,
	ErrNodeRequired:        FailedPrecondition,
	ErrTooManyNodes:        FailedPrecondition,
	ErrCancelled:           FailedPrecondition,
	ErrNothingToCancel:     FailedPrecondition,
	ErrBackendNotFound:     NotFound,
	ErrBackendExists:       AlreadyExists,
	ErrBackendInvalid:      InvalidArgument,
	ErrBackendPrecondition: FailedPrecondition,
	ErrBackendBusy:         Busy,
	ErrBackendExhausted:    ResourceExhausted,
	ErrBackendUnsupported:  Unsupported,
	ErrBackendAborted:      Aborted,
	ErrBackendInternal:     Internal,
	ErrInternal:            Internal,
	ErrFenced:              Aborted,
	ErrSnapshotNotFound:    NotFound,
	ErrSnapshotExists:      AlreadyExists,
	ErrSnapshotInUse:       FailedPrecondition,
	ErrHasSnapshots:        FailedPrecondition,
	ErrTooManySnapshots:    FailedPrecondition,
	ErrReadOnlyVolume:      FailedPrecondition,
	ErrNotAClone:           FailedPrecondition,
	ErrIsAClone:            FailedPrecondition,
	ErrHalfRestored:        FailedPrecondition,
	ErrChainTooDeep:        FailedPrecondition,
	ErrQuotaExceeded:       ResourceExhausted,
}

// backendCodes gives each class the code under which a backend's error of that class
// is told.
var backendCodes = map[Class]Code{
	NotFound:           ErrBackendNotFound,
	AlreadyExists:      ErrBackendExists,
	InvalidArgument:    ErrBackendInvalid,
	FailedPrecondition: ErrBackendPrecondition,
	Busy:               ErrBackendBusy,
	Unavailable:        ErrBackendUnavailable,
	ResourceExhausted:  ErrBackendExhausted,
	Unsupported:        ErrBackendUnsupported,
	Aborted:            ErrBackendAborted,
	Internal:           ErrBackendInternal,
}

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// Class returns the class of the code; an unknown code is [Internal].
func (c Code) Class() Class {
	if class, known := codeClasses[c]; known {
		return class
	}
	return Internal
}

// Is reports whether target is the class of the code, so that errors.Is(err, class) holds of
// an error that unwraps to a code.
func (c Code) Is(target error) bool { return target == error(c.Class()) }

// Codes returns every code with its class, in no particular order.
func Codes() map[Code]Class {
	all := make(map[Code]Class, len(codeClasses))
	for code, class := range codeClasses {
		all[code] = class
	}
	return all
}

// Error is a fault with its code. Errors.Is matches its [Code], its [Class] and
// whatever it wraps.
type Error struct {
	Code    Code
	Message string
	Cause   error
}

// Errorf returns an [*Error] whose message is formatted like fmt.Errorf; its %w
// operands become its cause.
func Errorf(code Code, format string, args ...any) *Error {
	formatted := fmt.Errorf(format, args...)
	cause := errors.Unwrap(formatted)
	if _, several := formatted.(interface{ Unwrap() []error }); several {
		cause = formatted
	}
	return &Error{Code: code, Message: formatted.Error(), Cause: cause}
}

// Error returns the message followed by the code: `size "0": …: invalid_size`.
func (e *Error) Error() string { return e.Message + ": " + string(e.Code) }

// Is reports whether target is e's code or that code's class.
func (e *Error) Is(target error) bool {
	return target == error(e.Code) || e.Code.Is(target)
}

// Unwrap returns what e was made from, or nil.
func (e *Error) Unwrap() error { return e.Cause }

// BackendError returns err as it is told to users: with the code of its class, which
// is [Internal] if err has none. Only [ErrFenced] stays what it is, because it says
// that the caller is no longer the one to act.
func BackendError(err error) *Error {
	if errors.Is(err, ErrFenced) {
		return &Error{Code: ErrFenced, Message: err.Error(), Cause: err}
	}
	return &Error{Code: backendCodes[ClassOf(err)], Message: err.Error(), Cause: err}
}

// ClassOf returns the class that err carries, [Internal] if it carries none, and the
// empty class for nil. A code decides before any class, an outer class before an inner.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code.Class()
	}
	if code, ok := errors.AsType[Code](err); ok {
		return code.Class()
	}
	if class, ok := errors.AsType[Class](err); ok {
		return class
	}
	// An error type may tell its class by a method Is alone.
	for _, class := range slices.Sorted(maps.Keys(backendCodes)) {
		if errors.Is(err, class) {
			return class
		}
	}
	return Internal
}

// CodeOf returns the code that err carries, [ErrInternal] if it carries none.
func CodeOf(err error) Code {
	if coded, ok := errors.AsType[*Error](err); ok {
		return coded.Code
	}
	if code, ok := errors.AsType[Code](err); ok {
		return code
	}
	return ErrInternal
}
