package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Headers and values by which a message of a bucket says that its key holds nothing.
const (
	headerOperation = "KV-Operation"
	operationDelete = "DEL"
	operationPurge  = "PURGE"
)

// store speaks with the stream of one bucket in bytes; [Bucket] adds the types.
type store struct {
	js      jetstream.JetStream
	bucket  string
	stream  string
	api     string        // prefix of the subjects of the JetStream API, with the final dot
	timeout time.Duration // of js
	// counted is how many records the server may count for a page of a list.
	counted uint64
}

// stored is the last message of a key. Its zero value says that there is none.
type stored struct {
	revision uint64
	created  time.Time
	data     []byte
	live     bool   // false also for a marker of a deleted or expired record
	batch    string // the id of the batch that wrote it, if one did
}

func newStore(js jetstream.JetStream, bucket string) store {
	options := js.Options()
	return store{
		js: js, bucket: bucket, stream: streamName(bucket), api: apiPrefix(options), counted: countedRecords,
		timeout: options.DefaultTimeout,
	}
}

func apiPrefix(options jetstream.JetStreamOptions) string {
	switch {
	case options.Domain != "":
		return "$JS." + options.Domain + ".API."
	case options.APIPrefix != "":
		return strings.TrimSuffix(options.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

// publishSubject is the subject to write a key: that of the record, which in another
// domain is reached through its API prefix.
func (s store) publishSubject(key string) string {
	if s.api == jetstream.DefaultAPIPrefix {
		return recordSubject(s.bucket, key)
	}
	return s.api + recordSubject(s.bucket, key)
}

// call runs request under the timeout of js, or the deadline of ctx if that is sooner: a
// request that its server takes down with it is never answered. It classifies
// its error.
func (s store) call(ctx context.Context, subject string, request func(context.Context) error) error {
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > s.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	return classify(unlessRefused(ctx, s.js.Conn(), subject, request))
}

// last asks the stream's leader for the last message of key. The request is written
// out because Stream.GetLastMsgForSubject asks any replica once direct gets are
// allowed.
func (s store) last(ctx context.Context, key string) (stored, error) {
	subject := s.api + "STREAM.MSG.GET." + s.stream
	query, err := json.Marshal(map[string]string{"last_by_subj": recordSubject(s.bucket, key)})
	if err != nil {
		return stored{}, err
	}
	var answer *nats.Msg
	err = s.call(ctx, subject, func(ctx context.Context) (err error) {
		answer, err = s.js.Conn().RequestWithContext(ctx, subject, query)
		return err
	})
	if err != nil {
		return stored{}, err
	}
	return decodeStored(answer.Data)
}

// decodeStored reads the answer to a STREAM.MSG.GET request.
func decodeStored(data []byte) (stored, error) {
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return stored{}, fmt.Errorf("answer of the server: %w", err)
	}
	if answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return stored{}, nil
	}
	if answer.Error != nil {
		return stored{}, classify(answer.Error)
	}
	if answer.Message == nil {
		return stored{}, jetstream.ErrInvalidJetStreamResponse
	}
	m := answer.Message
	header, err := decodeHeader(m.Header)
	if err != nil {
		return stored{}, err
	}
	return stored{
		revision: m.Sequence, created: m.Time, data: m.Data, live: !isMarker(header),
		batch: header.Get(jetstreamext.BatchIDHeader),
	}, nil
}

func decodeHeader(raw []byte) (nats.Header, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	header, err := nats.DecodeHeadersMsg(raw)
	if err != nil {
		return nil, fmt.Errorf("header in the answer of the server: %w", err)
	}
	return header, nil
}

// isMarker reports whether a message says that its key was deleted or purged by a
// client, or that the server removed the record that was there.
func isMarker(header nats.Header) bool {
	operation := header.Get(headerOperation)
	return operation == operationDelete || operation == operationPurge ||
		header.Get(jetstream.MarkerReasonHeader) != ""
}

// failed says which operation on which key failed and keeps err's identity.
func (s store) failed(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s/%s: %w", operation, s.bucket, key, err)
}
