package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// reservedPrefix begins headers that tell the server what to do with a message.
const reservedPrefix = "Nats-"

// reserved reports whether a header means something to the server or its clients. In a
// dead letter the command's own is kept under another name.
func reserved(name string) bool {
	return strings.HasPrefix(name, reservedPrefix) || name == headerStatus || name == headerDescription
}

// The server stores at most 64 KiB of headers with a message. A command's own may take
// the greater part of that beside those of its dead letter; longer ones go into the
// payload.
const (
	maxOwnHeader  = 56 << 10
	headerReserve = 64 << 10 // free in each letter for all headers together
)

// bury puts a command that cannot be carried out at all into the dead letters, with its
// payload and headers, answers it, and takes it out of the queue.
func (w *Worker) bury(ctx context.Context, d *delivery, why error) error {
	ctx, cancel := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer cancel()
	code := volume.CodeOf(why)
	for _, letter := range deadLetters(d, why, int(w.nc.MaxPayload())) {
		// gofail: var beforeLetter string
		// killAt(beforeLetter, "letter", d.command().ID)

		if _, err := w.js.PublishMsg(ctx, letter, jetstream.WithExpectStream(commands.DeadLetterStreamName)); err != nil {
			return fmt.Errorf("bury command at sequence %d: %w: %w", d.Sequence, volume.Unavailable, err)
		}
		// gofail: var afterLetter string
		// killAt(afterLetter, "letter", d.command().ID)
	}
	w.reply(d.envelope, volume.Outcome{
		CommandID: d.command().ID, Verb: d.command().Verb, Result: volume.Rejected, Failure: volume.NewFailure(why),
	}, false)
	// gofail: var beforeTerm string
	// killAt(beforeTerm, "term", d.command().ID)

	if err := w.terminate(ctx, d, string(code)); err != nil {
		return fmt.Errorf("terminate command at sequence %d: %w", d.Sequence, err)
	}
	// gofail: var afterTerm string
	// flushAndKillAt(w.nc, afterTerm, "term", d.command().ID)

	w.metrics.deadLetters.WithLabelValues(string(code)).Inc()
	w.log.Warn().Err(why).Str("subject", d.Subject).Uint64("sequence", d.Sequence).Msg("command buried")
	return nil
}

// terminate takes a command out of the queue.
func (w *Worker) terminate(ctx context.Context, d *delivery, reason string) error {
	if d.msg != nil {
		return d.msg.TermWithReason(reason)
	}
	err := w.stream.DeleteMsg(ctx, d.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
}

// deadLetters returns the messages that hold a command: one, or several if it exceeds,
// with the headers added, what the server takes.
func deadLetters(d *delivery, why error, maxPayload int) []*nats.Msg {
	address, _ := commands.ParseSubject(d.Subject) // names may be what is wrong with it
	subject := commands.DeadSubject(address)
	header, payload := deadLetterHeader(d, why), d.Data
	if own := wireHeader(d.Header); len(own) <= maxOwnHeader {
		keepHeader(header, d.Header)
	} else {
		header.Set(commands.HeaderDeadHeaders, strconv.Itoa(len(own)))
		payload = append(own, payload...)
	}
	limit := max(maxPayload-headerReserve, headerReserve)
	parts := max(1, (len(payload)+limit-1)/limit)
	letters := make([]*nats.Msg, 0, parts)
	for part := range parts {
		letter := nats.NewMsg(subject)
		letter.Header = maps.Clone(header)
		letter.Data = payload[part*limit : min((part+1)*limit, len(payload))]
		id := fmt.Sprintf("dead-%d-%d", d.Sequence, d.StoredAt.UnixNano())
		if parts > 1 {
			letter.Header.Set(commands.HeaderDeadPart, fmt.Sprintf("%d/%d", part+1, parts))
			id += "-" + strconv.Itoa(part+1)
		}
		letter.Header.Set(jetstream.MsgIDHeader, id) // a repeat after a crash is one letter, within the dedupe window
		letters = append(letters, letter)
	}
	return letters
}

// keepHeader puts a command's own headers into those of its dead letter.
func keepHeader(header, own nats.Header) {
	for name, values := range own {
		if reserved(name) {
			name = commands.HeaderOriginalPrefix + name
		}
		if _, taken := header[name]; !taken { // a command cannot tell why it died
			header[name] = values
		}
	}
}

// wireHeader returns headers one "Name: value" a line, in the order of their names.
func wireHeader(header nats.Header) []byte {
	var lines []byte
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			lines = fmt.Appendf(lines, "%s: %s\r\n", name, value)
		}
	}
	return lines
}

func deadLetterHeader(d *delivery, why error) nats.Header {
	code := volume.CodeOf(why)
	header := nats.Header{}
	header.Set(commands.HeaderDeadCode, string(code))
	header.Set(commands.HeaderDeadClass, string(code.Class()))
	header.Set(commands.HeaderDeadReason, printable(why.Error()))
	header.Set(commands.HeaderDeadSubject, d.Subject)
	header.Set(commands.HeaderDeadSequence, strconv.FormatUint(d.Sequence, 10))
	header.Set(commands.HeaderDeadTime, d.StoredAt.UTC().Format(time.RFC3339Nano))
	header.Set(commands.HeaderDeadAttempts, strconv.FormatUint(d.attempts, 10))
	return header
}

// maxReason bounds the text of a reason: a name that was refused may be long.
const maxReason = 1024

// printable makes a text fit for a header value.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}
