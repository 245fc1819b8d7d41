package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// A batch is refused on a replicated stream while another one that expects the same key
// is in flight, so many batches at once that expect one key take their turns: more
// attempts than for a single write, with pauses drawn at random. They add up to about
// two seconds at most.
const (
	maxBatchAttempts = 60
	firstBatchPause  = 2 * time.Millisecond
	maxBatchPause    = 64 * time.Millisecond
)

// codeTooManyBatches: 50 batches are being published to the stream, or 1,000 to the
// server.
const codeTooManyBatches jetstream.ErrorCode = 10210

// Commit stores all changes or none and returns the new revision of each key. It returns
//
//   - a [*ConflictError] with the first key, or filter, that is not as expected, and its
//     current revision, 0 if it holds no record. Nothing was stored: read again and
//     decide again;
//   - an [ErrUnavailable] if there was no answer. The batch may have been stored, or may
//     yet be. Call Commit again: it stores the batch, or finds it stored and returns
//     its revisions, and never stores it twice, because both attempts have the same
//     conditions. A conflict then means that it was not stored, or that it was and all of
//     its keys have been written by others since;
//   - an [ErrInvalid] for a malformed, an empty or too large a batch, nothing was sent;
//   - what writes to a [Bucket] return besides.
func (b *Batch) Commit(ctx context.Context) (map[string]uint64, error) {
	drafts, carried, err := b.plan()
	if err != nil {
		return nil, b.failed("store batch in", "", err)
	}
	revisions, err := b.commit(ctx, drafts, carried)
	if err != nil {
		return nil, b.failed("store batch at", b.writes[0].key, err)
	}
	return revisions, nil
}

func (b *Batch) commit(ctx context.Context, drafts []draft, carried []int) (map[string]uint64, error) {
	expected := make([]uint64, len(b.conds))
	for i, c := range b.conds {
		expected[i] = c.revision
	}
	var refusal error
	limit := firstBatchPause
	for range maxBatchAttempts {
		last, err := b.publishAll(ctx, drafts, carried, expected)
		if err == nil {
			return b.revisions(drafts, last), nil
		}
		if !isWrongRevision(err) && !isIncomplete(err) {
			return nil, err
		}
		refusal = err
		if done, err := b.stored(ctx, drafts); done != nil || err != nil {
			return done, err
		}
		moved, err := b.check(ctx, expected)
		if err != nil {
			return nil, err
		}
		if moved { // a marker came or went
			continue
		}
		// All is as expected: another batch with one of the keys is in flight.
		if err := rest(ctx, rand.N(limit)); err != nil {
			return nil, classify(err)
		}
		limit = min(2*limit, maxBatchPause)
	}
	return nil, fmt.Errorf("%w: refused %d times at unchanged revisions: %w", ErrRateLimited, maxBatchAttempts, refusal)
}

// publishAll makes one attempt and returns the revision of the last message. A refusal
// is left as the server said it.
func (b *Batch) publishAll(ctx context.Context, drafts []draft, carried []int, expected []uint64) (uint64, error) {
	messages := make([]*nats.Msg, len(drafts))
	for i, d := range drafts {
		messages[i] = b.message(d)
		if c := carried[i]; c != noWrite {
			messages[i].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expected[c], 10))
			messages[i].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, recordSubject(b.bucket, b.conds[c].subject))
		}
	}
	var ack *jetstreamext.BatchAck
	err := b.call(ctx, b.publishSubject(">"), func(ctx context.Context) (err error) {
		// Without an answer to the first message: waiting for it does not heed ctx, and the
		// answer to the last one tells of every fault.
		ack, err = jetstreamext.PublishMsgBatch(ctx, b.js, messages, jetstreamext.BatchFlowControl{})
		return err
	})
	if errors.Is(err, ErrUnavailable) {
		b.unsure[messages[0].Header.Get(jetstreamext.BatchIDHeader)] = true
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func (b *Batch) message(d draft) *nats.Msg {
	msg := &nats.Msg{Subject: b.publishSubject(d.key), Header: nats.Header{}, Data: d.data}
	for name := range d.header {
		msg.Header.Set(name, d.header.Get(name))
	}
	if d.ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, d.ttl.String())
	}
	return msg
}

// revisions returns what each change got: the messages of a batch are stored one behind
// the other.
func (b *Batch) revisions(drafts []draft, last uint64) map[string]uint64 {
	revisions := make(map[string]uint64, len(b.writes))
	for _, d := range slices.Backward(drafts) {
		if b.written[d.key] {
			revisions[d.key] = last
		}
		last--
	}
	return revisions
}

// stored looks for an earlier attempt of this batch whose answer was lost. Each message
// keeps the id of its batch, so one key that nobody has written since proves that the
// attempt was stored, and tells where.
func (b *Batch) stored(ctx context.Context, drafts []draft) (map[string]uint64, error) {
	if len(b.unsure) == 0 {
		return nil, nil
	}
	after := uint64(0) // messages of the batch behind this one
	for _, d := range slices.Backward(drafts) {
		now, err := b.last(ctx, d.key)
		if err != nil {
			return nil, err
		}
		if b.unsure[now.batch] {
			return b.revisions(drafts, now.revision+after), nil
		}
		after++
	}
	return nil, nil
}

// check compares every condition with what is stored. It returns a [*ConflictError] for
// the first that does not hold. Where no record was expected and there is none, it sets
// expected to the revision of the marker, or to 0 when that is gone, and reports that.
func (b *Batch) check(ctx context.Context, expected []uint64) (moved bool, err error) {
	for i, c := range b.conds {
		now, err := b.last(ctx, c.subject)
		if err != nil {
			return false, err
		}
		absent := c.record && c.revision == 0
		switch {
		case absent && !now.live:
			moved = moved || now.revision != expected[i]
			expected[i] = now.revision
		case now.revision != c.revision && c.record && !now.live:
			return false, &ConflictError{Key: c.subject}
		case now.revision != c.revision:
			return false, &ConflictError{Key: c.subject, Revision: now.revision}
		}
	}
	return moved, nil
}

// isIncomplete reports whether the server has let go of a batch before its end: too
// many others, a new leader, or a message that was lost. Nothing of it is stored.
func isIncomplete(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstreamext.JSErrCodeBatchPublishIncomplete || api.ErrorCode == codeTooManyBatches)
}
