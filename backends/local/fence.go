package local

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// FencesDir is the directory within [Options.Dir] that holds the locks and the fences.
// It is the only thing there that belongs to no volume.
const FencesDir = ".fences"

// fenceSuffix ends the name of a volume's fence, in [FencesDir].
const fenceSuffix = ".json"

// fenceVersion is the schema version that this code writes and the only one it reads.
const fenceVersion = 1

// fence is the content of a fence file.
type fence struct {
	SchemaVersion int    `json:"schema_version"`
	Key           string `json:"key"`
	Epoch         uint64 `json:"epoch"` // the lowest that is taken
}

func fenceName(key volume.Key) string { return key.String() + fenceSuffix }

// Fence writes the epoch to a file of its own, which every later change of the volume
// reads first; see [backends.Fencer]. It returns Busy while a call changes the volume,
// also one whose process is stopped.
func (d *Driver) Fence(ctx context.Context, ref backends.Ref) error {
	held, err := d.begin(ctx, ref)
	if err != nil {
		return err
	}
	defer held.release()
	if held.fenced == ref.Epoch {
		return d.fences.sync() // its writer may have been killed before doing that
	}
	data, err := json.Marshal(fence{SchemaVersion: fenceVersion, Key: ref.Key.String(), Epoch: ref.Epoch})
	if err != nil {
		return backends.Errorf(volume.Internal, "encode fence: %w", err)
	}
	return d.fences.replace(fenceName(ref.Key), temporaryName(ref.Key), append(data, '\n'))
}

// fenced returns the lowest epoch that is taken for a volume, 0 without a fence. A fence
// that cannot be read is Internal: nobody can tell then who may act.
func (d *Driver) fenced(key volume.Key) (uint64, error) {
	name := fenceName(key)
	data, err := d.fences.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	found, err := decodeFence(key, data)
	if err != nil {
		return 0, backends.Errorf(volume.Internal, "file %s: %v", filepath.Join(d.fences.path, name), err)
	}
	return found.Epoch, nil
}

// decodeFence reads the fence of the given volume, as strictly as decodeSidecar.
func decodeFence(key volume.Key, data []byte) (fence, error) {
	var f fence
	if err := decodeStrictly(data, &f); err != nil {
		return fence{}, err
	}
	switch {
	case f.SchemaVersion != fenceVersion:
		return fence{}, volume.Errorf(volume.ErrInvalidPayload, "schema version %d: want %d", f.SchemaVersion, fenceVersion)
	case f.Key != key.String():
		return fence{}, volume.Errorf(volume.ErrInvalidPayload, "key %q: want %s", f.Key, key)
	case f.Epoch == 0:
		return fence{}, volume.Errorf(volume.ErrInvalidPayload, "epoch 0: fences nothing")
	}
	return f, nil
}

// arrive makes this driver known to those that open the directory later. If it is the
// only one, it removes all fences first: no process is left that they could stop.
func (d *Driver) arrive() error {
	writable, err := d.openLock(os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = writable.Close() }() // nothing was written through it
	// What stays open is open for reading, or the file system could not be remounted
	// read-only.
	if d.presence, err = d.openLock(os.O_RDONLY); err != nil {
		return err
	}
	err = setLock(writable, ofdSetLock, syscall.F_WRLCK, presenceByte)
	if err == nil {
		if err := d.removeFences(); err != nil {
			return err
		}
		err = setLock(writable, ofdSetLock, syscall.F_RDLCK, presenceByte)
	}
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return d.fences.fault(err)
	}
	// Wait for another that is alone: it must not remove a fence that is made from now on.
	return d.fences.fault(setLock(d.presence, ofdSetLockWait, syscall.F_RDLCK, presenceByte))
}

// removeFences removes the fences of all volumes.
func (d *Driver) removeFences() error {
	return d.fences.each(func(name string) error {
		if !strings.HasSuffix(name, fenceSuffix) {
			return nil
		}
		return d.fences.discard(name)
	})
}
