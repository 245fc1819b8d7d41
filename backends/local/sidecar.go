package local

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Names of files. A volume's names hold no dot and no @, so no two volumes share a file. The
// longest is that of a snapshot, 195 bytes of 255.
const (
	imageSuffix     = ".img"
	restoredSuffix  = ".restored.img"
	sidecarSuffix   = ".json"
	temporaryPrefix = "."
	temporarySuffix = ".tmp"
)

func imageName(key volume.Key) string    { return key.String() + imageSuffix }
func restoredName(key volume.Key) string { return key.String() + restoredSuffix }
func sidecarName(key volume.Key) string  { return key.String() + sidecarSuffix }

func snapshotName(key volume.Key, name volume.SnapshotName) string {
	return key.String() + "@" + string(name) + imageSuffix
}

// sidecarVersion is the schema version that this code writes and the only one it reads.
const sidecarVersion = 1

// sidecar is the content of an object's sidecar file.
type sidecar struct {
	SchemaVersion int                `json:"schema_version"`
	ID            volume.ID          `json:"id"`
	Key           string             `json:"key"`
	Size          volume.Bytes       `json:"size_bytes"`
	Attachments   volume.Attachments `json:"attachments,omitempty"`
	// Snapshots are the oldest first. Each has a file of its own.
	Snapshots []kept `json:"snapshots,omitempty"`
	// Unfinished, if any, is a snapshot that does not exist though its file may.
	Unfinished volume.SnapshotName `json:"unfinished,omitempty"`
	// Restored says that the file of a restore, if there, is to take the image's place.
	Restored bool `json:"restored,omitempty"`
	// Foreign, if any, is the file that a Release is to make of the image, or an Import the
	// image of. Without its image there is no object then.
	Foreign volume.Image `json:"foreign,omitempty"`
}

func newSidecar(ref backends.Ref, size volume.Bytes) sidecar {
	return sidecar{SchemaVersion: sidecarVersion, ID: ref.ID, Key: ref.Key.String(), Size: size}
}

// decodeSidecar reads the sidecar of the given volume. It is strict: a field that it
// does not know would be lost when the sidecar is written again.
func decodeSidecar(key volume.Key, data []byte) (sidecar, error) {
	var s sidecar
	if err := decodeStrictly(data, &s); err != nil {
		return sidecar{}, err
	}
	return s, s.validate(key)
}

func decodeStrictly(data []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func (s sidecar) validate(key volume.Key) error {
	if s.SchemaVersion != sidecarVersion {
		return volume.Errorf(volume.ErrInvalidPayload, "schema version %d: want %d", s.SchemaVersion, sidecarVersion)
	}
	if s.Key != key.String() {
		return volume.Errorf(volume.ErrInvalidPayload, "key %q: want %s", s.Key, key)
	}
	if err := (backends.Ref{Key: key, ID: s.ID}).Validate(); err != nil {
		return err
	}
	if err := s.Size.ValidateSize(); err != nil {
		return err
	}
	if s.Foreign != "" {
		if err := s.Foreign.Validate(); err != nil {
			return err
		}
	}
	return cmp.Or(s.Attachments.Validate(), s.validateSnapshots())
}

// load reads the sidecar of a volume. It returns NotFound if there is none, or one whose
// image is elsewhere, and Internal naming the file if it is broken.
func (d *Driver) load(key volume.Key) (sidecar, error) {
	name := sidecarName(key)
	data, err := d.dir.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return sidecar{}, backends.Errorf(volume.NotFound, "no volume here")
	}
	if err != nil {
		return sidecar{}, err
	}
	s, err := decodeSidecar(key, data)
	if err != nil {
		// The cause is text only: a damaged file is Internal, whatever is wrong in it.
		return sidecar{}, backends.Errorf(volume.Internal, "file %s: %v", filepath.Join(d.dir.path, name), err)
	}
	if s.Foreign == "" {
		return s, nil
	}
	switch here, err := d.dir.exists(imageName(key)); {
	case err != nil:
		return sidecar{}, err
	case !here:
		return sidecar{}, backends.Errorf(volume.NotFound, "no volume here: its image is %s, or was to be", s.Foreign)
	}
	return s, nil
}

// store makes s the state of its object: the one atomic step of every change.
func (d *Driver) store(key volume.Key, s sidecar) error {
	data, err := json.Marshal(s)
	if err != nil {
		return backends.Errorf(volume.Internal, "encode sidecar: %w", err)
	}
	return d.dir.replace(sidecarName(key), temporaryName(key), append(data, '\n'))
}

// removeTemporaryFiles removes what killed calls were writing. All is written with the
// volume locked, so a temporary file of a locked volume may belong to a living call.
func (d *Driver) removeTemporaryFiles(dir *directory) error {
	return dir.each(func(name string) error {
		key, temporary := temporaryKey(name)
		if !temporary {
			return nil
		}
		held, err := d.lock(key)
		if errors.Is(err, volume.Busy) {
			return nil
		}
		if err != nil {
			return err
		}
		defer held.release()
		return dir.discard(name)
	})
}

// temporaryKey returns the key within a name made by temporaryName; others' files in
// the directory are not ours to remove.
func temporaryKey(name string) (volume.Key, bool) {
	name, prefixed := strings.CutPrefix(name, temporaryPrefix)
	name, suffixed := strings.CutSuffix(name, temporarySuffix)
	cut := strings.LastIndexByte(name, '.')
	if !prefixed || !suffixed || cut < 0 {
		return volume.Key{}, false
	}
	key, err := volume.ParseKey(name[:cut])
	return key, err == nil
}
