package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natsext"
)

// errTooMany: more keys match than the server answers in one request.
var errTooMany = errors.New("more than 1024 keys")

// What ends the answer to a multi_last request, by the header Status of a message
// without data (ADR-31 of NATS).
const (
	headerStatus      = "Status"
	headerDescription = "Description"
	statusEnd         = "204"
	statusNoMessages  = "404"
	statusTooMany     = "413"

	descriptionNoResults = "No Results"
)

// multi asks any replica for the last message of each key that matches filter, by
// revision. The answer is of one moment. It returns errTooMany for more than 1,024 keys.
//
// The request is written out because the library's own one puts the domain wrongly into
// the subject and does not tell an answer that breaks off from one that ends.
func (s store) multi(ctx context.Context, filter string) (messages []keyed, err error) {
	subject := s.api + "DIRECT.GET." + s.stream
	query, err := json.Marshal(map[string][]string{"multi_last": {recordSubject(s.bucket, filter)}})
	if err != nil {
		return nil, err
	}
	err = s.call(ctx, subject, func(ctx context.Context) error {
		messages, err = s.requestMany(ctx, subject, query)
		return err
	})
	return messages, err
}

func (s store) requestMany(ctx context.Context, subject string, query []byte) (messages []keyed, err error) {
	var end nats.Header
	isEnd := func(m *nats.Msg) bool {
		if m.Header.Get(headerStatus) != "" {
			end = m.Header
		}
		return end != nil
	}
	answers, err := natsext.RequestMany(ctx, s.js.Conn(), subject, query, natsext.RequestManySentinel(isEnd))
	if err != nil {
		return nil, err
	}
	for m, err := range answers {
		if err != nil {
			return nil, err
		}
		message, err := s.decodeDirect(m)
		if err != nil {
			return nil, err
		}
		messages = append(messages, message)
	}
	if end == nil {
		return nil, fmt.Errorf("%w: the answer breaks off", nats.ErrTimeout)
	}
	return messages, endError(end)
}

// endError returns what the end of an answer says.
func endError(end nats.Header) error {
	switch status := end.Get(headerStatus); {
	case status == statusEnd && end.Get("Nats-Num-Pending") == "0":
		return nil
	case status == statusEnd:
		return errTooMany // in bytes
	case status == statusTooMany:
		return errTooMany
	case status == statusNoMessages && end.Get(headerDescription) == descriptionNoResults:
		return nil
	default:
		return fmt.Errorf("%w: server says %s %s", ErrUnavailable, status, end.Get(headerDescription))
	}
}

// decodeDirect reads a message that was sent by a direct get.
func (s store) decodeDirect(m *nats.Msg) (keyed, error) {
	revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return keyed{}, fmt.Errorf("answer of the server: %w", err)
	}
	created, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return keyed{}, fmt.Errorf("answer of the server: %w", err)
	}
	return keyed{
		key:    s.keyOf(m.Header.Get(jetstream.SubjectHeader)),
		stored: stored{revision: revision, created: created, data: m.Data, live: !isMarker(m.Header)},
	}, nil
}
