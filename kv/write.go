package kv

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A write is tried again only after a definite refusal that turned out to be no
// conflict. The pauses add up to about 150 ms, well above the time a replicated stream
// takes to apply the write that was in flight.
const (
	maxWriteAttempts = 6
	firstWritePause  = 5 * time.Millisecond
)

// draft is a write to be made.
type draft struct {
	key    string
	data   []byte
	header nats.Header // KV-Operation of a delete
	ttl    time.Duration
	first  bool // over a marker it is a conflict too
}

// write stores d if the key is still at the given revision, where 0 stands for no live
// record. It returns the new revision, or with a [*ConflictError] the current one.
func (s store) write(ctx context.Context, d draft, revision uint64) (uint64, error) {
	expected, pause := revision, time.Duration(0)
	for range maxWriteAttempts {
		if err := rest(ctx, pause); err != nil {
			return 0, classify(err)
		}
		written, err := s.publish(ctx, d, expected)
		if !isWrongRevision(err) {
			return written, err
		}
		now, err := s.last(ctx, d.key)
		switch {
		case err != nil:
			return 0, err
		case (now.live || d.first) && now.revision != expected:
			return now.revision, &ConflictError{Key: d.key, Revision: now.revision}
		case !now.live && revision != 0 && now.revision != expected:
			return 0, ErrNotFound
		case now.revision != expected:
			expected = now.revision // over a marker, or where one was
			continue
		}
		// The key is where it was expected to be. A replicated stream answers so while
		// another write to it is in flight; soon that is applied, or given up.
		pause = max(2*pause, firstWritePause)
	}
	return 0, fmt.Errorf("%w: refused %d times at an unchanged revision", ErrUnavailable, maxWriteAttempts)
}

// publish makes one attempt. A refusal for the revision is left as the server said it.
func (s store) publish(ctx context.Context, d draft, expected uint64) (uint64, error) {
	msg := &nats.Msg{Subject: s.publishSubject(d.key), Header: nats.Header{}, Data: d.data}
	for name := range d.header {
		msg.Header.Set(name, d.header.Get(name))
	}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expected, 10))
	if d.ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, d.ttl.String())
	}
	var ack *jetstream.PubAck
	err := s.call(ctx, msg.Subject, func(ctx context.Context) (err error) {
		ack, err = s.js.PublishMsg(ctx, msg)
		return err
	})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// rest waits for d or returns the error of ctx if that ends first.
func rest(ctx context.Context, d time.Duration) error {
	if d == 0 { // a timer that has run out would be waited for all the same
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
