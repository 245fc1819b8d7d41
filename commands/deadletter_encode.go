package commands

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// The server stores at most 64 KiB of headers with a message. A command's own may take
// the greater part of that beside those of its dead letter; longer ones go into the
// payload.
const (
	maxOwnHeader  = 56 << 10
	headerReserve = 64 << 10 // free in each letter for all headers together
)

// maxReason bounds the text of a reason in bytes: a name that was refused may be long.
const maxReason = 1024

// Burial is a command that cannot be carried out, on its way to the dead letters.
type Burial struct {
	Incoming
	Attempts uint64 // how often the server has delivered it
	Cause    error
}

// Messages returns the messages that hold the command whole: one, or several if it
// exceeds, with the headers added, maxPayload bytes. The same command gives messages
// with the same IDs, so that a repeat within the stream's duplicate window is dropped.
func (b Burial) Messages(maxPayload int) []*nats.Msg {
	address, _ := ParseSubject(b.Subject) // names may be what is wrong with it
	subject := DeadSubject(address)
	header, payload := b.header(), b.Data
	own := disarmed(b.Header)
	if len(wireHeader(own)) <= maxOwnHeader {
		maps.Copy(header, own)
	} else {
		moved := wireHeader(b.Header)
		header.Set(HeaderDeadHeaders, strconv.Itoa(len(moved)))
		payload = slices.Concat(moved, payload)
	}
	limit := max(maxPayload-headerReserve, headerReserve)
	parts := max(1, (len(payload)+limit-1)/limit)
	letters := make([]*nats.Msg, 0, parts)
	for part := range parts {
		letter := nats.NewMsg(subject)
		letter.Header = maps.Clone(header)
		letter.Data = payload[part*limit : min((part+1)*limit, len(payload))]
		id := fmt.Sprintf("dead-%d-%d", b.Sequence, b.StoredAt.UnixNano())
		if parts > 1 {
			letter.Header.Set(HeaderDeadPart, fmt.Sprintf("%d/%d", part+1, parts))
			id += "-" + strconv.Itoa(part+1)
		}
		letter.Header.Set(jetstream.MsgIDHeader, id)
		letters = append(letters, letter)
	}
	return letters
}

func (b Burial) header() nats.Header {
	code := volume.CodeOf(b.Cause)
	header := nats.Header{}
	header.Set(HeaderDeadCode, string(code))
	header.Set(HeaderDeadClass, string(code.Class()))
	header.Set(HeaderDeadReason, printable(b.Cause.Error()))
	header.Set(HeaderDeadSubject, b.Subject)
	header.Set(HeaderDeadSequence, strconv.FormatUint(b.Sequence, 10))
	header.Set(HeaderDeadTime, b.StoredAt.UTC().Format(time.RFC3339Nano))
	header.Set(HeaderDeadAttempts, strconv.FormatUint(b.Attempts, 10))
	return header
}

// disarmed returns headers under names by which they cannot be taken for the server's
// or for those that jetvol adds. [armed] is its inverse.
func disarmed(own nats.Header) nats.Header {
	kept := make(nats.Header, len(own))
	for name, values := range own {
		if serverHeader(name) || strings.HasPrefix(name, deadHeaderPrefix) || strings.HasPrefix(name, HeaderOriginalPrefix) {
			name = HeaderOriginalPrefix + name
		}
		kept[name] = values
	}
	return kept
}

// armed returns the command's own headers from those of a letter.
func armed(letter nats.Header) nats.Header {
	own := nats.Header{}
	for name, values := range letter {
		original, kept := strings.CutPrefix(name, HeaderOriginalPrefix)
		if kept || !serverHeader(name) && !strings.HasPrefix(name, deadHeaderPrefix) {
			own[original] = values
		}
	}
	return own
}

// wireHeader returns headers one "Name: value" a line, in the order of their names.
// [parseWireHeader] is its inverse.
func wireHeader(header nats.Header) []byte {
	var lines []byte
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			lines = fmt.Appendf(lines, "%s: %s\r\n", name, value)
		}
	}
	return lines
}

func parseWireHeader(lines []byte) (nats.Header, error) {
	header := nats.Header{}
	for rest := string(lines); rest != ""; {
		line, after, whole := strings.Cut(rest, "\r\n")
		name, value, named := strings.Cut(line, ": ")
		if !whole || !named || name == "" {
			return nil, volume.Errorf(volume.ErrInvalidPayload, "header line %.80q: want a name and a value", line)
		}
		header[name] = append(header[name], value)
		rest = after
	}
	return header, nil
}

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
