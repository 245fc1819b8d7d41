package local

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// MaxSnapshots is how many snapshots a volume can have. They stand in its sidecar, which
// each change of the volume writes anew.
const MaxSnapshots = 1024

// snapshotMode keeps everybody from writing to a snapshot by mistake.
const snapshotMode = 0o400

// kept is a snapshot in a sidecar.
type kept struct {
	Name      volume.SnapshotName `json:"name"`
	Size      volume.Bytes        `json:"size_bytes"`
	CreatedAt time.Time           `json:"created_at"`
}

func (k kept) same(other kept) bool {
	return k.Size == other.Size && k.CreatedAt.Equal(other.CreatedAt)
}

func (k kept) told() backends.Snapshot {
	return backends.Snapshot{Name: k.Name, Size: k.Size, CreatedAt: k.CreatedAt}
}

// CreateSnapshot copies the image, in no time where the directory can share blocks, and
// then says so in the sidecar. It returns ResourceExhausted for a volume that has
// [MaxSnapshots]; see [backends.Snapshotter].
func (d *Driver) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
	if err := name.Validate(); err != nil {
		return backends.Snapshot{}, err
	}
	object, found, err := d.take(ctx, ref)
	if err != nil {
		return backends.Snapshot{}, err
	}
	defer object.release()
	if made, err := found.snapshot(name); err == nil {
		return made.told(), d.snapshotThere(ref.Key, name)
	}
	if len(found.Snapshots) >= MaxSnapshots {
		return backends.Snapshot{}, backends.Errorf(volume.ResourceExhausted, "has %d snapshots, the most that a volume can have", MaxSnapshots)
	}
	made := kept{Name: name, Size: found.Size, CreatedAt: time.Now().Round(0).UTC()}
	if err := d.keep(ctx, ref.Key, object.image, &found, made); err != nil {
		return backends.Snapshot{}, err
	}
	entry := JournalEntry{Change: ChangeSnapshot, ID: ref.ID, Size: made.Size, Snapshot: name}
	return made.told(), d.record(entry, ref.Key)
}

// snapshotThere is the end of a CreateSnapshot that finds its snapshot.
func (d *Driver) snapshotThere(key volume.Key, name volume.SnapshotName) error {
	there, err := d.dir.exists(snapshotName(key, name))
	switch {
	case err != nil:
		return err
	case !there:
		return d.dir.lost(snapshotName(key, name))
	}
	return d.dir.sync()
}

// keep makes the snapshot of an image that is open.
func (d *Driver) keep(ctx context.Context, key volume.Key, img *image, found *sidecar, made kept) error {
	if err := d.discardUnfinished(key, found); err != nil {
		return err
	}
	// Before the file: whoever finds the sidecar must know that there may be one.
	found.Unfinished = made.Name
	if err := d.store(key, *found); err != nil {
		return err
	}
	if err := d.copyImage(ctx, snapshotName(key, made.Name), snapshotMode, img.file, made.Size); err != nil {
		return err
	}
	found.Unfinished = ""
	found.Snapshots = append(found.Snapshots, made)
	return d.store(key, *found)
}

// DeleteSnapshot takes the snapshot out of the sidecar and then removes its file. Clones do
// not need it; see [backends.Snapshotter].
func (d *Driver) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if err := name.Validate(); err != nil {
		return err
	}
	held, err := d.begin(ctx, ref)
	if err != nil {
		return err
	}
	defer held.release()
	found, err := d.load(ref.Key)
	switch {
	case errors.Is(err, volume.NotFound):
		return d.dir.sync()
	case err != nil:
		return err
	case found.ID != ref.ID:
		return nil
	}
	made, err := found.snapshot(name)
	if err != nil {
		return d.tidy(ref.Key, &found)
	}
	// What took the place of the file is not ours to remove.
	if _, err := d.dir.exists(snapshotName(ref.Key, name)); err != nil {
		return err
	}
	return d.forget(ref, &found, made)
}

// forget removes a snapshot that the volume has.
func (d *Driver) forget(ref backends.Ref, found *sidecar, made kept) error {
	if err := d.discardUnfinished(ref.Key, found); err != nil {
		return err
	}
	found.Snapshots = slices.DeleteFunc(found.Snapshots, func(k kept) bool { return k.Name == made.Name })
	found.Unfinished = made.Name
	if err := d.store(ref.Key, *found); err != nil {
		return err
	}
	// Journal here: the snapshot is gone, and what a repeat does is only tidying up.
	entry := JournalEntry{Change: ChangeDeleteSnapshot, ID: ref.ID, Size: made.Size, Snapshot: made.Name}
	if err := d.record(entry, ref.Key); err != nil {
		return err
	}
	return d.tidy(ref.Key, found)
}

// tidy removes what is left of a snapshot that was being made or removed, and says so.
func (d *Driver) tidy(key volume.Key, found *sidecar) error {
	if found.Unfinished == "" {
		return d.dir.sync()
	}
	if err := d.discardUnfinished(key, found); err != nil {
		return err
	}
	return d.store(key, *found)
}

// discardUnfinished removes what is left of a snapshot that was being made or removed. The
// sidecar still has to be stored.
func (d *Driver) discardUnfinished(key volume.Key, found *sidecar) error {
	if found.Unfinished == "" {
		return nil
	}
	if err := d.dir.discardImage(snapshotName(key, found.Unfinished)); err != nil {
		return err
	}
	found.Unfinished = ""
	// The file must be gone before nothing tells of it any more.
	return d.dir.sync()
}

// ListSnapshots reads the sidecar and takes no lock; see [backends.Snapshotter].
func (d *Driver) ListSnapshots(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
	if err := d.readyFor(ctx, ref); err != nil {
		return nil, err
	}
	found, err := d.own(ref)
	if err != nil {
		return nil, err
	}
	var listed []backends.Snapshot
	for _, made := range found.Snapshots {
		listed = append(listed, made.told())
	}
	return listed, nil
}

// snapshot returns the snapshot of that name, or NotFound.
func (s sidecar) snapshot(name volume.SnapshotName) (kept, error) {
	at := slices.IndexFunc(s.Snapshots, func(k kept) bool { return k.Name == name })
	if at < 0 {
		return kept{}, backends.Errorf(volume.NotFound, "no snapshot %s here", name)
	}
	return s.Snapshots[at], nil
}

// blockers are the snapshots, as what blocks the delete of their volume.
func (s sidecar) blockers() []backends.Blocker {
	var by []backends.Blocker
	for _, made := range s.Snapshots {
		by = append(by, backends.Blocker{Kind: backends.BlockedBySnapshot, Name: string(made.Name)})
	}
	return by
}

func (s sidecar) validateSnapshots() error {
	if s.Snapshots != nil && len(s.Snapshots) == 0 {
		return volume.Errorf(volume.ErrInvalidPayload, "snapshots: an empty list")
	}
	names := make(map[volume.SnapshotName]bool)
	for _, made := range s.Snapshots {
		if err := cmp.Or(made.Name.Validate(), made.Size.ValidateSize()); err != nil {
			return err
		}
		if names[made.Name] || made.CreatedAt.IsZero() {
			return volume.Errorf(volume.ErrInvalidPayload, "snapshot %s: listed twice or without its time", made.Name)
		}
		names[made.Name] = true
	}
	if s.Unfinished == "" {
		return nil
	}
	if names[s.Unfinished] {
		return volume.Errorf(volume.ErrInvalidPayload, "snapshot %s: finished and unfinished", s.Unfinished)
	}
	return s.Unfinished.Validate()
}
