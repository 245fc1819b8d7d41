package commands

import (
	"cmp"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// Incoming is a command as the stream delivers it.
type Incoming struct {
	Subject  string // as stored, with the partition
	Header   nats.Header
	Data     []byte
	Sequence uint64
	StoredAt time.Time
}

// Envelope is a decoded command and where its publisher waits for the answer.
type Envelope struct {
	volume.Command
	// Reply is the subject for the answer, or empty if nobody waits.
	Reply string
}

// Decode reads and validates a stored command. A command without an id gets the one of
// [volume.DerivedCommandID].
//
// The error is a [*volume.Error] for the first fault of subject, id, reply subject,
// actor and payload, in that order. The envelope then holds what could be read
// nevertheless, so that the refusal can be answered: Reply is empty or safe to publish
// on, ID is the derived one if the given one is invalid, Key and Verb are as the
// subject has them and may be invalid themselves, arguments are left out.
func Decode(msg Incoming) (Envelope, error) {
	envelope := Envelope{Command: volume.Command{
		Sequence:    msg.Sequence,
		TraceParent: readTraceParent(msg.Header.Get(HeaderTraceParent)),
	}}
	address, fault := ParseSubject(msg.Subject)
	envelope.Key, envelope.Verb = address.Key, address.Verb

	// Each is read whatever is wrong with another. In a list of functions they would cost the
	// envelope its place on the stack.
	inID, inReply, inActor := readID(&envelope, msg), readReply(&envelope, msg), readActor(&envelope, msg)
	if fault := cmp.Or(fault, inID, inReply, inActor); fault != nil {
		return envelope, fault
	}
	args, preconditions, err := decodePayload(envelope.Verb, msg.Data)
	if err != nil {
		return envelope, err
	}
	envelope.Args, envelope.Preconditions = args, preconditions
	return envelope, nil
}

func readID(envelope *Envelope, msg Incoming) error {
	var fault error
	if id := volume.CommandID(msg.Header.Get(HeaderID)); id != "" {
		if fault = id.Validate(); fault == nil {
			envelope.ID = id
			return nil
		}
	}
	envelope.ID = volume.DerivedCommandID(msg.Sequence, msg.StoredAt.UnixNano())
	return fault
}

func readReply(envelope *Envelope, msg Incoming) error {
	subject := msg.Header.Get(HeaderReply)
	if subject == "" {
		return nil
	}
	if err := validateReply(subject); err != nil {
		return err
	}
	envelope.Reply = subject
	return nil
}

func readActor(envelope *Envelope, msg Incoming) error {
	actor := msg.Header.Get(HeaderActor)
	if err := validateActor(actor); err != nil {
		return err
	}
	envelope.Actor = actor
	return nil
}
