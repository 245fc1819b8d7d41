package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// reservedPrefix begins headers that tell the server what to do with a message. In a
// dead letter the original ones are kept under another name.
const reservedPrefix = "Nats-"

// headerReserve is kept free for a dead letter's own headers when a payload is split.
const headerReserve = 16 << 10

// bury puts a command that cannot be carried out at all into the dead letters, with its
// payload and headers, answers it, and takes it out of the queue.
func (w *Worker) bury(ctx context.Context, d *delivery, why error) error {
	ctx, cancel := context.WithTimeout(ctx, w.config.RequestTimeout)
	defer cancel()
	code := volume.CodeOf(why)
	for _, letter := range deadLetters(d, why, int(w.nc.MaxPayload())) {
		if _, err := w.js.PublishMsg(ctx, letter, jetstream.WithExpectStream(commands.DeadLetterStreamName)); err != nil {
			return fmt.Errorf("bury command at sequence %d: %w: %w", d.sequence, volume.Unavailable, err)
		}
	}
	w.reply(d.envelope, volume.Outcome{
		CommandID: d.command().ID, Verb: d.command().Verb, Result: volume.Rejected, Failure: volume.NewFailure(why),
	}, false)
	if err := d.msg.TermWithReason(string(code)); err != nil {
		return fmt.Errorf("terminate command at sequence %d: %w", d.sequence, err)
	}
	w.metrics.deadLetters.WithLabelValues(string(code)).Inc()
	w.log.Warn().Err(why).Str("subject", d.msg.Subject()).Uint64("sequence", d.sequence).Msg("command buried")
	return nil
}

// deadLetters returns the messages that hold a command: one, or several if payload and
// added headers together would exceed what the server takes.
func deadLetters(d *delivery, why error, maxPayload int) []*nats.Msg {
	address, _ := commands.ParseSubject(d.msg.Subject()) // names may be what is wrong with it
	subject := commands.DeadSubject(address)
	payload := d.msg.Data()
	limit := max(maxPayload-headerReserve-headerSize(d.msg.Headers()), headerReserve)
	parts := max(1, (len(payload)+limit-1)/limit)
	letters := make([]*nats.Msg, 0, parts)
	for part := range parts {
		letter := nats.NewMsg(subject)
		letter.Header = deadLetterHeader(d, why)
		letter.Data = payload[part*limit : min((part+1)*limit, len(payload))]
		id := fmt.Sprintf("dead-%d-%d", d.sequence, d.storedAt.UnixNano())
		if parts > 1 {
			letter.Header.Set(commands.HeaderDeadPart, fmt.Sprintf("%d/%d", part+1, parts))
			id += "-" + strconv.Itoa(part+1)
		}
		letter.Header.Set(jetstream.MsgIDHeader, id) // a repeat after a crash is one letter, within the dedupe window
		letters = append(letters, letter)
	}
	return letters
}

func deadLetterHeader(d *delivery, why error) nats.Header {
	header := nats.Header{}
	for name, values := range d.msg.Headers() {
		if strings.HasPrefix(name, reservedPrefix) {
			name = commands.HeaderOriginalPrefix + name
		}
		header[name] = values
	}
	code := volume.CodeOf(why)
	header.Set(commands.HeaderDeadCode, string(code))
	header.Set(commands.HeaderDeadClass, string(code.Class()))
	header.Set(commands.HeaderDeadReason, printable(why.Error()))
	header.Set(commands.HeaderDeadSubject, d.msg.Subject())
	header.Set(commands.HeaderDeadSequence, strconv.FormatUint(d.sequence, 10))
	header.Set(commands.HeaderDeadTime, d.storedAt.UTC().Format(time.RFC3339Nano))
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

func headerSize(header nats.Header) int {
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(commands.HeaderOriginalPrefix) + len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}
