package backendtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const (
	monday  = volume.SnapshotName("monday")
	tuesday = volume.SnapshotName("tuesday")
)

// clockSkew is by how much a backend's clock may differ from the suite's.
const clockSkew = 10 * time.Minute

var snapshotCases = []testCase{
	{"Snapshot_New_IsListed", func(s *subject) {
		ref := s.snapshotted(monday)
		made := s.snapshots(ref, monday)[0]
		if made.Size != small || time.Since(made.CreatedAt).Abs() > clockSkew {
			s.Errorf("snapshot: got %+v, want size %s and about this time", made, small)
		}
		s.has(ref, small, nil)
	}},
	{"Snapshot_Repeated_ReturnsTheFirst", func(s *subject) {
		ref := s.snapshotted(monday)
		first := s.snapshots(ref, monday)[0]
		s.grow(ref)
		s.reopen()
		again, err := s.snapshotter().CreateSnapshot(s.ctx, ref, monday)
		s.ok(err, "snapshot repeated")
		if !sameSnapshot(again, first) {
			s.Errorf("snapshot repeated: got %+v, want %+v", again, first)
		}
		s.snapshots(ref, monday)
	}},
	{"Snapshot_OfAttachedVolume_IsTaken", func(s *subject) {
		snapshotter := s.snapshotter()
		ref, attachment := s.attached()
		_, err := snapshotter.CreateSnapshot(s.ctx, ref, monday)
		s.ok(err, "snapshot of an attached volume")
		s.has(ref, small, &attachment)
		s.snapshots(ref, monday)
		s.ok(snapshotter.DeleteSnapshot(s.ctx, ref, monday), "delete snapshot of an attached volume")
		s.has(ref, small, &attachment)
	}},
	{"Snapshot_Several_AreListedOldestFirst", func(s *subject) {
		ref := s.snapshotted(tuesday, monday, "a")
		s.snapshots(ref, tuesday, monday, "a")
	}},
	{"Snapshot_SameNameOfOtherVolume_IsIndependent", func(s *subject) {
		ref, other := s.snapshotted(monday), s.created("b", small)
		s.snapshots(other)
		_, err := s.snapshotter().CreateSnapshot(s.ctx, other, monday)
		s.ok(err, "snapshot of another volume")
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, other, monday), "delete snapshot")
		s.snapshots(ref, monday)
	}},
	{"Snapshot_LongestNames_AreTaken", func(s *subject) {
		snapshotter := s.snapshotter()
		ref := s.volumeOf(volume.Key{Project: "backendtest", Name: longName})
		s.ok(s.driver.Create(s.ctx, ref, small), "create")
		_, err := snapshotter.CreateSnapshot(s.ctx, ref, longName)
		s.ok(err, "snapshot with the longest name")
		s.snapshots(ref, longName)
	}},
	{"Snapshot_Missing_IsNotFound", func(s *subject) {
		snapshotter, ref := s.snapshotter(), s.volume("a")
		_, err := snapshotter.CreateSnapshot(s.ctx, ref, monday)
		s.refused(err, "snapshot of a missing volume", volume.NotFound)
		_, err = snapshotter.ListSnapshots(s.ctx, ref)
		s.refused(err, "snapshots of a missing volume", volume.NotFound)
		s.lacks(ref.Key)
	}},
	{"Snapshot_Stranger_IsRefused", func(s *subject) {
		snapshotter, ref := s.snapshotter(), s.created("a", small)
		_, err := snapshotter.CreateSnapshot(s.ctx, stranger(ref), monday)
		s.refused(err, "snapshot of a stranger", strangerClasses...)
		_, err = snapshotter.ListSnapshots(s.ctx, stranger(ref))
		s.refused(err, "snapshots of a stranger", strangerClasses...)
		s.snapshots(ref)
	}},
	{"Snapshot_AtOnce_IsOne", func(s *subject) {
		s.snapshotter()
		ref := s.created("a", small)
		made := make([]backends.Snapshot, callers)
		errs := atOnce(func(i int) (err error) {
			d := s.open()
			for {
				made[i], err = d.(backends.Snapshotter).CreateSnapshot(s.ctx, ref, monday)
				if !errors.Is(err, volume.Busy) {
					return err
				}
			}
		})
		s.ok(errors.Join(errs...), "snapshot by many processes")
		listed := s.snapshots(ref, monday)
		for _, got := range made {
			if !sameSnapshot(got, listed[0]) {
				s.Errorf("snapshot by many processes: got %+v, want %+v", got, listed[0])
			}
		}
	}},
	{"Snapshot_OlderEpoch_IsRefused", func(s *subject) {
		s.fencer()
		ref := s.snapshotted(monday)
		snapshotter := s.snapshotter()
		s.ok(s.fencer().Fence(s.ctx, in(owner, ref)), "fence")
		_, err := snapshotter.CreateSnapshot(s.ctx, in(stale, ref), tuesday)
		s.fenced(err, "snapshot in an older epoch", owner)
		s.fenced(snapshotter.DeleteSnapshot(s.ctx, in(stale, ref), monday), "delete snapshot in an older epoch", owner)
		s.fenced(snapshotter.Restore(s.ctx, in(stale, ref), monday), "restore in an older epoch", owner)
		s.snapshots(ref, monday)
	}},
	{"DeleteSnapshot_Repeated_IsSuccess", func(s *subject) {
		ref := s.snapshotted(monday, tuesday)
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.snapshots(ref, tuesday)
		s.reopen()
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot repeated")
		s.snapshots(ref, tuesday)
	}},
	{"DeleteSnapshot_NothingThere_IsSuccess", func(s *subject) {
		snapshotter := s.snapshotter()
		s.ok(snapshotter.DeleteSnapshot(s.ctx, s.created("a", small), monday), "delete of a missing snapshot")
		s.ok(snapshotter.DeleteSnapshot(s.ctx, s.volume("b"), monday), "delete of a missing volume's snapshot")
	}},
	{"DeleteSnapshot_Stranger_IsLeftAlone", func(s *subject) {
		ref := s.snapshotted(monday)
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, stranger(ref), monday), "delete of a stranger's snapshot")
		s.snapshots(ref, monday)
	}},
	{"DeleteSnapshot_NameUsedAgain_IsAnotherSnapshot", func(s *subject) {
		ref := s.snapshotted(monday)
		s.grow(ref)
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		_, err := s.snapshotter().CreateSnapshot(s.ctx, ref, monday)
		s.ok(err, "snapshot again")
		found := s.look(ref.Key)
		if made := s.snapshots(ref, monday)[0]; made.Size != found.Size {
			s.Errorf("snapshot again: got size %s, want %s", made.Size, found.Size)
		}
	}},
	{"Delete_WithSnapshots_IsBlockedNamingAll", func(s *subject) {
		ref := s.snapshotted(monday, tuesday)
		_, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach")
		s.blocked(s.driver.Delete(s.ctx, ref), "delete of an attached volume with snapshots",
			nodeBlocker(nodeA), snapshotBlocker(monday), snapshotBlocker(tuesday))
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.blocked(s.driver.Delete(s.ctx, ref), "delete of a volume with a snapshot", snapshotBlocker(tuesday))
		s.snapshots(ref, tuesday)
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, tuesday), "delete snapshot")
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		s.lacks(ref.Key)
	}},
	{"Delete_StrangerWithSnapshots_IsLeftAlone", func(s *subject) {
		ref := s.snapshotted(monday)
		s.ok(s.driver.Delete(s.ctx, stranger(ref)), "delete of another life")
		s.snapshots(ref, monday)
	}},
}

