package snapshots

import (
	"context"
	"errors"
	"fmt"

	"github.com/jetvol/jetvol/volume"
)

// CreateClone makes the entry of a volume that is cloned from source, which must be
// committed. It may be repeated: if the entry is there with this id, it is returned as
// it is. It returns the errors of [Tx.Create], so snapshot_exists if the key belongs to
// another id or is of another kind or source, snapshot_not_found if there is no source,
// and [ErrRemoving] if that is being removed.
func (s *Store) CreateClone(
	ctx context.Context, project volume.Project, name volume.Name, source Key, id string, labels volume.Labels,
) (Info, error) {
	return s.create(ctx, project, Info{Kind: Active, Name: VolumeKey(name), Parent: source, ID: id, Labels: labels}, Usage{})
}

// CreateView does the same for a volume that is a read-only clone.
func (s *Store) CreateView(
	ctx context.Context, project volume.Project, name volume.Name, source Key, id string, labels volume.Labels,
) (Info, error) {
	return s.create(ctx, project, Info{Kind: View, Name: VolumeKey(name), Parent: source, ID: id, Labels: labels}, Usage{})
}

// CreateSnapshot makes the entry of a snapshot of a volume. Its parent is the volume's
// own: what the volume stands on, the snapshot stands on; see [OfVolume]. It may be
// repeated like CreateClone, and has the same errors.
func (s *Store) CreateSnapshot(
	ctx context.Context, project volume.Project, key Key, id string, labels volume.Labels, usage Usage, opts ...Option,
) (Info, error) {
	if key.Snapshot == "" {
		return Info{}, volume.Errorf(volume.ErrInvalidName, "snapshot %q: want volume@snapshot", key)
	}
	return s.create(ctx, project, Info{Kind: Committed, Name: key, ID: id, Labels: labels}, usage, opts...)
}

