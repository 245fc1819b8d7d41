package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errRefused says that the user may not publish the request.
var errRefused = errors.New("not permitted")

// session asks the server, one question after another: whether a question was refused is
// told by the connection's last error, which must be no other question's.
type session struct {
	conn    *nats.Conn
	timeout time.Duration // of one question
}

// asked is an answer with the time that it took.
type asked[T any] struct {
	value    T
	err      error
	sent     time.Time // by this machine's clock
	received time.Time
}

// ask sends a request of the JetStream API and decodes its answer. It returns errRefused if
// the user may not ask, a [*jetstream.APIError] if the server says no, and otherwise the
// error of nats.go.
func ask[T any](ctx context.Context, e *examination, request string, query any) asked[T] {
	answer := asked[T]{sent: e.Now()}
	subject := e.APIPrefix + request
	var data []byte
	if query != nil {
		if data, answer.err = json.Marshal(query); answer.err != nil {
			return answer
		}
	}
	msg, err := e.request(ctx, subject, data)
	answer.received = e.Now()
	if err != nil {
		answer.err = fmt.Errorf("%s: %w", subject, err)
		return answer
	}
	var refusal struct {
		Error *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &refusal); {
	case err != nil:
		answer.err = fmt.Errorf("%s: %w", subject, err)
	case refusal.Error != nil:
		answer.err = refusal.Error
	default:
		answer.err = json.Unmarshal(msg.Data, &answer.value)
	}
	return answer
}

// request publishes and waits for the answer. The server does not answer what it refuses;
// but it keeps the order of a connection, so that its refusal comes before the pong of a
// flush.
func (s *session) request(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answers, err := s.send(ctx, subject, data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	return answers.NextMsgWithContext(ctx)
}

// send publishes a request and returns where its answers come. It returns errRefused if the
// user may not publish it, or not hear the answers.
func (s *session) send(ctx context.Context, subject string, data []byte) (*nats.Subscription, error) {
	var answers *nats.Subscription
	refused, err := s.refused(ctx, func() (err error) {
		if answers, err = s.conn.SubscribeSync(s.conn.NewInbox()); err != nil {
			return err
		}
		return s.conn.PublishRequest(subject, answers.Subject, data)
	})
	if refused {
		err = errRefused
	}
	if err != nil && answers != nil {
		_ = answers.Unsubscribe()
	}
	return answers, err
}

// refused carries out act, which publishes or subscribes, and reports whether the server
// refused that to this user.
func (s *session) refused(ctx context.Context, act func() error) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	before := s.conn.LastError()
	if err := act(); err != nil {
		return false, err
	}
	if err := s.conn.FlushWithContext(ctx); err != nil {
		return false, err
	}
	last := s.conn.LastError()
	//nolint:errorlint // whether it is the same occurrence, not of the same kind
	return last != before && errors.Is(last, nats.ErrPermissionViolation), nil
}

// code returns the server's code of an API error, or 0 for any other error.
func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}
