package commands

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/volume"
)

// deadMessage is a message on the stream of dead letters, without its payload.
type deadMessage struct {
	subject  string
	header   nats.Header
	size     int // of the payload
	sequence uint64
	storedAt time.Time
}

// deadHead is what the headers of one message of a dead letter say.
type deadHead struct {
	code        volume.Code
	class       volume.Class
	reason      string
	subject     string
	sequence    uint64
	storedAt    time.Time
	attempts    uint64
	part, parts int // 1/1 if it is whole
	moved       int // bytes of the payload that are the command's header
}

// readDeadHead returns [volume.ErrInvalidPayload] for headers that are not those of a
// dead letter.
func readDeadHead(header nats.Header) (deadHead, error) {
	head := deadHead{
		code:    volume.Code(header.Get(HeaderDeadCode)),
		class:   volume.Class(header.Get(HeaderDeadClass)),
		reason:  header.Get(HeaderDeadReason),
		subject: header.Get(HeaderDeadSubject),
		part:    1, parts: 1,
	}
	for _, read := range []struct {
		name string
		from func(string) error
	}{
		{HeaderDeadCode, notEmpty},
		{HeaderDeadClass, notEmpty},
		{HeaderDeadSubject, notEmpty},
		{HeaderDeadSequence, func(text string) (err error) { head.sequence, err = strconv.ParseUint(text, 10, 64); return err }},
		{HeaderDeadAttempts, func(text string) (err error) { head.attempts, err = strconv.ParseUint(text, 10, 64); return err }},
		{HeaderDeadTime, func(text string) (err error) { head.storedAt, err = time.Parse(time.RFC3339Nano, text); return err }},
		{HeaderDeadPart, head.readPart},
		{HeaderDeadHeaders, head.readMoved},
	} {
		if text := header.Get(read.name); read.from(text) != nil {
			return deadHead{}, volume.Errorf(volume.ErrInvalidPayload, "no dead letter: header %s: %.80q", read.name, text)
		}
	}
	return head, nil
}

// errDeadHeader is the fault of one header; who reads it tells which.
var errDeadHeader = errors.New("not as a worker writes it")

func notEmpty(text string) error {
	if text == "" {
		return errDeadHeader
	}
	return nil
}

func (h *deadHead) readPart(text string) error {
	if text == "" {
		return nil
	}
	part, parts, _ := strings.Cut(text, "/")
	var err error
	if h.part, err = strconv.Atoi(part); err != nil {
		return err
	}
	if h.parts, err = strconv.Atoi(parts); err != nil {
		return err
	}
	if h.part < 1 || h.part > h.parts {
		return errDeadHeader
	}
	return nil
}

func (h *deadHead) readMoved(text string) error {
	if text == "" {
		return nil
	}
	count, err := strconv.Atoi(text)
	if err == nil && count < 0 {
		err = errDeadHeader
	}
	h.moved = count
	return err
}

// advisory is the server's word that it delivers a command no more, or that somebody
// has terminated it.
type advisory struct {
	Type       string    `json:"type"`
	Time       time.Time `json:"timestamp"`
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	Sequence   uint64    `json:"stream_seq"`
	Deliveries uint64    `json:"deliveries"`
	Reason     string    `json:"reason"`
}

// advisoryKinds are the kinds of dead letters by the types of the advisories about them.
var advisoryKinds = map[string]DeadKind{
	"io.nats.jetstream.advisory.v1.max_deliver": DeadMaxDeliveries,
	"io.nats.jetstream.advisory.v1.terminated":  DeadTerminated,
}

// readAdvisory returns [volume.ErrInvalidPayload] for what is no advisory about a
// command.
func readAdvisory(data []byte) (advisory, error) {
	var told advisory
	if err := json.Unmarshal(data, &told); err != nil {
		return advisory{}, volume.Errorf(volume.ErrInvalidPayload, "no advisory: %w", err)
	}
	if advisoryKinds[told.Type] == "" || told.Stream != StreamName || told.Sequence == 0 {
		return advisory{}, volume.Errorf(volume.ErrInvalidPayload,
			"no advisory about a command: type %.80q, stream %.80q, sequence %d", told.Type, told.Stream, told.Sequence)
	}
	return told, nil
}

func (a advisory) kind() DeadKind { return advisoryKinds[a.Type] }
