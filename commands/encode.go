package commands

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// Encode returns the payload of a command in its canonical form: the same arguments
// and preconditions always give the same bytes, with sizes as integers of bytes and
// times in UTC. It returns the error that [Decode] would, so that what it returns is
// always accepted.
func Encode(command volume.Command) ([]byte, error) {
	for key, value := range command.Args.Labels {
		if !utf8.ValidString(value) {
			return nil, volume.Errorf(volume.ErrInvalidArgument, "label %.64q: value is not valid UTF-8", key)
		}
	}
	if !command.Deadline.IsZero() {
		command.Deadline = command.Deadline.UTC()
	}
	body, err := json.Marshal(struct {
		volume.Args
		volume.Preconditions
	}{command.Args, command.Preconditions})
	if err != nil { // a deadline beyond the year 9999
		return nil, volume.Errorf(volume.ErrInvalidArgument, "payload: %w", err)
	}
	if _, _, err := decodePayload(command.Verb, body); err != nil {
		return nil, err
	}
	return body, nil
}

// NewMessage returns the message that publishes the command, with reply as the subject
// for the answer, or empty. A command without an ID gets one from the stream, but then
// it cannot be published again safely. NewMessage returns the [*volume.Error] with which
// a worker would refuse the command.
func NewMessage(command volume.Command, reply string) (*nats.Msg, error) {
	if err := validateHead(command, reply); err != nil {
		return nil, err
	}
	body, err := Encode(command)
	if err != nil {
		return nil, err
	}
	msg := nats.NewMsg(Subject(command.Key, command.Verb))
	msg.Data = body
	setHeader(msg, HeaderID, string(command.ID))
	setHeader(msg, HeaderActor, command.Actor)
	setHeader(msg, HeaderReply, reply)
	setHeader(msg, HeaderTraceParent, readTraceParent(command.TraceParent))
	return msg, nil
}

// validateHead checks all of a command but its payload.
func validateHead(command volume.Command, reply string) error {
	if err := command.Key.Validate(); err != nil {
		return err
	}
	if command.ID != "" {
		if err := command.ID.Validate(); err != nil {
			return err
		}
	}
	if reply != "" {
		if err := validateReply(reply); err != nil {
			return err
		}
	}
	return validateActor(command.Actor)
}

func setHeader(msg *nats.Msg, name, value string) {
	if value != "" {
		msg.Header.Set(name, value)
	}
}
