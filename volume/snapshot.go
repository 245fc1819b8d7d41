package volume

import "strings"

// MaxSnapshots is how many snapshots of one volume there may be.
const MaxSnapshots = 256

// SnapshotKey addresses a snapshot within a project. Its text form is
// `<volume>@<snapshot>`. The zero value stands for none and is the empty text.
type SnapshotKey struct {
	Volume   Name
	Snapshot SnapshotName
}

// ParseSnapshotKey reads `<volume>@<snapshot>`. It returns an [ErrInvalidName] for
// anything else.
func ParseSnapshotKey(s string) (SnapshotKey, error) {
	name, snapshot, found := strings.Cut(s, "@")
	if !found {
		return SnapshotKey{}, Errorf(ErrInvalidName, "snapshot key %.160q: want <volume>@<snapshot>", s)
	}
	key := SnapshotKey{Name(name), SnapshotName(snapshot)}
	return key, key.Validate()
}

// Validate returns an [ErrInvalidName] if the volume's or the snapshot's name is not
// valid.
func (k SnapshotKey) Validate() error {
	if !isName(string(k.Volume)) {
		return Errorf(ErrInvalidName, "volume name %.80q: want 1 to %d of a-z, 0-9 and inner '-'", k.Volume, MaxNameLength)
	}
	return k.Snapshot.Validate()
}

// IsZero reports whether k addresses nothing.
func (k SnapshotKey) IsZero() bool { return k == SnapshotKey{} }

// String returns `<volume>@<snapshot>`, or the empty text.
func (k SnapshotKey) String() string {
	if k.IsZero() {
		return ""
	}
	return string(k.Volume) + "@" + string(k.Snapshot)
}

// MarshalText returns the key's text.
func (k SnapshotKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the key's text. The empty text is that of no key. It returns an
// [ErrInvalidName], and leaves k as it is, for anything else that [ParseSnapshotKey] refuses.
func (k *SnapshotKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = SnapshotKey{}
		return nil
	}
	key, err := ParseSnapshotKey(string(text))
	if err != nil {
		return err
	}
	*k = key
	return nil
}
