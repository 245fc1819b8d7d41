package kv

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// refusalPatience is how long an answer may take before the connection is asked
// whether the request was refused. It is far above a healthy answer, so that only a
// slow or refused request pays for the extra round trip.
const refusalPatience = 100 * time.Millisecond

// unlessRefused runs request, which publishes to subject and waits for an answer; a
// trailing ">" in subject stands for anything. It returns request's error, or the
// server's permissions violation if there was one.
//
// The server does not answer a request that it refuses: it tells the connection, and
// the request would wait until its deadline. But the server keeps the order of one
// connection, so a pong that arrives after the request was sent is preceded by the
// refusal, if there is one.
func unlessRefused(ctx context.Context, conn *nats.Conn, subject string, request func(context.Context) error) error {
	before := conn.LastError()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(refusalPatience, func() {
		if conn.FlushWithContext(ctx) == nil {
			if refused := newRefusal(conn, before, subject); refused != nil {
				cancel(refused)
			}
		}
	})
	defer timer.Stop()

	err := request(ctx)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, nats.ErrPermissionViolation) {
		return cause
	}
	if refused := newRefusal(conn, before, subject); refused != nil {
		return refused
	}
	return err
}

// newRefusal returns the connection's last error if it is another one than before and
// a refusal to let this user publish to subject, or to let the user in at all.
func newRefusal(conn *nats.Conn, before error, subject string) error {
	last := conn.LastError()
	//nolint:errorlint // whether it is the same occurrence, not of the same kind
	if last == nil || last == before {
		return nil
	}
	if isAny(last, nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired) {
		return last
	}
	if errors.Is(last, nats.ErrPermissionViolation) && namesPublish(last.Error(), subject) {
		return last
	}
	return nil
}

// namesPublish reports whether the text of a permissions violation is about publishing
// to subject. That it is a violation was decided by its value; which of several
// requests in flight it belongs to is told by the server in the text alone.
func namesPublish(text, subject string) bool {
	const about = "Publish to "
	if open, wild := strings.CutSuffix(subject, ">"); wild {
		return strings.Contains(text, about+`"`+open)
	}
	return strings.Contains(text, about+strconv.Quote(subject))
}
