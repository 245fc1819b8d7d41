package backendtest

import (
	"bytes"
	"math/rand/v2"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Where the content cases write: not at the beginning, and across what may be a block's end.
const (
	mark       = 4093
	markLength = 70_000
)

var contentCases = []testCase{
	{"Content_NewVolume_IsZero", func(s *subject) {
		s.content()
		s.holds(s.created("a", small), small, nil)
	}},
	{"Content_Written_OutlivesHandlesAndAttachments", func(s *subject) {
		ref := s.written()
		s.reopen()
		_, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach")
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.ok(s.driver.Create(s.ctx, ref, small), "create repeated")
		s.holds(ref, small, pattern(1, markLength))
	}},
	{"Content_Resized_IsKeptAndGrowsByZeros", func(s *subject) {
		s.resizer()
		ref := s.written()
		s.grow(ref)
		s.holds(ref, large, pattern(1, markLength))
	}},
	{"Content_NextLife_IsZero", func(s *subject) {
		ref := s.written()
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		next := stranger(ref)
		s.ok(s.driver.Create(s.ctx, next, small), "create again")
		s.holds(next, small, nil)
	}},
	{"Content_Restored_IsTheSnapshots", func(s *subject) {
		ref := s.writtenTwice()
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore")
		s.holds(ref, small, pattern(1, markLength))
		s.ok(s.snapshotter().Restore(s.ctx, ref, tuesday), "restore of the later snapshot")
		s.holds(ref, small, pattern(2, markLength))
	}},
	{"Content_RestoredAfterResize_IsTheSnapshots", func(s *subject) {
		s.resizer()
		ref := s.writtenTwice()
		s.grow(ref)
		s.content().WriteContent(s, ref, pattern(3, markLength), int64(large)-markLength)
		s.ok(s.snapshotter().Restore(s.ctx, ref, monday), "restore")
		s.holds(ref, small, pattern(1, markLength))
		s.grow(ref)
		s.holds(ref, large, pattern(1, markLength))
	}},
	{"Content_SnapshotDeleted_StaysTheVolumes", func(s *subject) {
		ref := s.writtenTwice()
		s.ok(s.snapshotter().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.holds(ref, small, pattern(2, markLength))
		s.ok(s.snapshotter().Restore(s.ctx, ref, tuesday), "restore of the other snapshot")
		s.holds(ref, small, pattern(2, markLength))
	}},
	{"Content_Cloned_IsTheSnapshots", func(s *subject) {
		s.cloner()
		ref := s.writtenTwice()
		clone := s.cloneOf(ref, large)
		s.holds(clone, large, pattern(1, markLength))
		s.holds(ref, small, pattern(2, markLength))
	}},
	{"Content_OfCloneAndSource_AreIndependent", func(s *subject) {
		s.cloner()
		ref := s.writtenTwice()
		clone := s.cloneOf(ref, small)
		s.content().WriteContent(s, clone, pattern(3, markLength), mark)
		s.content().WriteContent(s, ref, pattern(4, markLength), mark)
		s.holds(clone, small, pattern(3, markLength))
		s.holds(ref, small, pattern(4, markLength))
		s.ok(s.cloner().Restore(s.ctx, ref, monday), "restore")
		s.holds(ref, small, pattern(1, markLength))
		s.holds(clone, small, pattern(3, markLength))
	}},
	{"Content_Flattened_OutlivesTheSource", func(s *subject) {
		s.cloner()
		ref := s.writtenTwice()
		clone := s.cloneOf(ref, large)
		s.ok(s.cloner().Flatten(s.ctx, clone), "flatten")
		s.holds(clone, large, pattern(1, markLength))
		s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, monday), "delete snapshot")
		s.ok(s.cloner().DeleteSnapshot(s.ctx, ref, tuesday), "delete snapshot")
		s.ok(s.driver.Delete(s.ctx, ref), "delete of the source")
		s.holds(clone, large, pattern(1, markLength))
	}},
	{"Content_CloneOfAClone_IsItsSnapshots", func(s *subject) {
		s.cloner()
		ref := s.writtenTwice()
		clone := s.cloneOf(ref, small)
		_, err := s.cloner().CreateSnapshot(s.ctx, clone, monday)
		s.ok(err, "create snapshot of the clone")
		second := s.volume("second")
		s.ok(s.cloner().Clone(s.ctx, clone, monday, second, small), "clone of the clone")
		s.content().WriteContent(s, clone, pattern(3, markLength), mark)
		s.holds(second, small, pattern(1, markLength))
	}},
}

// written is a volume with pattern 1 at the mark.
func (s *subject) written() backends.Ref {
	s.Helper()
	content, ref := s.content(), s.created("a", small)
	content.WriteContent(s, ref, pattern(1, markLength), mark)
	return ref
}

// writtenTwice has pattern 1 in its snapshot monday, and pattern 2 in its snapshot tuesday
// and in itself.
func (s *subject) writtenTwice() backends.Ref {
	s.Helper()
	snapshotter, ref := s.snapshotter(), s.written()
	_, err := snapshotter.CreateSnapshot(s.ctx, ref, monday)
	s.ok(err, "create snapshot")
	s.content().WriteContent(s, ref, pattern(2, markLength), mark)
	_, err = snapshotter.CreateSnapshot(s.ctx, ref, tuesday)
	s.ok(err, "create snapshot")
	return ref
}

// cloneOf is a clone of the volume's snapshot monday.
func (s *subject) cloneOf(ref backends.Ref, size volume.Bytes) backends.Ref {
	s.Helper()
	clone := s.volume("copy")
	s.ok(s.cloner().Clone(s.ctx, ref, monday, clone, size), "clone")
	return clone
}

// holds wants the volume to be zero but for the data at the mark.
func (s *subject) holds(ref backends.Ref, size volume.Bytes, data []byte) {
	s.Helper()
	s.has(ref, size, nil)
	want := make([]byte, size)
	copy(want[mark:], data)
	got := make([]byte, size)
	s.content().ReadContent(s, ref, got, 0)
	if at := firstDifference(got, want); at >= 0 {
		s.Errorf("content of %s: got %#x at offset %d, want %#x", ref.Key, got[at], at, want[at])
	}
}

// firstDifference returns the first offset at which a and b differ, or -1.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// pattern is random data, the same for the same seed.
func pattern(seed byte, length int) []byte {
	var key [32]byte
	key[0] = seed
	data := make([]byte, length)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}
