package backendtest

import "github.com/jetvol/jetvol/volume"

var createCases = []testCase{
	{"Create_NewVolume_IsThereUnattached", func(s *subject) {
		ref := s.created("a", small)
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbCreate, 1)
	}},
	{"Create_Repeated_IsSuccess", func(s *subject) {
		ref := s.created("a", small)
		s.ok(s.driver.Create(s.ctx, ref, small), "create repeated")
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbCreate, 1)
	}},
	{"Create_RepeatedWhileAttached_KeepsAttachment", func(s *subject) {
		ref, attachment := s.attached()
		s.ok(s.driver.Create(s.ctx, ref, small), "create repeated")
		s.has(ref, small, &attachment)
	}},
	{"Create_SameIDOtherSize_IsRefused", func(s *subject) {
		ref := s.created("a", small)
		s.refused(s.driver.Create(s.ctx, ref, large), "create with another size", volume.FailedPrecondition)
		s.has(ref, small, nil)
	}},
	{"Create_KeyOfStranger_IsAlreadyExists", func(s *subject) {
		ref := s.created("a", small)
		s.refused(s.driver.Create(s.ctx, stranger(ref), small), "create over a stranger", volume.AlreadyExists)
		s.has(ref, small, nil)
	}},
	{"Create_AfterDelete_BeginsNewLife", func(s *subject) {
		ref := s.created("a", large)
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		next := stranger(ref)
		s.ok(s.driver.Create(s.ctx, next, small), "create again")
		s.has(next, small, nil)
		s.ok(s.driver.Delete(s.ctx, next), "delete again")
	}},
	{"Create_SizeWithoutUnit_IsExact", func(s *subject) {
		ref := s.created("a", small+1)
		s.has(ref, small+1, nil)
	}},
	{"Create_LimitsOfNamesAndSize_AreTaken", func(s *subject) {
		longest := volume.Key{Project: volume.Project("backendtest-" + longName[:51]), Name: longName}
		ref := s.volumeOf(longest)
		size := s.harness.MaxSize()
		s.ok(s.driver.Create(s.ctx, ref, size), "create with the longest names and the largest size")
		attachment, err := s.driver.Attach(s.ctx, ref, longNode, volume.ReadWrite)
		s.ok(err, "attach to the longest node name")
		s.has(ref, size, &attachment)
	}},
	{"Create_SimilarNames_AreDifferentVolumes", func(s *subject) {
		left := s.volumeOf(volume.Key{Project: "backendtest-a", Name: "b"})
		right := s.volumeOf(volume.Key{Project: "backendtest", Name: "a-b"})
		s.ok(s.driver.Create(s.ctx, left, small), "create")
		s.ok(s.driver.Create(s.ctx, right, large), "create of a similar name")
		s.ok(s.driver.Delete(s.ctx, left), "delete")
		s.lacks(left.Key)
		s.has(right, large, nil)
	}},
}

// longName and longNode are the longest names that package volume allows.
const longName = "x23456789-123456789-123456789-123456789-123456789-123456789-12z"

var longNode = volume.Node(longName + "." + longName + "." + longName + "." + longName[:60] + "z")

var deleteCases = []testCase{
	{"Delete_Repeated_IsSuccess", func(s *subject) {
		ref := s.created("a", small)
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		s.lacks(ref.Key)
		s.ok(s.driver.Delete(s.ctx, ref), "delete repeated")
		s.lacks(ref.Key)
		s.effects(ref, volume.VerbDelete, 1)
	}},
	{"Delete_NeverCreated_IsSuccess", func(s *subject) {
		ref := s.volume("a")
		s.ok(s.driver.Delete(s.ctx, ref), "delete of a missing volume")
		s.effects(ref, volume.VerbDelete, 0)
	}},
	{"Delete_Stranger_IsLeftAlone", func(s *subject) {
		ref := s.created("a", small)
		s.ok(s.driver.Delete(s.ctx, stranger(ref)), "delete of another life")
		s.has(ref, small, nil)
	}},
	{"Delete_AttachedStranger_IsLeftAlone", func(s *subject) {
		ref, attachment := s.attached()
		s.ok(s.driver.Delete(s.ctx, stranger(ref)), "delete of another life")
		s.has(ref, small, &attachment)
	}},
	{"Delete_WhileAttached_IsRefused", func(s *subject) {
		ref, attachment := s.attached()
		s.blocked(s.driver.Delete(s.ctx, ref), "delete while attached", nodeBlocker(nodeA))
		s.has(ref, small, &attachment)
	}},
	{"Delete_AfterDetach_IsSuccess", func(s *subject) {
		ref, _ := s.attached()
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		s.lacks(ref.Key)
	}},
}

var resizeCases = []testCase{
	{"Resize_Larger_GrowsAndRepeats", func(s *subject) {
		resizer, ref := s.resizer(), s.created("a", small)
		s.ok(resizer.Resize(s.ctx, ref, large), "resize")
		s.has(ref, large, nil)
		s.ok(resizer.Resize(s.ctx, ref, large), "resize repeated")
		s.has(ref, large, nil)
		s.effects(ref, volume.VerbResize, 1)
	}},
	{"Resize_SameSize_IsSuccess", func(s *subject) {
		resizer, ref := s.resizer(), s.created("a", small)
		s.ok(resizer.Resize(s.ctx, ref, small), "resize to the same size")
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbResize, 0)
	}},
	{"Resize_Smaller_IsRefused", func(s *subject) {
		resizer, ref := s.resizer(), s.created("a", large)
		s.refused(resizer.Resize(s.ctx, ref, small), "resize to a smaller size", volume.FailedPrecondition)
		s.has(ref, large, nil)
	}},
	{"Resize_Missing_IsNotFound", func(s *subject) {
		s.refused(s.resizer().Resize(s.ctx, s.volume("a"), large), "resize of a missing volume", volume.NotFound)
	}},
	{"Resize_Stranger_IsRefused", func(s *subject) {
		resizer, ref := s.resizer(), s.created("a", small)
		s.refused(resizer.Resize(s.ctx, stranger(ref), large), "resize of a stranger", strangerClasses...)
		s.has(ref, small, nil)
	}},
}

// strangerClasses are what a change of an object with another ID may return.
var strangerClasses = []volume.Class{volume.AlreadyExists, volume.FailedPrecondition}
