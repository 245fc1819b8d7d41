package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jetvol/jetvol/volume"
)

// ErrorReply is the body of a reply that tells an error. Beside it stand the headers of
// the micro protocol: [micro.ErrorHeader] with the message, and [micro.ErrorCodeHeader]
// with the number that HTTP has for the class.
type ErrorReply struct {
	// Code is one of [volume.Codes], or the class where the error has none of its own.
	Code    volume.Code  `json:"code"`
	Class   volume.Class `json:"class"`
	Message string       `json:"message"`
}

// maxMessage bounds the message of an error, in bytes: it is also sent as a header.
const maxMessage = 1024

func newErrorReply(err error) ErrorReply {
	class := volume.ClassOf(err)
	code := volume.CodeOf(err)
	if code.Class() != class {
		code = volume.Code(class)
	}
	message := strings.TrimSuffix(err.Error(), ": "+string(code))
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return ErrorReply{Code: code, Class: class, Message: message}
}

// statuses are the numbers of HTTP that come nearest.
var statuses = map[volume.Class]string{
	volume.NotFound:           "404",
	volume.AlreadyExists:      "409",
	volume.InvalidArgument:    "400",
	volume.FailedPrecondition: "412",
	volume.Busy:               "409",
	volume.Unavailable:        "503",
	volume.ResourceExhausted:  "429",
	volume.Unsupported:        "501",
	volume.Aborted:            "409",
	volume.Internal:           "500",
}

// send answers a request with the error.
func (e ErrorReply) send(request micro.Request) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode error: %w", err)
	}
	// A header is one line.
	return request.Error(statuses[e.Class], strings.Join(strings.Fields(e.Message), " "), data)
}

// Err returns the error that the reply tells, with its code and class.
func (e ErrorReply) Err() error {
	if volume.Class(e.Code) == e.Class {
		return fmt.Errorf("%s: %w", e.Message, e.Class)
	}
	return &volume.Error{Code: e.Code, Message: e.Message, Cause: e.Class}
}

// errorOf returns the error that a message tells, or nil.
func errorOf(m *nats.Msg) error {
	if m.Header.Get(micro.ErrorCodeHeader) == "" {
		return nil
	}
	var told ErrorReply
	if err := json.Unmarshal(m.Data, &told); err != nil || told.Class == "" {
		return fmt.Errorf("the service says %s: %w", m.Header.Get(micro.ErrorHeader), volume.Internal)
	}
	return told.Err()
}

// ErrNobodyAnswers says that no worker answers queries: none lives, none in time, or none
// that this user may ask. Its class is [volume.Unavailable].
var ErrNobodyAnswers error = &nobody{}

type nobody struct{}

func (*nobody) Error() string {
	return "no worker answers (jetvol worker starts one; `nats micro ls` shows who lives): " + string(volume.Unavailable)
}

func (*nobody) Unwrap() error { return volume.Unavailable }

// explainAsk gives an error of a request its class.
func explainAsk(endpoint Endpoint, err error) error {
	if silent(err) {
		return fmt.Errorf("query %s: %w", endpoint, ErrNobodyAnswers)
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("query %s: %w: %w", endpoint, err, volume.FailedPrecondition)
	}
	return fmt.Errorf("query %s: %w: %w", endpoint, err, volume.Unavailable)
}
