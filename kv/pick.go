package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// A large stream is read message by message, many at once. Every other way has the server
// count what follows a page, which takes it the longer the more is stored and meanwhile
// holds up all writes.
const (
	pickers   = 32 // that read at once, each a stretch of the sequences
	leastSpan = 32
	mostSpan  = 64 << 10 // sequences looked through at once
	// sparse is how many of the messages have to match at least: one of so many.
	sparse = 4
)

// errSparse: too few of the messages match for them to be read one by one.
var errSparse = errors.New("few messages match")

// picked is a page in the making.
type picked struct {
	messages []keyed
	next     uint64
	looked   int
}

// pick returns up to limit messages behind the given revision whose keys match, or
// errSparse. Its cost does not depend on how many are stored.
//
// Each read may come from another replica. All of them have the same messages up to
// where they have got, so what is not changed meanwhile is missed by none; and one that
// has not got there says that it has nothing. Then the page ends there, before its limit.
func (s store) pick(ctx context.Context, filter string, after uint64, limit int) (page picked, err error) {
	err = s.call(ctx, s.api+">", func(ctx context.Context) error {
		page, err = s.pickAll(ctx, filter, after+1, limit)
		return err
	})
	return page, err
}

func (s store) pickAll(ctx context.Context, filter string, from uint64, limit int) (page picked, err error) {
	for width := uint64(max(limit, leastSpan)); ; {
		found, err := s.readSome(ctx, span{from: from, to: from + width})
		if err != nil {
			return picked{}, err
		}
		page.add(filter, found.messages)
		switch {
		case page.looked > limit && len(page.messages)*sparse < page.looked:
			return picked{}, errSparse
		case len(page.messages) > limit:
			page.messages = page.messages[:limit]
			page.next = page.messages[limit-1].revision
			return page, nil
		case found.beyond == 0: // the end
			return page, nil
		case len(page.messages) == limit || found.short > 0:
			page.next = found.beyond - 1
			return page, nil
		}
		from, width = found.beyond, nextWidth(width, len(found.messages), limit-len(page.messages))
	}
}

func (p *picked) add(filter string, messages []keyed) {
	p.looked += len(messages)
	for _, m := range messages {
		if matchesKey(filter, m.key) {
			p.messages = append(p.messages, m)
		}
	}
}

// nextWidth is how many sequences to look through for the wanted messages, if they lie as
// close as those that were found in the width before.
func nextWidth(width uint64, found, wanted int) uint64 {
	guess := float64(width) * float64(wanted) / float64(max(found, 1))
	return uint64(min(max(guess, leastSpan), mostSpan))
}

// span is a stretch of sequences, without its end.
type span struct{ from, to uint64 }

// stretch is what a span holds, by revision.
type stretch struct {
	messages []keyed
	// beyond is where to read on: what lies before it was read. 0 is the end.
	beyond uint64
	// short is the lowest sequence from which a replica said that there is nothing; 0 if
	// none did. Up to it everything was read.
	short uint64
	// seen is the greatest revision that any replica told of.
	seen uint64
}

// readSome reads a span, or its beginning if a replica that was asked is behind others or
// if there was more to come at the end. It does not return nothing unless that is the end.
func (s store) readSome(ctx context.Context, over span) (stretch, error) {
	for range maxCurrentAttempts {
		found, err := s.read(ctx, over)
		if err != nil {
			return stretch{}, err
		}
		if found.short == 0 { // whether more follows has not been asked, or is known
			found.beyond = max(found.beyond, over.to)
			return found, nil
		}
		more := found.seen >= found.short
		if !more {
			if more, err = s.leaderHas(ctx, found.short); err != nil {
				return stretch{}, err
			}
		}
		if !more {
			return found, nil
		}
		if found.short > over.from {
			found.cut()
			return found, nil
		}
		if err := rest(ctx, currentPause); err != nil {
			return stretch{}, err
		}
	}
	return stretch{}, fmt.Errorf("%w: behind the leader %d times", ErrUnavailable, maxCurrentAttempts)
}

// cut keeps what lies before the sequence from which a replica had nothing.
func (s *stretch) cut() {
	s.messages = slices.DeleteFunc(s.messages, func(m keyed) bool { return m.revision >= s.short })
	s.beyond = s.short
}

// leaderHas reports whether there is a message at or behind the sequence.
func (s store) leaderHas(ctx context.Context, sequence uint64) (bool, error) {
	answer, err := s.js.Conn().RequestWithContext(ctx, s.api+"STREAM.MSG.GET."+s.stream, firstFrom(sequence))
	if err != nil {
		return false, err
	}
	found, err := decodeStored(answer.Data)
	return found.revision > 0, err
}

// read reads a span with all pickers.
func (s store) read(ctx context.Context, over span) (whole stretch, err error) {
	width := max((over.to-over.from)/pickers, 1)
	parts := make([]stretch, (over.to-over.from+width-1)/width)
	group, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		part := span{from: over.from + uint64(i)*width}
		part.to = min(part.from+width, over.to)
		group.Go(func() error { return s.readPart(ctx, part, over.to, &parts[i]) })
	}
	if err := group.Wait(); err != nil {
		return stretch{}, err
	}
	for _, part := range parts {
		whole.messages = append(whole.messages, part.messages...)
		whole.beyond = least(whole.beyond, part.beyond)
		whole.short = least(whole.short, part.short)
		whole.seen = max(whole.seen, part.seen)
	}
	slices.SortFunc(whole.messages, func(a, b keyed) int { return cmp.Compare(a.revision, b.revision) })
	return whole, nil
}

// least is the lesser of two numbers of which 0 is none.
func least(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// readPart reads a part of a span that ends at end, one message after another.
func (s store) readPart(ctx context.Context, part span, end uint64, into *stretch) error {
	for at := part.from; at < part.to; {
		m, found, err := s.first(ctx, at)
		if err != nil {
			return err
		}
		if !found {
			into.short = at
			return nil
		}
		into.seen = m.revision
		switch {
		case m.revision >= end:
			into.beyond = m.revision
			return nil
		case m.revision >= part.to:
			return nil // another picker's
		}
		into.messages = append(into.messages, m)
		at = m.revision + 1
	}
	return nil
}

// first asks any replica for the first message at or behind the sequence.
func (s store) first(ctx context.Context, sequence uint64) (m keyed, found bool, err error) {
	answer, err := s.js.Conn().RequestWithContext(ctx, s.api+"DIRECT.GET."+s.stream, firstFrom(sequence))
	if err != nil {
		return keyed{}, false, err
	}
	switch status := answer.Header.Get(headerStatus); {
	case status == statusNoMessages:
		return keyed{}, false, nil
	case status != "":
		return keyed{}, false, fmt.Errorf("%w: server says %s %s", ErrUnavailable, status, answer.Header.Get(headerDescription))
	}
	m, err = s.decodeDirect(answer)
	return m, true, err
}

// firstFrom is the request for the first message at or behind a sequence, whatever its
// subject: for another filter the server would look through its index of subjects.
func firstFrom(sequence uint64) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, sequence)
}

// matchesKey reports whether a key is of those that a filter means.
func matchesKey(filter, key string) bool {
	wanted, tokens := strings.Split(filter, "."), strings.Split(key, ".")
	for i, token := range wanted {
		if token == ">" {
			return i < len(tokens)
		}
		if i >= len(tokens) || token != "*" && token != tokens[i] {
			return false
		}
	}
	return len(wanted) == len(tokens)
}
