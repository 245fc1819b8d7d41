package volume

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MaxNameLength is the greatest length of a [Project], a [Name] or a [SnapshotName], in bytes. It is
// the limit of a DNS label, so that names can be used in host names and file names.
const MaxNameLength = 63

// MaxNodeLength is the greatest length of a [Node], in bytes: that of a DNS name.
const MaxNodeLength = 253

var (
	backendPattern = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	nodePattern    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
)

// isName reports whether s is `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`. It and isCommandID are
// asked many times for each command, and as regular expressions cost ten times as much.
func isName(s string) bool {
	if s == "" || len(s) > MaxNameLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

// isCommandID reports whether s is `[A-Za-z0-9][A-Za-z0-9._:/@=+-]*`.
func isCommandID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if isLower(c) || isUpper(c) || isDigit(c) {
			continue
		}
		if i == 0 || strings.IndexByte("._:/@=+-", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Project is the namespace that a volume's name is unique in.
type Project string

// Name is a volume's name within its project.
type Name string

// SnapshotName is a snapshot's name within its volume. It has the form of a [Name].
type SnapshotName string

// Node is the host that a volume is attached to.
type Node string

// ID is the identity of one life of a volume: `<project>.<name>.<generation>`, the
// generation being that of the transition which created it. It never changes and
// never repeats: a name that is created again after a delete gets a new ID because
// generations go on counting. Since the ID contains the key, finding a volume by its
// ID needs no index.
type ID string

// Key addresses a volume. Its text form `<project>.<name>` is the record's key in
// the bucket and the middle of every subject that concerns the volume.
type Key struct {
	Project Project `json:"project"`
	Name    Name    `json:"name"`
}

// String returns `<project>.<name>`.
func (k Key) String() string { return string(k.Project) + "." + string(k.Name) }

// Validate returns an [ErrInvalidName] if the project or the name is not
// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
func (k Key) Validate() error {
	if !isName(string(k.Project)) {
		return Errorf(ErrInvalidName, "project %q: want 1 to %d of a-z, 0-9 and inner '-'", k.Project, MaxNameLength)
	}
	if !isName(string(k.Name)) {
		return Errorf(ErrInvalidName, "volume name %q: want 1 to %d of a-z, 0-9 and inner '-'", k.Name, MaxNameLength)
	}
	return nil
}

// Validate returns an [ErrInvalidName] if n is not `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
func (n SnapshotName) Validate() error {
	if !isName(string(n)) {
		return Errorf(ErrInvalidName, "snapshot name %.80q: want 1 to %d of a-z, 0-9 and inner '-'", n, MaxNameLength)
	}
	return nil
}

// ParseKey reads `<project>.<name>`. It returns an [ErrInvalidName] for anything else.
func ParseKey(s string) (Key, error) {
	project, name, found := strings.Cut(s, ".")
	if !found {
		return Key{}, Errorf(ErrInvalidName, "volume key %q: want <project>.<name>", s)
	}
	k := Key{Project(project), Name(name)}
	return k, k.Validate()
}

// NewID returns the ID of the life that begins with the given generation of k.
func NewID(k Key, generation uint64) ID {
	return ID(k.String() + "." + strconv.FormatUint(generation, 10))
}

// Key returns the key within the ID. It returns an [ErrInvalidName] if id was not
// made by [NewID].
func (id ID) Key() (Key, error) {
	cut := strings.LastIndexByte(string(id), '.')
	if cut < 0 {
		return Key{}, Errorf(ErrInvalidName, "volume id %q: want <project>.<name>.<generation>", id)
	}
	k, err := ParseKey(string(id[:cut]))
	if err != nil {
		return Key{}, err
	}
	generation, err := strconv.ParseUint(string(id[cut+1:]), 10, 64)
	if err != nil || NewID(k, generation) != id {
		return Key{}, Errorf(ErrInvalidName, "volume id %q: want <project>.<name>.<generation>", id)
	}
	return k, nil
}

// Validate returns an [ErrInvalidArgument] if n is not a plausible host name.
func (n Node) Validate() error {
	if !nodePattern.MatchString(string(n)) {
		return Errorf(ErrInvalidArgument, "node %q: want 1 to %d of letters, digits and inner '.', '_', '-'", n, MaxNodeLength)
	}
	return nil
}

// ValidateBackend returns an [ErrInvalidArgument] unless name can be that of a backend:
// 1 to 63 of `a-z`, `0-9` and `-`.
func ValidateBackend(name string) error {
	if !backendPattern.MatchString(name) {
		return Errorf(ErrInvalidArgument, "backend %.80q: want 1 to %d of a-z, 0-9 and '-'", name, MaxNameLength)
	}
	return nil
}

// Mode is how a node uses an attached volume.
type Mode string

// The modes of an attachment.
const (
	ReadWrite Mode = "read-write"
	ReadOnly  Mode = "read-only"
)

// Validate returns an [ErrInvalidArgument] if m is neither [ReadWrite] nor [ReadOnly].
func (m Mode) Validate() error {
	if m != ReadWrite && m != ReadOnly {
		return Errorf(ErrInvalidArgument, "mode %q: want %s or %s", m, ReadWrite, ReadOnly)
	}
	return nil
}

// Limits of labels: a map of short texts, not a place for data.
const (
	MaxLabels           = 32
	MaxLabelKeyLength   = 63
	MaxLabelValueLength = 255
)

var labelKeyPattern = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

// Labels are an owner's own marks on a volume; jetvol only stores and filters them.
type Labels map[string]string

// Validate returns an [ErrInvalidArgument] that names the offending label.
func (l Labels) Validate() error {
	if len(l) > MaxLabels {
		return Errorf(ErrInvalidArgument, "%d labels: at most %d", len(l), MaxLabels)
	}
	for key, value := range l {
		if !labelKeyPattern.MatchString(key) {
			return Errorf(ErrInvalidArgument, "label key %q: want 1 to %d of letters, digits and inner '.', '_', '/', '-'", key, MaxLabelKeyLength)
		}
		if len(value) > MaxLabelValueLength {
			return Errorf(ErrInvalidArgument, "label %q: value of %d bytes, at most %d", key, len(value), MaxLabelValueLength)
		}
	}
	return nil
}

// CommandID names one command of one volume. The same ID again is the same command.
type CommandID string

// MaxCommandIDLength is the greatest length of a [CommandID], in bytes.
const MaxCommandIDLength = 128

// derivedPrefix begins the IDs that jetvol gives to commands that came without one;
// publishers may not use it, so that the two kinds never meet.
const derivedPrefix = "seq-"

// Validate returns an [ErrInvalidCommandID] if id is empty, too long, has characters
// other than letters, digits and `._:/@=+-`, or begins with the reserved `seq-`.
func (id CommandID) Validate() error {
	switch {
	case len(id) > MaxCommandIDLength:
		return Errorf(ErrInvalidCommandID, "command id of %d bytes: at most %d", len(id), MaxCommandIDLength)
	case !isCommandID(string(id)):
		return Errorf(ErrInvalidCommandID, "command id %q: want letters, digits and ._:/@=+-", id)
	case strings.HasPrefix(string(id), derivedPrefix):
		return Errorf(ErrInvalidCommandID, "command id %q: the prefix %q is reserved", id, derivedPrefix)
	}
	return nil
}

// DerivedCommandID is the ID of a command that was published without one: the
// sequence that the command stream gave it and the time it was stored (Unix
// nanoseconds), which together stay unique if the stream is ever made anew.
func DerivedCommandID(sequence uint64, storedAt int64) CommandID {
	return CommandID(fmt.Sprintf("%s%d-%s", derivedPrefix, sequence, strconv.FormatInt(storedAt, 36)))
}
