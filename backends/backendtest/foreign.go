package backendtest

import (
	"errors"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// foreignClasses are what a call may say of what jetvol did not make.
var foreignClasses = []volume.Class{volume.AlreadyExists, volume.FailedPrecondition, volume.NotFound}

var foreignCases = []testCase{
	{"Foreign_Create_IsRefused", func(s *subject) {
		ref, differs := s.foreign()
		s.refused(s.driver.Create(s.ctx, ref, small), "create over something foreign", strangerClasses...)
		s.intact(differs)
	}},
	{"Foreign_Delete_LeavesItAlone", func(s *subject) {
		ref, differs := s.foreign()
		if err := s.driver.Delete(s.ctx, ref); err != nil {
			s.refused(err, "delete of something foreign", foreignClasses...)
		}
		s.intact(differs)
	}},
	{"Foreign_DeleteSnapshot_LeavesItAlone", func(s *subject) {
		snapshotter := s.snapshotter()
		ref, differs := s.foreign()
		if err := snapshotter.DeleteSnapshot(s.ctx, ref, monday); err != nil {
			s.refused(err, "delete of a snapshot of something foreign", foreignClasses...)
		}
		s.intact(differs)
	}},
	{"Foreign_Get_TellsNoVolume", func(s *subject) {
		ref, differs := s.foreign()
		_, err := s.driver.Get(s.ctx, ref.Key)
		s.refused(err, "get of something foreign", foreignClasses...)
		s.intact(differs)
	}},
	{"Foreign_List_TellsTheOthers", func(s *subject) {
		lister := s.lister()
		ref, _ := s.foreign()
		other := s.created("b", small)
		told := make(map[volume.Key]bool)
		// What lies there may be told of in the error, after the volumes.
		_ = lister.List(s.ctx, func(o backends.Object) bool { told[o.Key] = true; return true })
		if told[ref.Key] || !told[other.Key] {
			s.Errorf("list: got the foreign one %v and the volume %v, want the volume only", told[ref.Key], told[other.Key])
		}
	}},
	{"Foreign_OtherChanges_AreRefused", func(s *subject) {
		ref, differs := s.foreign()
		clone := s.volume("copy")
		otherCases := []string{methodCreate, methodDelete, methodDeleteSnapshot}
		for _, c := range script(backends.CapabilitiesOf(s.driver), ref, clone) {
			if c.Ref != ref || slices.Contains(otherCases, c.Method) {
				continue
			}
			s.refused(c.Do(s.ctx, s.driver), c.Method+" of something foreign", foreignClasses...)
			s.intact(differs)
		}
		s.lacks(clone.Key)
	}},
	{"Foreign_Clone_IsRefused", func(s *subject) {
		cloner, source := s.cloner(), s.snapshotted(monday)
		ref, differs := s.foreign()
		s.refused(cloner.Clone(s.ctx, source, monday, ref, small), "clone over something foreign", strangerClasses...)
		s.intact(differs)
	}},
}

// foreign puts something in the place of a volume that it returns.
func (s *subject) foreign() (ref backends.Ref, differs func() error) {
	s.Helper()
	foreigner, given := s.harness.(Foreigner)
	if !given {
		s.skip("the harness is no backendtest.Foreigner")
	}
	ref = s.volume("foreign")
	return ref, foreigner.Foreign(s, ref.Key)
}

func (s *subject) intact(differs func() error) {
	s.Helper()
	if err := differs(); err != nil {
		s.Errorf("what jetvol did not make: got %v, want it as it was", err)
	}
}

var watcherCases = []testCase{
	{"Watched_Delete_IsBlockedNamingTheWatcher", func(s *subject) {
		ref := s.created("a", small)
		closeObject := s.watch(ref)
		s.blockedByWatcher(s.driver.Delete(s.ctx, ref), "delete of a watched volume")
		s.has(ref, small, nil)
		closeObject()
		s.ok(s.driver.Delete(s.ctx, ref), "delete when the watcher is gone")
	}},
	{"Watched_Restore_IsBlockedNamingTheWatcher", func(s *subject) {
		ref := s.snapshotted(monday)
		closeObject := s.watch(ref)
		s.blockedByWatcher(s.snapshotter().Restore(s.ctx, ref, monday), "restore of a watched volume")
		closeObject()
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore when the watcher is gone")
	}},
	{"Watched_Release_IsBlockedNamingTheWatcher", func(s *subject) {
		importer, ref := s.importer(), s.created("a", small)
		closeObject := s.watch(ref)
		s.blockedByWatcher(importer.Release(s.ctx, ref, s.image(ref)), "release of a watched volume")
		s.has(ref, small, nil)
		closeObject()
		s.ok(importer.Release(s.ctx, ref, s.image(ref)), "release when the watcher is gone")
	}},
	{"Watched_Snapshot_IsTaken", func(s *subject) {
		snapshotter, ref := s.snapshotter(), s.created("a", small)
		s.watch(ref)
		_, err := snapshotter.CreateSnapshot(s.ctx, ref, monday)
		s.ok(err, "snapshot of a watched volume")
		s.snapshots(ref, monday)
	}},
}

// watch opens the volume until the returned function is called, or the case ends.
func (s *subject) watch(ref backends.Ref) (closeObject func()) {
	s.Helper()
	watcher, given := s.harness.(Watcher)
	if !given {
		s.skip("the harness is no backendtest.Watcher")
	}
	closeObject = watcher.Watch(s, ref)
	s.Cleanup(closeObject)
	return closeObject
}

func (s *subject) blockedByWatcher(err error, what string) {
	s.Helper()
	s.refused(err, what, volume.Busy)
	blocked, typed := errors.AsType[*backends.BlockedError](err)
	if !typed || len(blocked.By) == 0 || blocked.By[0].Kind != backends.BlockedByWatcher || blocked.By[0].Name == "" {
		s.Errorf("%s: got %v, want a BlockedError naming the watcher", what, err)
	}
}