func (s *Store) create(ctx context.Context, project volume.Project, wanted Info, usage Usage, opts ...Option) (Info, error) {
	if wanted.ID == "" {
		return Info{}, volume.Errorf(volume.ErrInvalidArgument, "create %s: want an id", wanted.Name)
	}
	if err := usage.validate(); err != nil {
		return Info{}, err
	}
	var made Info
	err := s.Update(ctx, project, func(tx *Tx) (err error) {
		made, err = tx.createOnce(ctx, wanted, usage, opts)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	return made, nil
}

// createOnce makes the entry, or finds that it was made.
func (tx *Tx) createOnce(ctx context.Context, wanted Info, usage Usage, opts []Option) (Info, error) {
	found, err := tx.Stat(ctx, wanted.Name)
	switch {
	case err == nil && found.ID == wanted.ID && found.Kind == wanted.Kind && sameOrigin(found, wanted):
		return found, nil
	case err == nil:
		return Info{}, exists("create", wanted.Name)
	case !errors.Is(err, volume.ErrSnapshotNotFound):
		return Info{}, err
	}
	if wanted.Kind == Committed {
		of, err := tx.Stat(ctx, VolumeKey(wanted.Name.Volume))
		if err != nil && !errors.Is(err, volume.ErrSnapshotNotFound) {
			return Info{}, err
		}
		if o, _ := collect(opts); o.volumeID == "" || o.volumeID == of.ID {
			wanted.Parent = of.Parent
		}
	}
	return tx.insert(ctx, wanted.Kind, wanted.Name, wanted.Parent, usage, append(opts, WithID(wanted.ID), WithLabels(wanted.Labels)))
}

// sameOrigin reports whether found may be what was wanted. The parent of a snapshot is
// not asked for, and that of a clone is gone once it is flattened.
func sameOrigin(found, wanted Info) bool {
	return wanted.Kind == Committed || found.Parent == wanted.Parent || found.Parent.IsZero()
}

// Flatten records that a volume and its snapshots no longer stand on anything: their
// entries lose their parent, all at once, and a clone that has become an ordinary volume
// loses its entry. It may be repeated, and does nothing for a volume that is no clone, or
// whose entry has another id: that is a later volume of the name.
func (s *Store) Flatten(ctx context.Context, project volume.Project, name volume.Name, id string) error {
	return s.Update(ctx, project, func(tx *Tx) error { return tx.flatten(ctx, name, id) })
}

func (tx *Tx) flatten(ctx context.Context, name volume.Name, id string) error {
	unlock, err := tx.lock(true)
	if err != nil {
		return err
	}
	defer unlock()
	key := VolumeKey(name)
	e, err := tx.mustLookUp(ctx, "flatten", key)
	if err != nil && !errors.Is(err, volume.ErrSnapshotNotFound) {
		return err
	}
	if err == nil && e.ID != id {
		return nil
	}
	family, err := tx.snapshotsOf(ctx, name)
	if err != nil {
		return fmt.Errorf("flatten %s: %w", key, err)
	}
	for _, snapshot := range family {
		if !snapshot.Parent.IsZero() {
			snapshot.Parent, snapshot.Updated = Key{}, tx.store.now()
			tx.written[snapshot.Name] = &snapshot
		}
	}
	switch {
	case e.Name.IsZero(): // no clone, or flattened before
	case e.Kind == Active:
		tx.written[key] = nil
	case !e.Parent.IsZero():
		e.Parent, e.Updated = Key{}, tx.store.now()
		tx.written[key] = &e
	}
	return nil
}

// SnapshotsOf returns the snapshots of a volume in the order of their keys. Its cost is
// that of the answer.
func (s *Store) SnapshotsOf(ctx context.Context, project volume.Project, name volume.Name) ([]Info, error) {
	var found []Info
	err := s.View(ctx, project, func(tx *Tx) error {
		unlock, err := tx.lock(false)
		if err != nil {
			return err
		}
		defer unlock()
		if err := VolumeKey(name).Validate(); err != nil {
			return err
		}
		family, err := tx.snapshotsOf(ctx, name)
		for _, e := range family {
			found = append(found, e.Info)
		}
		return err
	})
	return found, err
}

// snapshotsOf returns the entries of a volume's snapshots, with the changes of the
// transaction. They are noted as read: a change of one depends on what was listed.
func (tx *Tx) snapshotsOf(ctx context.Context, name volume.Name) ([]entry, error) {
	listed, _, err := tx.store.entries.ListCurrent(ctx, snapshotsFilter(tx.project, name))
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		key := l.Value.Name
		if l.Key != entryKey(tx.project, key) {
			return nil, l.Value.validate(Key{})
		}
		if _, known := tx.read[key]; !known {
			tx.read[key] = stored{l.Value, l.Revision}
		}
	}
	all, err := tx.overlay(listed)
	if err != nil {
		return nil, err
	}
	var family []entry
	for _, key := range sortedKeys(all) {
		if key.Volume == name && key.Snapshot != "" {
			family = append(family, all[key].clone())
		}
	}
	return family, nil
}

// Stat returns an entry; see [Tx.Stat].
func (s *Store) Stat(ctx context.Context, project volume.Project, key Key) (info Info, err error) {
	err = s.View(ctx, project, func(tx *Tx) error {
		info, err = tx.Stat(ctx, key)
		return err
	})
	return info, err
}

// Children returns the keys of the entries whose parent is key, in their order; see
// [Tx.Children].
func (s *Store) Children(ctx context.Context, project volume.Project, key Key) (children []Key, err error) {
	err = s.View(ctx, project, func(tx *Tx) error {
		children, err = tx.Children(ctx, key)
		return err
	})
	return children, err
}

// Linked returns what [Store.Children] does and, among it, what the links of former children
// lead to that were left behind: the entry of each tells. It costs one list.
func (s *Store) Linked(ctx context.Context, project volume.Project, key Key) (linked []Key, err error) {
	err = s.View(ctx, project, func(tx *Tx) error {
		unlock, err := tx.lock(false)
		if err != nil {
			return err
		}
		defer unlock()
		linked, _, err = tx.linked(ctx, key)
		return err
	})
	return linked, err
}

// HasChildren reports whether an entry has the given one as its parent. It costs one
// question to the server if there is none; else a list of the links, and one read for each up
// to the first that counts.
func (s *Store) HasChildren(ctx context.Context, project volume.Project, key Key) (has bool, err error) {
	err = s.View(ctx, project, func(tx *Tx) error {
		has, err = tx.hasChildren(ctx, key)
		return err
	})
	return has, err
}

// Depth returns how many entries key stands on: 0 for one without a parent, and for a
// volume without an entry.
func (s *Store) Depth(ctx context.Context, project volume.Project, key Key) (depth int, err error) {
	err = s.View(ctx, project, func(tx *Tx) error {
		chain, err := tx.Chain(ctx, key)
		if errors.Is(err, volume.ErrSnapshotNotFound) && key.Snapshot == "" {
			return nil
		}
		depth = len(chain)
		return err
	})
	return depth, err
}
