package commands

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// The headers of a command.
const (
	HeaderID          = jetstream.MsgIDHeader // "Nats-Msg-Id"
	HeaderActor       = "Jetvol-Actor"
	HeaderReply       = "Jetvol-Reply"
	HeaderTraceParent = "traceparent"
)

// Limits of headers, in bytes.
const (
	MaxActorLength = 256
	MaxReplyLength = 256
)

// validateActor returns an [volume.ErrInvalidArgument] unless the actor can be shown to
// people as it is.
func validateActor(actor string) error {
	if len(actor) > MaxActorLength {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %d bytes, at most %d", HeaderActor, len(actor), MaxActorLength)
	}
	if !utf8.ValidString(actor) || strings.ContainsFunc(actor, isUnprintable) {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %.80q: want printable text", HeaderActor, actor)
	}
	return nil
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// ownSubjects are first tokens of subjects on which a worker must not publish for
// somebody else: with the worker's permissions one could forge events there.
var ownSubjects = []string{"volume", "jetvol"}

// validateReply returns an [volume.ErrInvalidArgument] unless a worker may publish the
// answer on the subject: one subject without wildcards, neither jetvol's nor the
// server's own.
func validateReply(subject string) error {
	if len(subject) > MaxReplyLength {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %d bytes, at most %d", HeaderReply, len(subject), MaxReplyLength)
	}
	if !utf8.ValidString(subject) || strings.ContainsFunc(subject, isUnprintable) || strings.ContainsAny(subject, " *>") {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %q: want one subject without wildcards and spaces", HeaderReply, subject)
	}
	tokens := strings.Split(subject, ".")
	if slices.Contains(tokens, "") {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %q: empty token", HeaderReply, subject)
	}
	if slices.Contains(ownSubjects, tokens[0]) || strings.HasPrefix(subject, "$") {
		return volume.Errorf(volume.ErrInvalidArgument, "header %s: %q: reserved subject", HeaderReply, subject)
	}
	return nil
}

var traceParentPattern = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// readTraceParent returns the trace context, or nothing if it has not the form of one:
// W3C Trace Context wants a broken context to be ignored.
func readTraceParent(header string) string {
	if header == "" || !traceParentPattern.MatchString(header) {
		return ""
	}
	return header
}
