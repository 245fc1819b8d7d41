package backendtest

import "github.com/jetvol/jetvol/volume"

var restoreCases = []testCase{
	{"Restore_Unchanged_IsSuccessAndRepeats", func(s *subject) {
		ref := s.snapshotted(monday, tuesday)
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore")
		s.reopen()
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore repeated")
		s.has(ref, small, nil)
		s.snapshots(ref, monday, tuesday)
	}},
	{"Restore_AfterResize_HasTheSnapshotsSize", func(s *subject) {
		s.resizer()
		ref := s.snapshotted(monday)
		s.grow(ref)
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore")
		s.has(ref, small, nil)
		s.grow(ref)
		s.has(ref, large, nil)
	}},
	{"Restore_Held_IsBlockedNamingTheNode", func(s *subject) {
		ref := s.snapshotted(monday)
		attachment, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadOnly)
		s.ok(err, "attach")
		s.blocked(s.snapshotter().Restore(s.ctx, ref, monday), "restore of a held volume",
			nodeBlocker(nodeA))
		s.has(ref, small, &attachment)
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore after detach")
	}},
	{"Restore_MissingSnapshot_IsNotFound", func(s *subject) {
		ref := s.snapshotted(monday)
		s.refused(s.snapshotter().Restore(s.ctx, ref, tuesday), "restore of a missing snapshot", volume.NotFound)
		s.has(ref, small, nil)
	}},
	{"Restore_Missing_IsNotFound", func(s *subject) {
		s.refused(s.snapshotter().Restore(s.ctx, s.volume("a"), monday), "restore of a missing volume", volume.NotFound)
	}},
	{"Restore_Stranger_IsRefused", func(s *subject) {
		ref := s.snapshotted(monday)
		s.grow(ref)
		before := s.look(ref.Key)
		s.refused(s.snapshotter().Restore(s.ctx, stranger(ref), monday), "restore of a stranger", strangerClasses...)
		s.unchanged(ref.Key, before)
	}},
}
