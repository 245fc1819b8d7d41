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
	written, err := s.publish(ctx, d, revision)
	if !isWrongRevision(err) {
		return written, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.writeRefused(ctx, d, revision)
}

// writeRefused goes on after a refusal for the revision: it looks where the key is, and
// writes again if that is no conflict.
func (s store) writeRefused(ctx context.Context, d draft, revision uint64) (uint64, error) {
	expected, pause := revision, time.Duration(0)
	for range maxWriteAttempts - 1 {
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
		default:
			// The key is where it was expected to be. A replicated stream answers so while
			// another write to it is in flight; soon that is applied, or given up.
			pause = max(2*pause, firstWritePause)
			if err := rest(ctx, pause); err != nil {
				return 0, classify(err)
			}
		}
		written, err := s.publish(ctx, d, expected)
		if !isWrongRevision(err) {
			return written, err
		}
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
	return s.send(ctx, msg)
}

// send publishes msg and waits for its sequence, under the same bounds as call. It publishes
// without waiting and waits then, which costs half of what a request does: a healthy answer
// comes before the timeout or a refusal would need a context.
func (s store) send(ctx context.Context, msg *nats.Msg) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, classify(err)
	}
	before := s.js.Conn().LastError()
	future, err := s.js.PublishMsgAsync(msg)
	if err != nil && s.js.Conn().IsClosed() {
		err = nats.ErrConnectionClosed // of which nats.go may tell no more than the text
	}
	if err != nil {
		return 0, classify(err)
	}
	timer := time.NewTimer(refusalPatience)
	defer timer.Stop()
	select {
	case ack := <-future.Ok():
		return ack.Sequence, nil
	case err = <-future.Err():
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
	}
	if refused := newRefusal(s.js.Conn(), before, msg.Subject); refused != nil {
		return 0, classify(refused)
	}
	if err != nil {
		return 0, classify(err)
	}
	return s.await(ctx, msg.Subject, future)
}

// await waits for an answer that is late.
func (s store) await(ctx context.Context, subject string, future jetstream.PubAckFuture) (sequence uint64, err error) {
	err = s.call(ctx, subject, func(ctx context.Context) error {
		select {
		case ack := <-future.Ok():
			sequence = ack.Sequence
			return nil
		case err := <-future.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return sequence, err
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
