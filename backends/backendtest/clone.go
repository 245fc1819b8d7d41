package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var cloneCases = []testCase{
	{"Clone_New_IsAVolumeOfItsOwn", func(s *subject) {
		ref, clone := s.cloned()
		s.has(clone, small, nil)
		s.has(ref, small, nil)
		s.snapshots(clone)
		s.snapshots(ref, monday)
	}},
	{"Clone_Repeated_IsSuccess", func(s *subject) {
		ref, clone := s.cloned()
		s.reopen()
		s.ok(s.cloner().Clone(s.ctx, ref, monday, clone, small), "clone repeated")
		s.has(clone, small, nil)
		s.effects(clone, volume.VerbCreate, 1)
	}},
	{"Clone_RepeatedWhileAttached_KeepsAttachment", func(s *subject) {
		ref, clone := s.cloned()
		attachment, err := s.driver.Attach(s.ctx, clone, nodeB, volume.ReadWrite)
		s.ok(err, "attach")
		s.ok(s.cloner().Clone(s.ctx, ref, monday, clone, small), "clone repeated")
		s.has(clone, small, &attachment)
	}},
	{"Clone_RepeatedAfterSourceIsGone_IsSuccess", func(s *subject) {
		ref, clone := s.cloned()
		s.ok(s.cloner().Flatten(s.ctx, clone), "flatten")
		s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		s.ok(s.cloner().Clone(s.ctx, ref, monday, clone, small), "clone repeated without its source")
		s.has(clone, small, nil)
	}},
	{"Clone_Larger_HasTheWantedSize", func(s *subject) {
		cloner, ref := s.cloner(), s.snapshotted(monday)
		clone := s.volume("copy")
		s.ok(cloner.Clone(s.ctx, ref, monday, clone, large), "clone with a larger size")
		s.has(clone, large, nil)
		s.refused(cloner.Clone(s.ctx, ref, monday, clone, small), "clone with another size", volume.FailedPrecondition)
		s.has(clone, large, nil)
	}},
	{"Clone_SmallerThanSnapshot_IsRefused", func(s *subject) {
		cloner, ref, clone := s.cloner(), s.created("a", large), s.volume("copy")
		_, err := cloner.CreateSnapshot(s.ctx, ref, monday)
		s.ok(err, "create snapshot")
		s.refused(cloner.Clone(s.ctx, ref, monday, clone, small), "clone smaller than its snapshot", volume.FailedPrecondition)
		s.lacks(clone.Key)
	}},
	{"Clone_SizeWithoutUnit_IsExact", func(s *subject) {
		cloner, ref, clone := s.cloner(), s.snapshotted(monday), s.volume("copy")
		s.ok(cloner.Clone(s.ctx, ref, monday, clone, small+1), "clone")
		s.has(clone, small+1, nil)
	}},
	{"Clone_OfAttachedVolume_IsMade", func(s *subject) {
		cloner, ref, clone := s.cloner(), s.snapshotted(monday), s.volume("copy")
		attachment, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach")
		s.ok(cloner.Clone(s.ctx, ref, monday, clone, small), "clone of an attached volume")
		_, err = s.driver.Attach(s.ctx, clone, nodeB, volume.ReadWrite)
		s.ok(err, "attach the clone elsewhere")
		s.has(ref, small, &attachment)
	}},
	{"Clone_OfAClone_IsMade", func(s *subject) {
		_, clone := s.cloned()
		second := s.volume("second")
		_, err := s.cloner().CreateSnapshot(s.ctx, clone, monday)
		s.ok(err, "create snapshot of the clone")
		s.ok(s.cloner().Clone(s.ctx, clone, monday, second, large), "clone of a clone")
		s.has(second, large, nil)
	}},
	{"Clone_NothingToClone_IsNotFound", func(s *subject) {
		cloner, ref, clone := s.cloner(), s.snapshotted(monday), s.volume("copy")
		s.refused(cloner.Clone(s.ctx, s.volume("b"), monday, clone, small), "clone of a missing volume", volume.NotFound)
		s.refused(cloner.Clone(s.ctx, ref, tuesday, clone, small), "clone of a missing snapshot", volume.NotFound)
		s.refused(cloner.Clone(s.ctx, stranger(ref), monday, clone, small), "clone of a stranger", strangerClasses...)
		s.lacks(clone.Key)
	}},
	{"Clone_OverAStranger_IsAlreadyExists", func(s *subject) {
		ref, clone := s.cloned()
		err := s.cloner().Clone(s.ctx, ref, monday, stranger(clone), small)
		s.refused(err, "clone over a stranger", volume.AlreadyExists)
		s.has(clone, small, nil)
	}},
	{"Clone_OlderEpochOfTarget_IsRefused", func(s *subject) {
		s.fencer()
		cloner, ref, clone := s.cloner(), s.snapshotted(monday), s.volume("copy")
		s.ok(s.fencer().Fence(s.ctx, in(owner, clone)), "fence of the target")
		err := cloner.Clone(s.ctx, in(later, ref), monday, in(stale, clone), small)
		s.fenced(err, "clone in an older epoch", owner)
		s.lacks(clone.Key)
		s.ok(s.fencer().Fence(s.ctx, in(owner, ref)), "fence of the source")
		s.ok(cloner.Clone(s.ctx, in(stale, ref), monday, in(owner, clone), small), "clone of a source with a later epoch")
		s.fenced(cloner.Flatten(s.ctx, in(stale, clone)), "flatten in an older epoch", owner)
	}},
	{"Clone_ManyAtOnce_AreMade", func(s *subject) {
		s.cloner()
		ref, backend := s.snapshotted(monday), s.backend()
		targets := make([]backends.Ref, callers)
		for i := range targets {
			targets[i] = s.volume(fmt.Sprintf("copy%d", i))
		}
		errs := atOnce(func(i int) error { return backend.Clone(s.ctx, ref, monday, targets[i], small) })
		s.ok(errors.Join(errs...), "clones at once")
		for _, target := range targets {
			s.has(target, small, nil)
		}
		if children := s.children(ref); len(children) != 0 && len(children) != len(targets) {
			s.Errorf("children: got %d, want %d or none", len(children), len(targets))
		}
	}},
	{"Clone_WhileItsSnapshotIsDeleted_IsWholeOrNotThere", func(s *subject) {
		s.cloner()
		for round := range snapshotRaces {
			s.raceClone(round)
		}
	}},
	{"DeleteSnapshot_WithChildren_IsBlockedNamingAll", func(s *subject) {
		ref, clone := s.cloned()
		second := s.volume("second")
		s.ok(s.cloner().Clone(s.ctx, ref, monday, second, small), "second clone")
		children := s.children(ref)
		if len(children) == 0 {
			s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete of a snapshot without children")
			return
		}
		if want := sortedKeys(clone.Key, second.Key); !slices.Equal(children, want) {
			s.Errorf("children: got %v, want %v", children, want)
		}
		s.blocked(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete of a snapshot with children",
			childBlocker(clone.Key), childBlocker(second.Key))
		s.refused(s.driver.Delete(s.ctx, ref), "delete of a volume with clones", volume.FailedPrecondition)
		s.snapshots(ref, monday)
		s.ok(s.driver.Delete(s.ctx, second), "delete of a clone")
		s.blocked(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete of a snapshot with a child", childBlocker(clone.Key))
		s.ok(s.driver.Delete(s.ctx, clone), "delete of the last clone")
		s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete of the snapshot")
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
	}},
	{"Children_NoClones_AreNone", func(s *subject) {
		s.cloner()
		if children := s.children(s.snapshotted(monday)); len(children) != 0 {
			s.Errorf("children: got %v, want none", children)
		}
	}},
	{"Children_NothingThere_IsNotFound", func(s *subject) {
		cloner, ref := s.cloner(), s.snapshotted(monday)
		_, err := cloner.Children(s.ctx, ref, tuesday)
		s.refused(err, "children of a missing snapshot", volume.NotFound)
		_, err = cloner.Children(s.ctx, s.volume("b"), monday)
		s.refused(err, "children of a missing volume's snapshot", volume.NotFound)
		_, err = cloner.Children(s.ctx, stranger(ref), monday)
		s.refused(err, "children of a stranger's snapshot", strangerClasses...)
	}},
}

var flattenCases = []testCase{
	{"Flatten_Clone_NeedsItsSourceNoLonger", func(s *subject) {
		ref, clone := s.cloned()
		s.ok(s.cloner().Flatten(s.ctx, clone), "flatten")
		if children := s.children(ref); len(children) != 0 {
			s.Errorf("children after flatten: got %v, want none", children)
		}
		s.reopen()
		s.ok(s.cloner().Flatten(s.ctx, clone), "flatten repeated")
		s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.ok(s.driver.Delete(s.ctx, ref), "delete of the source")
		s.has(clone, small, nil)
	}},
	{"Flatten_NoClone_IsSuccess", func(s *subject) {
		cloner, ref := s.cloner(), s.snapshotted(monday)
		s.ok(cloner.Flatten(s.ctx, ref), "flatten of a volume that is no clone")
		s.has(ref, small, nil)
		s.snapshots(ref, monday)
	}},
	{"Flatten_Missing_IsNotFound", func(s *subject) {
		s.refused(s.cloner().Flatten(s.ctx, s.volume("a")), "flatten of a missing volume", volume.NotFound)
	}},
	{"Flatten_Stranger_IsRefused", func(s *subject) {
		ref, clone := s.cloned()
		before := s.children(ref)
		s.refused(s.cloner().Flatten(s.ctx, stranger(clone)), "flatten of a stranger", strangerClasses...)
		if after := s.children(ref); !slices.Equal(after, before) {
			s.Errorf("children after a refused flatten: got %v, want %v", after, before)
		}
	}},
}

// cloner returns the driver's ability or skips the case.
func (s *subject) cloner() backends.Cloner {
	s.Helper()
	cloner, able := s.driver.(backends.Cloner)
	if !able {
		s.skip("the driver is no backends.Cloner")
	}
	return cloner
}

// cloned is a volume with the snapshot monday, and a clone of that.
func (s *subject) cloned() (ref, clone backends.Ref) {
	s.Helper()
	cloner := s.cloner()
	ref, clone = s.snapshotted(monday), s.volume("copy")
	s.ok(cloner.Clone(s.ctx, ref, monday, clone, small), "clone")
	return ref, clone
}

// children returns those of the volume's snapshot monday.
func (s *subject) children(ref backends.Ref) []volume.Key {
	s.Helper()
	children, err := s.cloner().Children(s.ctx, ref, monday)
	s.ok(err, "children")
	return children
}

func sortedKeys(keys ...volume.Key) []volume.Key {
	slices.SortFunc(keys, func(a, b volume.Key) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func childBlocker(key volume.Key) backends.Blocker {
	return backends.Blocker{Kind: backends.BlockedByChild, Name: key.String()}
}

// snapshotRaces is how often a snapshot is deleted while it is cloned.
const snapshotRaces = 10

// raceClone wants a clone and the delete of its snapshot, made at once by two processes,
// to end as if one had been made after the other.
func (s *subject) raceClone(round int) {
	s.Helper()
	ref, clone := s.created(fmt.Sprintf("r%d", round), small), s.volume(fmt.Sprintf("c%d", round))
	content, given := s.harness.(Content)
	if given {
		content.WriteContent(s, ref, pattern(1, markLength), mark)
	}
	_, err := s.cloner().CreateSnapshot(s.ctx, ref, monday)
	s.ok(err, "create snapshot")
	handles := []backends.Cloner{s.open().(backends.Cloner), s.open().(backends.Cloner)}
	errs := make([]error, callers)
	atOnce(func(i int) error {
		switch i {
		case 0:
			errs[i] = handles[i].Clone(s.ctx, ref, monday, clone, small)
		case 1:
			errs[i] = handles[i].DeleteSnapshot(s.ctx, ref, monday)
		}
		return nil
	})
	switch {
	case errs[0] == nil && given:
		s.holds(clone, small, pattern(1, markLength))
	case errs[0] == nil:
		s.has(clone, small, nil)
	default:
		s.refused(errs[0], "clone of a snapshot that is deleted", volume.NotFound, volume.Busy)
	}
	if errs[1] != nil {
		s.refused(errs[1], "delete of a snapshot that is cloned", volume.FailedPrecondition, volume.Busy)
	}
	// Whatever won, a repeat finds a state without remains.
	again := handles[0].Clone(s.ctx, ref, monday, clone, small)
	switch {
	case errors.Is(again, volume.NotFound):
		s.lacks(clone.Key)
		s.snapshots(ref)
	default:
		s.ok(again, "clone repeated")
		s.has(clone, small, nil)
	}
}
