package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// The errors of this package, for use with errors.Is. Each also matches its
// [volume.Class].
var (
	// ErrNotFound: no live record has the key. Class not_found.
	ErrNotFound error = &fault{volume.NotFound, "record not found"}
	// ErrExists: the key to be created holds a live record. Class already_exists.
	ErrExists error = &fault{volume.AlreadyExists, "record exists"}
	// ErrConflict: the record is not at the revision named. Nothing was written; the
	// same write will never succeed. It comes as a [*ConflictError]. Class
	// failed_precondition.
	ErrConflict error = &fault{volume.FailedPrecondition, "revision conflict"}
	// ErrUnauthorized: the server refused the connection or the subject. Nothing was
	// written. Class failed_precondition, since waiting will not help.
	ErrUnauthorized error = &fault{volume.FailedPrecondition, "not authorized"}
	// ErrRateLimited: JetStream takes no more requests now or has no room. Nothing was
	// written. Class resource_exhausted.
	ErrRateLimited error = &fault{volume.ResourceExhausted, "rate or resource limit"}
	// ErrUnavailable: no answer, no leader, no such bucket, or the context ended.
	// After a write its outcome is unknown: the write may have happened, so read
	// again before deciding anything. Class unavailable.
	ErrUnavailable error = &fault{volume.Unavailable, "store unavailable"}
	// ErrSchema: the record was written by a newer jetvol; upgrade this one. Class
	// internal.
	ErrSchema error = &fault{volume.Internal, "schema version too new, upgrade jetvol"}
	// ErrCorrupt: what is stored is not a record of this kind. Class internal.
	ErrCorrupt error = &fault{volume.Internal, "corrupt record"}
	// ErrInvalid: a malformed key, filter or revision; nothing was sent. Class
	// invalid_argument.
	ErrInvalid error = &fault{volume.InvalidArgument, "invalid argument"}
)

// fault is a sentinel with a class.
type fault struct {
	class volume.Class
	text  string
}

func (f *fault) Error() string        { return f.text }
func (f *fault) Is(target error) bool { return target == error(f.class) }

// ConflictError is an [ErrConflict] with the record's current revision.
type ConflictError struct {
	Key      string
	Revision uint64
}

// Error returns the conflict with the current revision.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: now at revision %d", ErrConflict, e.Revision)
}

// Unwrap returns [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// The server's error codes of JetStream that nats.go does not name.
const (
	codeAccountResources     jetstream.ErrorCode = 10002
	codeInsufficientResource jetstream.ErrorCode = 10023
	codeMemoryResources      jetstream.ErrorCode = 10028
	codeStorageResources     jetstream.ErrorCode = 10047
	codeStoreFailed          jetstream.ErrorCode = 10077 // a limit of the stream, or a full disk
)

const (
	httpTooManyRequests = 429
	httpServerError     = 500
)

// classify wraps an error of nats.go with the error of this package that it means. An
// error that means none of them is returned as it is.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if api, ok := errors.AsType[jetstream.JetStreamError](err); ok && api.APIError() != nil {
		return classifyAPI(api.APIError(), err)
	}
	switch {
	case isAny(err, nats.ErrPermissionViolation, nats.ErrAuthorization, nats.ErrAuthExpired,
		nats.ErrAuthRevoked, nats.ErrAccountAuthExpired):
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case isAny(err, context.DeadlineExceeded, context.Canceled, nats.ErrTimeout,
		jetstream.ErrAsyncPublishTimeout, jetstream.ErrTooManyStalledMsgs,
		nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrBucketNotFound,
		nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrConnectionReconnecting,
		nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrStaleConnection):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func classifyAPI(api *jetstream.APIError, err error) error {
	switch api.ErrorCode {
	case codeAccountResources, codeInsufficientResource, codeMemoryResources,
		codeStorageResources, codeStoreFailed:
		return fmt.Errorf("%w: %w", ErrRateLimited, err)
	case jetstream.JSErrCodeStreamNotFound:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch {
	case api.Code == httpTooManyRequests:
		return fmt.Errorf("%w: %w", ErrRateLimited, err)
	case api.Code >= httpServerError:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isWrongRevision reports whether the server refused a write because of the expected
// revision. One server says 10071; a replicated stream also says 10164.
func isWrongRevision(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
