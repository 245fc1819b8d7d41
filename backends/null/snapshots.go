package null

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// parent is the snapshot that a clone was made from.
type parent struct {
	key  volume.Key
	name volume.SnapshotName
}

// CreateSnapshot remembers the size; see [backends.Snapshotter].
func (d *Driver) CreateSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) (backends.Snapshot, error) {
	if err := d.begin(ctx, ref); err != nil {
		return backends.Snapshot{}, err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return backends.Snapshot{}, err
	}
	if made, err := d.snapshot(ref.Key, name); err == nil {
		return made, nil
	}
	// UTC drops the reading of the monotonic clock, so that equal snapshots are ==.
	made := backends.Snapshot{Name: name, Size: found.Size, CreatedAt: time.Now().Round(0).UTC()}
	d.snapshots[ref.Key] = append(d.snapshots[ref.Key], made)
	return made, nil
}

// DeleteSnapshot forgets a snapshot; see [backends.Snapshotter].
func (d *Driver) DeleteSnapshot(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if _, err := d.own(ref); err != nil {
		return nil // it has no such snapshot
	}
	var blockers []backends.Blocker
	for _, child := range d.children(ref.Key, name) {
		blockers = append(blockers, backends.Blocker{Kind: backends.BlockedByChild, Name: child.String()})
	}
	if err := backends.Blocked(blockers...); err != nil {
		return err
	}
	left := slices.DeleteFunc(d.snapshots[ref.Key], func(s backends.Snapshot) bool { return s.Name == name })
	if d.snapshots[ref.Key] = left; len(left) == 0 {
		delete(d.snapshots, ref.Key)
	}
	return nil
}

// ListSnapshots returns the remembered snapshots; see [backends.Snapshotter].
func (d *Driver) ListSnapshots(ctx context.Context, ref backends.Ref) ([]backends.Snapshot, error) {
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if _, err := d.own(ref); err != nil {
		return nil, err
	}
	return slices.Clone(d.snapshots[ref.Key]), nil
}

// Restore remembers the snapshot's size again; see [backends.Snapshotter].
func (d *Driver) Restore(ctx context.Context, ref backends.Ref, name volume.SnapshotName) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	if err != nil {
		return err
	}
	made, err := d.snapshot(ref.Key, name)
	if err != nil {
		return err
	}
	if err := backends.Blocked(backends.Holders(found.Attachments)...); err != nil {
		return err
	}
	found.Size = made.Size
	d.objects[ref.Key] = found
	return nil
}

// Clone remembers another object and its parent; see [backends.Cloner].
func (d *Driver) Clone(ctx context.Context, source backends.Ref, name volume.SnapshotName, target backends.Ref, size volume.Bytes) error {
	if err := d.begin(ctx, target); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if done, err := d.made(target, size); done || err != nil {
		return err
	}
	if _, err := d.own(source); err != nil {
		return err
	}
	made, err := d.snapshot(source.Key, name)
	if err != nil {
		return err
	}
	if made.Size > size {
		return backends.Errorf(volume.FailedPrecondition, "snapshot %s has size %s, a clone cannot have %s", name, made.Size, size)
	}
	d.objects[target.Key] = backends.Object{Ref: backends.Ref{Key: target.Key, ID: target.ID}, Size: size}
	d.parents[target.Key] = parent{source.Key, name}
	return nil
}

// Flatten forgets the parent; see [backends.Cloner].
func (d *Driver) Flatten(ctx context.Context, ref backends.Ref) error {
	if err := d.begin(ctx, ref); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if _, err := d.own(ref); err != nil {
		return err
	}
	delete(d.parents, ref.Key)
	return nil
}

// Children returns the clones that are not flattened; see [backends.Cloner].
func (d *Driver) Children(ctx context.Context, ref backends.Ref, name volume.SnapshotName) ([]volume.Key, error) {
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if _, err := d.own(ref); err != nil {
		return nil, err
	}
	if _, err := d.snapshot(ref.Key, name); err != nil {
		return nil, err
	}
	return d.children(ref.Key, name), nil
}

// Usage tells the size, of which nothing is used; see [backends.UsageReporter].
func (d *Driver) Usage(ctx context.Context, ref backends.Ref) (backends.Usage, error) {
	if err := d.wait(ctx); err != nil {
		return backends.Usage{}, err
	}
	defer d.mu.Unlock()
	found, err := d.own(ref)
	return backends.Usage{Provisioned: found.Size}, err
}

// snapshot returns the snapshot of that name, or NotFound; d.mu is held.
func (d *Driver) snapshot(key volume.Key, name volume.SnapshotName) (backends.Snapshot, error) {
	for _, s := range d.snapshots[key] {
		if s.Name == name {
			return s, nil
		}
	}
	return backends.Snapshot{}, backends.Errorf(volume.NotFound, "no snapshot %s here", name)
}

// children returns the clones of a snapshot, sorted; d.mu is held.
func (d *Driver) children(key volume.Key, name volume.SnapshotName) []volume.Key {
	var keys []volume.Key
	for child, from := range d.parents {
		if from == (parent{key, name}) {
			keys = append(keys, child)
		}
	}
	slices.SortFunc(keys, func(a, b volume.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// snapshotsOf returns what blocks the delete of a volume; d.mu is held.
func (d *Driver) snapshotsOf(key volume.Key) []backends.Blocker {
	var blockers []backends.Blocker
	for _, s := range d.snapshots[key] {
		blockers = append(blockers, backends.Blocker{Kind: backends.BlockedBySnapshot, Name: string(s.Name)})
	}
	return blockers
}
