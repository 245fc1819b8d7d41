package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/nodes"
	"github.com/jetvol/jetvol/volume"
)

// The exit codes; see the package comment.
const (
	exitSucceeded = iota
	exitFailed
	exitUsage
	exitRejected
	exitPending
	exitUnavailable
	exitUnconfirmed
)

// usageError says that the command line makes no sense. Nothing was done.
type usageError struct {
	cause   error
	command string // whose help tells more; set by run
}

func usagef(format string, args ...any) error {
	return &usageError{cause: fmt.Errorf(format, args...)}
}

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

// outcomeError is a command that was answered, and not with success.
type outcomeError struct{ reply commands.Reply }

func (e *outcomeError) Error() string { return e.reply.Err().Error() }
func (e *outcomeError) Unwrap() error { return e.reply.Err() }

// unavailable reports whether trying again later may help.
func unavailable(err error) bool {
	return errors.Is(err, volume.Unavailable) || errors.Is(err, context.DeadlineExceeded)
}

func exitCode(err error) int {
	answered, isAnswered := errors.AsType[*outcomeError](err)
	_, isUsage := errors.AsType[*usageError](err)
	_, isHeld := errors.AsType[*nodes.HeldError](err)
	_, isPending := errors.AsType[*commands.PendingError](err)
	_, isUnconfirmed := errors.AsType[*unconfirmedError](err)
	served, isServed := errors.AsType[*servedError](err)
	switch {
	case err == nil:
		return exitSucceeded
	case isUsage:
		return exitUsage
	case isUnconfirmed:
		return exitUnconfirmed
	case isServed:
		return served.code
	case isAnswered && answered.reply.Outcome == volume.Rejected:
		return exitRejected
	case isAnswered:
		return exitFailed
	case isPending:
		return exitPending
	case isHeld: // whatever the backend's reason was
		return exitFailed
	case unavailable(err):
		return exitUnavailable
	default:
		return exitFailed
	}
}

// describe returns the error as people read it, beginning with what the exit code says.
func describe(err error) string {
	if answered, ok := errors.AsType[*outcomeError](err); ok {
		return describeOutcome(answered.reply)
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		return fmt.Sprintf("usage: %v\nrun '%s --help' for what it takes", usage, usage.command)
	}
	kind := map[int]string{exitPending: "pending", exitUnavailable: "unavailable", exitUnconfirmed: "unconfirmed"}[exitCode(err)]
	if kind == "" {
		kind = "failed"
	}
	return kind + ": " + err.Error()
}

// describeOutcome returns `rejected: volume_exists: create volume default.db-01 …`, and on
// lines of their own what stands in the way.
func describeOutcome(reply commands.Reply) string {
	failure := reply.Failure
	if failure == nil {
		failure = volume.NewFailure(reply.Err())
	}
	text := string(reply.Outcome) + ": " + failureText(failure)
	for _, by := range failure.BlockedBy {
		text += "\n  blocked by " + string(by.Kind) + " " + plain(by.Name)
	}
	return text
}

// failureText returns the code, then the message without it.
func failureText(f *volume.Failure) string {
	return string(f.Code) + ": " + strings.TrimSuffix(f.Message, ": "+string(f.Code))
}
