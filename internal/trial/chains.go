package trial

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/snapshots"
	"github.com/jetvol/jetvol/volume"
)

// listVolumes collects what a driver lists: objects, and the snapshots of each.
func listVolumes(ctx context.Context, driver backends.Driver, e *verify.Evidence) error {
	lister, lists := driver.(backends.Lister)
	snapshotter, snapshots := driver.(backends.Snapshotter)
	if !lists || !snapshots {
		return errors.New("driver cannot list volumes and snapshots")
	}
	err := lister.List(ctx, func(object backends.Object) bool {
		e.Objects = append(e.Objects, object)
		return true
	})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	e.Snapshots = map[volume.Key][]backends.Snapshot{}
	for _, object := range e.Objects {
		kept, err := snapshotter.ListSnapshots(ctx, object.Ref)
		if err != nil {
			return fmt.Errorf("list snapshots of %s: %w", object.Key, err)
		}
		if len(kept) > 0 {
			e.Snapshots[object.Key] = kept
		}
	}
	return nil
}

// readChains collects the entries of the store of snapshots, of the projects that there
// are records of, and what the store's own check says of them.
func readChains(ctx context.Context, js jetstream.JetStream, e *verify.Evidence) error {
	store := snapshots.New(js)
	projects := map[volume.Project]bool{}
	for key := range e.Records {
		projects[key.Project] = true
	}
	for project := range projects {
		faults, err := store.Check(ctx, project)
		if err != nil {
			return fmt.Errorf("check snapshots of %s: %w", project, err)
		}
		for _, fault := range faults {
			e.Broken = append(e.Broken, fault.Error())
		}
		err = store.View(ctx, project, func(tx *snapshots.Tx) error {
			return tx.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
				e.Entries = append(e.Entries, entryOf(project, info))
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("read snapshots of %s: %w", project, err)
		}
	}
	return nil
}

func entryOf(project volume.Project, info snapshots.Info) verify.Entry {
	return verify.Entry{
		Project: project, SnapshotKey: keyOfEntry(info.Name), Kind: verify.EntryKind(info.Kind), ID: volume.ID(info.ID),
		Parent: keyOfEntry(info.Parent), Size: info.VolumeSize, Removing: info.RemovedBy != "",
	}
}

func keyOfEntry(key snapshots.Key) volume.SnapshotKey {
	return volume.SnapshotKey{Volume: key.Volume, Snapshot: key.Snapshot}
}
