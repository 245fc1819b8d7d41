package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ownAdvisoryWithin is how long after a letter an advisory about the same command may
// come that its burial has caused. It is longer than a worker tries to bury a command;
// a command stream that is made anew counts from 1 again, and is another.
const ownAdvisoryWithin = 2 * deadDedupeWindow

// burialKey is what the messages of one dead letter have in common: the stored command,
// and in how many parts it was split.
type burialKey struct {
	sequence uint64
	storedAt int64
	parts    int
}

// advisoryKey is what advisories of one dead letter have in common.
type advisoryKey struct {
	kind     DeadKind
	sequence uint64 // of the command stream
}

// deadIndex puts the messages of the stream together to dead letters.
type deadIndex struct {
	buried    map[burialKey]*DeadLetter
	bySeq     map[uint64][]*DeadLetter // buried, by the sequence of the command
	parts     map[*DeadLetter]map[int]uint64
	advised   map[advisoryKey]*DeadLetter
	letters   []*DeadLetter
	advisedAt []deadMessage // advisories, whose payload was not read yet
}

func newDeadIndex() *deadIndex {
	return &deadIndex{
		buried:  map[burialKey]*DeadLetter{},
		bySeq:   map[uint64][]*DeadLetter{},
		parts:   map[*DeadLetter]map[int]uint64{},
		advised: map[advisoryKey]*DeadLetter{},
	}
}

// add takes the next message of the stream.
func (x *deadIndex) add(m deadMessage) {
	if !strings.HasPrefix(m.subject, deadPrefix) {
		x.advisedAt = append(x.advisedAt, m)
		return
	}
	head, err := readDeadHead(m.header)
	if err != nil {
		x.addUnreadable(m, err)
		return
	}
	key := burialKey{head.sequence, head.storedAt.UnixNano(), head.parts}
	l := x.buried[key]
	if l == nil {
		l = newBuried(m, head)
		x.buried[key] = l
		x.bySeq[head.sequence] = append(x.bySeq[head.sequence], l)
		x.parts[l] = map[int]uint64{}
		x.letters = append(x.letters, l)
	}
	l.messages = append(l.messages, m.sequence)
	l.Attempts = max(l.Attempts, head.attempts)
	if x.parts[l][head.part] == 0 { // else the command was buried again after a crash
		x.parts[l][head.part] = m.sequence
		l.Size += m.size
	}
}

func newBuried(m deadMessage, head deadHead) *DeadLetter {
	l := &DeadLetter{
		Sequence: m.sequence, Kind: DeadBuried, BuriedAt: m.storedAt,
		Code: head.code, Class: head.class, Reason: head.reason, Attempts: head.attempts,
		Parts: head.parts, Size: -head.moved, moved: head.moved,
		Command: Incoming{Subject: head.subject, Sequence: head.sequence, StoredAt: head.storedAt},
	}
	if head.moved == 0 {
		l.Command.Header = armed(m.header)
	}
	return l
}

func (x *deadIndex) addUnreadable(m deadMessage, why error) {
	x.letters = append(x.letters, &DeadLetter{
		Sequence: m.sequence, Kind: DeadUnreadable, BuriedAt: m.storedAt, Reason: why.Error(),
		Size: m.size, Parts: 1, messages: []uint64{m.sequence}, parts: []uint64{m.sequence},
	})
}

// addAdvisory takes an advisory. One about a command that a worker has buried belongs
// to that letter.
func (x *deadIndex) addAdvisory(m deadMessage, data []byte) *DeadLetter {
	told, err := readAdvisory(data)
	if err != nil {
		x.addUnreadable(m, err)
		return nil
	}
	for _, l := range x.bySeq[told.Sequence] {
		if apart := m.storedAt.Sub(l.BuriedAt).Abs(); apart <= ownAdvisoryWithin {
			l.messages = append(l.messages, m.sequence)
			return nil
		}
	}
	key := advisoryKey{told.kind(), told.Sequence}
	if l := x.advised[key]; l != nil {
		l.messages = append(l.messages, m.sequence)
		l.Attempts = max(l.Attempts, told.Deliveries)
		return nil
	}
	l := &DeadLetter{
		Sequence: m.sequence, Kind: told.kind(), BuriedAt: m.storedAt, Reason: told.reason(), Attempts: told.Deliveries,
		Command: Incoming{Sequence: told.Sequence}, messages: []uint64{m.sequence},
	}
	x.advised[key] = l
	x.letters = append(x.letters, l)
	return l
}

func (a advisory) reason() string {
	if a.kind() == DeadMaxDeliveries {
		return fmt.Sprintf("not delivered again by consumer %s, which has a limit", printable(a.Consumer))
	}
	reason := fmt.Sprintf("terminated on consumer %s", printable(a.Consumer))
	if a.Reason != "" {
		reason += ": " + printable(a.Reason)
	}
	return reason
}

// finish returns all letters in the order of their first messages.
func (x *deadIndex) finish() []*DeadLetter {
	for _, l := range x.buried {
		x.join(l)
	}
	slices.SortFunc(x.letters, func(a, b *DeadLetter) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return x.letters
}

// join puts the parts of a letter in order.
func (x *deadIndex) join(l *DeadLetter) {
	found := x.parts[l]
	if len(found) < l.Parts {
		l.Kind, l.Code, l.Class = DeadUnreadable, "", ""
		l.Reason = fmt.Sprintf("%d of %d parts are missing", l.Parts-len(found), l.Parts)
	}
	if l.Size < 0 {
		l.Kind, l.Code, l.Class, l.Size = DeadUnreadable, "", "", l.Size+l.moved
		l.Reason = fmt.Sprintf("%d bytes of header in %d of payload", l.moved, l.Size)
	}
	for _, part := range sortedKeys(found) {
		l.parts = append(l.parts, found[part])
	}
}

func sortedKeys(found map[int]uint64) []int {
	keys := make([]int, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// index reads the whole stream of dead letters, without payloads.
func (d *DeadLetters) index(ctx context.Context) ([]*DeadLetter, error) {
	stream, err := d.js.Stream(ctx, DeadLetterStreamName)
	if err != nil {
		return nil, readDeadError(err)
	}
	x := newDeadIndex()
	if err := d.scan(ctx, stream, x.add); err != nil {
		return nil, readDeadError(err)
	}
	for _, m := range x.advisedAt {
		stored, err := stream.GetMsg(ctx, m.sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, readDeadError(err)
		}
		if l := x.addAdvisory(m, stored.Data); l != nil {
			if err := d.lookUp(ctx, l); err != nil {
				return nil, err
			}
		}
	}
	return x.finish(), nil
}

// lookUp adds to an advisory the command that it is about, if that is still stored.
func (d *DeadLetters) lookUp(ctx context.Context, l *DeadLetter) error {
	stream, err := d.js.Stream(ctx, StreamName)
	if err != nil {
		return readDeadError(err)
	}
	stored, err := stream.GetMsg(ctx, l.Command.Sequence)
	// A command stream that was made anew counts from 1 again: a younger command is
	// another one.
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && stored.Time.After(l.BuriedAt) {
		l.Lost, l.loaded = true, true
		return nil
	}
	if err != nil {
		return readDeadError(err)
	}
	l.Command = Incoming{
		Subject: stored.Subject, Header: stored.Header, Data: stored.Data, Sequence: stored.Sequence, StoredAt: stored.Time,
	}
	l.Size, l.Parts, l.loaded = len(stored.Data), 1, true
	return nil
}
