package snapshots

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// Key names an entry within its project: a volume, or a snapshot of one. The zero Key
// names none. Its text is `volume` or `volume@snapshot`.
type Key struct {
	Volume   volume.Name
	Snapshot volume.SnapshotName // empty for a volume
}

// ParseKey reads `name` or `name@name`. It returns an error of code invalid_name for
// anything else.
func ParseKey(text string) (Key, error) {
	name, snapshot, found := strings.Cut(text, "@")
	k := Key{volume.Name(name), volume.SnapshotName(snapshot)}
	if found && snapshot == "" {
		return Key{}, volume.Errorf(volume.ErrInvalidName, "key %.140q: want volume or volume@snapshot", text)
	}
	return k, k.Validate()
}

// VolumeKey is the key of a volume's own entry.
func VolumeKey(name volume.Name) Key { return Key{Volume: name} }

// SnapshotKey is the key of a snapshot of a volume.
func SnapshotKey(name volume.Name, snapshot volume.SnapshotName) Key { return Key{name, snapshot} }

// String returns `volume` or `volume@snapshot`, and nothing for the zero Key.
func (k Key) String() string {
	if k.Snapshot == "" {
		return string(k.Volume)
	}
	return string(k.Volume) + "@" + string(k.Snapshot)
}

// IsZero reports whether k names nothing.
func (k Key) IsZero() bool { return k == Key{} }

// Validate returns an error of code invalid_name unless both parts are names.
func (k Key) Validate() error {
	if err := volume.SnapshotName(k.Volume).Validate(); err != nil {
		return volume.Errorf(volume.ErrInvalidName, "key %.140q: want volume or volume@snapshot, both of a-z, 0-9 and inner '-'", k)
	}
	if k.Snapshot == "" {
		return nil
	}
	return k.Snapshot.Validate()
}

// MarshalText returns the text of the key.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a key as [ParseKey] does, and an empty text as the zero Key.
func (k *Key) UnmarshalText(text []byte) error {
	*k = Key{}
	if len(text) == 0 {
		return nil
	}
	parsed, err := ParseKey(string(text))
	if err == nil {
		*k = parsed
	}
	return err
}

// The tokens of the bucket's keys. No name can be noSnapshot.
const (
	entryToken = "e"
	linkToken  = "c"
	noSnapshot = "_"
)

func (k Key) tokens() string { return string(k.Volume) + "." + k.snapshotToken() }

func (k Key) snapshotToken() string {
	if k.Snapshot == "" {
		return noSnapshot
	}
	return string(k.Snapshot)
}

// compareKeys compares the keys' tokens, without putting them together: a project is sorted
// by it, which asks for each entry many times. Where one name begins with the other, the dot
// behind the shorter one decides.
func compareKeys(a, b Key) int {
	switch {
	case a.Volume == b.Volume:
		return strings.Compare(a.snapshotToken(), b.snapshotToken())
	case strings.HasPrefix(string(a.Volume), string(b.Volume)):
		return cmp.Compare(a.Volume[len(b.Volume)], '.')
	case strings.HasPrefix(string(b.Volume), string(a.Volume)):
		return cmp.Compare('.', b.Volume[len(a.Volume)])
	default:
		return cmp.Compare(a.Volume, b.Volume)
	}
}

func keyOfTokens(name, snapshot string) (Key, error) {
	if snapshot == noSnapshot {
		return ParseKey(name)
	}
	return ParseKey(name + "@" + snapshot)
}

func entryKey(project volume.Project, k Key) string {
	return string(project) + "." + entryToken + "." + k.tokens()
}

func linkKey(project volume.Project, parent, child Key) string {
	return string(project) + "." + linkToken + "." + parent.tokens() + "." + child.tokens()
}

func entriesFilter(project volume.Project) string { return string(project) + "." + entryToken + ".>" }

func snapshotsFilter(project volume.Project, name volume.Name) string {
	return string(project) + "." + entryToken + "." + string(name) + ".*"
}

func childrenFilter(project volume.Project, parent Key) string {
	return string(project) + "." + linkToken + "." + parent.tokens() + ".>"
}

// parseLinkKey is the reverse of linkKey.
func parseLinkKey(project volume.Project, key string) (parent, child Key, err error) {
	rest, _ := strings.CutPrefix(key, string(project)+"."+linkToken+".")
	tokens := strings.Split(rest, ".")
	if len(tokens) != 4 {
		return Key{}, Key{}, fmt.Errorf("%w: link %s", kv.ErrCorrupt, key)
	}
	if parent, err = keyOfTokens(tokens[0], tokens[1]); err == nil {
		child, err = keyOfTokens(tokens[2], tokens[3])
	}
	if err != nil {
		return Key{}, Key{}, fmt.Errorf("%w: link %s: %w", kv.ErrCorrupt, key, err)
	}
	return parent, child, nil
}
