package commands

import (
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// Headers of a dead letter: what its command was, and why it could not be carried out.
// The command's own headers stand beside them; those that would be taken for the
// server's or for these are kept under [HeaderOriginalPrefix] and their name.
const (
	HeaderDeadCode     = deadHeaderPrefix + "Code"     // a volume.Code
	HeaderDeadClass    = deadHeaderPrefix + "Class"    // its volume.Class
	HeaderDeadReason   = deadHeaderPrefix + "Reason"   // in words
	HeaderDeadSubject  = deadHeaderPrefix + "Subject"  // under which the command was stored
	HeaderDeadSequence = deadHeaderPrefix + "Sequence" // of the command stream
	HeaderDeadTime     = deadHeaderPrefix + "Time"     // when the command was stored, RFC 3339
	HeaderDeadAttempts = deadHeaderPrefix + "Attempts" // how often the server had delivered it
	HeaderDeadPart     = deadHeaderPrefix + "Part"     // "1/2": the payload is split over several letters

	// HeaderDeadHeaders is a count of bytes: so much of the (joined) payload is the
	// command's own header, one "Name: value" a line; what follows is its payload. It is
	// set where the server could not store that header beside those above.
	HeaderDeadHeaders = deadHeaderPrefix + "Headers"

	HeaderOriginalPrefix = "Jetvol-Original-"

	deadHeaderPrefix = "Jetvol-Dead-"
)

// Headers by which the server and its client library speak to each other.
const (
	serverHeaderPrefix = "Nats-"
	headerStatus       = "Status"
	headerDescription  = "Description"
)

// serverHeader reports whether a header means something to the server or its clients.
func serverHeader(name string) bool {
	return strings.HasPrefix(name, serverHeaderPrefix) || name == headerStatus || name == headerDescription
}

// DeadKind says how a command became a dead letter.
type DeadKind string

// The kinds of dead letters.
const (
	// DeadBuried is a command that a worker could not read or carry out at all.
	DeadBuried DeadKind = "buried"
	// DeadMaxDeliveries is a command that the server has stopped delivering, because
	// somebody has limited the deliveries of a consumer. It still stands in the command
	// stream.
	DeadMaxDeliveries DeadKind = "max_deliveries"
	// DeadTerminated is a command that somebody else than a worker took out of the
	// command stream before it had ended. Its payload is lost.
	DeadTerminated DeadKind = "terminated"
	// DeadUnreadable is a message on the stream of dead letters that is none, or one of
	// which a part is missing.
	DeadUnreadable DeadKind = "unreadable"
)

// DeadKinds returns all kinds.
func DeadKinds() []DeadKind {
	return []DeadKind{DeadBuried, DeadMaxDeliveries, DeadTerminated, DeadUnreadable}
}

// DeadLetter is a command that was not carried out, however many messages of the stream
// tell of it.
type DeadLetter struct {
	// Sequence is the letter's name: that of its first message on the stream.
	Sequence uint64
	Kind     DeadKind
	BuriedAt time.Time // when the first message was stored
	// Code and Class say why. They are empty unless the letter is [DeadBuried].
	Code     volume.Code
	Class    volume.Class
	Reason   string // in words
	Attempts uint64 // how often the server had delivered the command

	// Command is the command as it was stored. Subject and StoredAt are empty if nothing
	// is known of it any more. Header lacks what was too long to stand beside those of
	// the letter, and Data is empty, until [DeadLetters.Load].
	Command Incoming
	// Size is that of the command's payload in bytes.
	Size int
	// Parts is the number of messages that hold the payload.
	Parts int
	// Lost says that the payload is not there any more.
	Lost bool

	messages []uint64 // all that tell of the letter, by sequence
	parts    []uint64 // those of them that hold its payload, in order
	moved    int      // so many bytes of the payload are the command's header
	loaded   bool
}

// Address returns what the command's subject says. Project, volume and verb may be
// invalid, and are empty if the subject is not known or no command's.
func (l DeadLetter) Address() Address {
	address, _ := ParseSubject(l.Command.Subject)
	return address
}

// CommandID returns the ID under which the command was known, or nothing if that is not
// known. It may be invalid.
func (l DeadLetter) CommandID() volume.CommandID {
	if own := l.Command.Header.Get(HeaderID); own != "" {
		return volume.CommandID(own)
	}
	if l.Kind == DeadUnreadable || l.Command.StoredAt.IsZero() || l.moved > 0 && !l.loaded {
		return ""
	}
	return volume.DerivedCommandID(l.Command.Sequence, l.Command.StoredAt.UnixNano())
}

// Has reports whether the message with the given sequence is one of the letter's.
func (l DeadLetter) Has(sequence uint64) bool { return slices.Contains(l.messages, sequence) }

// DeadFilter selects dead letters. Empty fields match everything.
type DeadFilter struct {
	Project volume.Project
	Volume  volume.Name
	Verb    volume.Verb
	Code    volume.Code
	Kind    DeadKind
	Since   time.Time // leaves out what was buried before it

	// Sequences selects letters by the sequence of any of their messages.
	Sequences []uint64

	// Newest lists the latest letters first.
	Newest bool
	// After goes on behind the letter with this sequence, in the order of the list.
	After uint64
	// Limit is the greatest number of letters to list; 0 is all.
	Limit int
}

func (f DeadFilter) matches(l *DeadLetter) bool {
	address := l.Address()
	switch {
	case f.Project != "" && address.Key.Project != f.Project,
		f.Volume != "" && address.Key.Name != f.Volume,
		f.Verb != "" && address.Verb != f.Verb,
		f.Code != "" && l.Code != f.Code,
		f.Kind != "" && l.Kind != f.Kind,
		l.BuriedAt.Before(f.Since):
		return false
	}
	return len(f.Sequences) == 0 || slices.ContainsFunc(f.Sequences, l.Has)
}

// behind reports whether the list comes to the letter after the one with the sequence
// After.
func (f DeadFilter) behind(l *DeadLetter) bool {
	switch {
	case f.After == 0:
		return true
	case f.Newest:
		return l.Sequence < f.After
	default:
		return l.Sequence > f.After
	}
}

// deadDedupeWindow is how long a worker may try to store the same dead letter again.
const deadDedupeWindow = 2 * time.Minute

// Subjects on which the server tells that it, or somebody, has given up a command.
const (
	maxDeliveriesSubject = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + StreamName + ".*"
	terminatedSubject    = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + StreamName + ".*"
)

// DeadLetterStreamConfig returns the configuration of the stream that keeps commands
// which nobody can carry out, until an operator replays, drops or purges them. The
// server's own advisories about given up commands are stored in it too, so that they
// are lost at no time, whoever listens.
func DeadLetterStreamConfig(replicas int) jetstream.StreamConfig {
	config := unlimitedStream(deadPrefix+"*.*.*", replicas)
	config.Subjects = append(config.Subjects, maxDeliveriesSubject, terminatedSubject)
	config.Name = DeadLetterStreamName
	config.Description = "jetvol: commands that could not be read, with the reason"
	config.Retention = jetstream.LimitsPolicy
	config.Duplicates = deadDedupeWindow
	return config
}