// snapshotter returns the driver's ability or skips the case.
func (s *subject) snapshotter() backends.Snapshotter {
	s.Helper()
	snapshotter, able := s.driver.(backends.Snapshotter)
	if !able {
		s.skip("the driver is no backends.Snapshotter")
	}
	return snapshotter
}

// snapshotted is a ref whose object has snapshots of these names, made in that order.
func (s *subject) snapshotted(names ...volume.SnapshotName) backends.Ref {
	s.Helper()
	snapshotter := s.snapshotter()
	ref := s.created("a", small)
	for _, name := range names {
		made, err := snapshotter.CreateSnapshot(s.ctx, ref, name)
		s.ok(err, "create snapshot")
		if made.Name != name {
			s.Errorf("create snapshot: got the name %q, want %q", made.Name, name)
		}
	}
	return ref
}

// snapshots wants the volume to have the snapshots of these names, and returns them.
func (s *subject) snapshots(ref backends.Ref, want ...volume.SnapshotName) []backends.Snapshot {
	s.Helper()
	listed, err := s.snapshotter().ListSnapshots(s.ctx, ref)
	s.ok(err, "list snapshots")
	var names []volume.SnapshotName
	for _, made := range listed {
		names = append(names, made.Name)
	}
	if !slices.Equal(names, want) {
		s.Fatalf("snapshots of %s: got %q, want %q", ref.Key, names, want)
	}
	return listed
}

// grow makes the volume large, if the driver can.
func (s *subject) grow(ref backends.Ref) {
	s.Helper()
	if resizer, able := s.driver.(backends.Resizer); able {
		s.ok(resizer.Resize(s.ctx, ref, large), "resize")
	}
}

// sameSnapshot reports whether a and b are one snapshot. Whether it is protected may
// change.
func sameSnapshot(a, b backends.Snapshot) bool {
	return a.Name == b.Name && a.Size == b.Size && a.CreatedAt.Equal(b.CreatedAt)
}

// blocked wants a refusal with exactly these blockers, each of which its text names.
func (s *subject) blocked(err error, what string, by ...backends.Blocker) {
	s.Helper()
	s.refused(err, what, volume.FailedPrecondition)
	var got []backends.Blocker
	if blocked, typed := errors.AsType[*backends.BlockedError](err); typed {
		got = blocked.By
	}
	want, _ := errors.AsType[*backends.BlockedError](backends.Blocked(by...))
	if !reflect.DeepEqual(got, want.By) {
		s.Errorf("%s: got %v, blocked by %v, want a BlockedError by %v", what, err, got, want.By)
	}
}

func nodeBlocker(node volume.Node) backends.Blocker {
	return backends.Blocker{Kind: backends.BlockedByNode, Name: string(node)}
}

func snapshotBlocker(name volume.SnapshotName) backends.Blocker {
	return backends.Blocker{Kind: backends.BlockedBySnapshot, Name: string(name)}
}

// removeSnapshots leaves no snapshot of the volume, if the driver can have any.
func removeSnapshots(ctx context.Context, d backends.Driver, ref backends.Ref) error {
	snapshotter, able := d.(backends.Snapshotter)
	if !able {
		return nil
	}
	listed, err := snapshotter.ListSnapshots(ctx, ref)
	for _, made := range listed {
		err = errors.Join(err, snapshotter.DeleteSnapshot(ctx, ref, made.Name))
	}
	return err
}
