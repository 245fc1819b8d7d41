package backendtest

import (
	"reflect"

	"github.com/jetvol/jetvol/volume"
)

var attachCases = []testCase{
	{"Attach_Repeated_ReturnsTheSame", func(s *subject) {
		ref, first := s.attached()
		if first.Node != nodeA || first.Mode != volume.ReadWrite {
			s.Errorf("attach: got %+v, want node %s, mode %s", first, nodeA, volume.ReadWrite)
		}
		s.has(ref, small, &first)
		second, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach repeated")
		if !reflect.DeepEqual(first, second) {
			s.Errorf("attach repeated: got %+v, want %+v", second, first)
		}
		s.effects(ref, volume.VerbAttach, 1)
	}},
	{"Attach_ReadOnly_IsKept", func(s *subject) {
		ref := s.created("a", small)
		attachment, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadOnly)
		s.ok(err, "attach read-only")
		s.has(ref, small, &attachment)
	}},
	{"Attach_HeldByOther_IsRefusedNamingHolder", func(s *subject) {
		ref, attachment := s.attached()
		_, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadWrite)
		s.refused(err, "attach while another node holds it", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.has(ref, small, &attachment)
	}},
	{"Attach_HeldInOtherMode_IsRefusedNamingHolder", func(s *subject) {
		ref, attachment := s.attached()
		_, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadOnly)
		s.refused(err, "attach in another mode", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.has(ref, small, &attachment)
	}},
	{"Attach_AfterDetach_GoesToOtherNode", func(s *subject) {
		ref, _ := s.attached()
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		attachment, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadWrite)
		s.ok(err, "attach to another node")
		s.has(ref, small, &attachment)
	}},
	{"Attach_Missing_IsNotFound", func(s *subject) {
		ref := s.volume("a")
		_, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.refused(err, "attach of a missing volume", volume.NotFound)
		s.lacks(ref.Key)
	}},
	{"Attach_Stranger_IsRefused", func(s *subject) {
		ref := s.created("a", small)
		_, err := s.driver.Attach(s.ctx, stranger(ref), nodeA, volume.ReadWrite)
		s.refused(err, "attach of a stranger", strangerClasses...)
		s.has(ref, small, nil)
	}},
}

var detachCases = []testCase{
	{"Detach_Repeated_IsSuccess", func(s *subject) {
		ref, _ := s.attached()
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.has(ref, small, nil)
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach repeated")
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbDetach, 1)
	}},
	{"Detach_NotHeld_IsSuccess", func(s *subject) {
		ref := s.created("a", small)
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach of a volume that nobody holds")
		s.effects(ref, volume.VerbDetach, 0)
	}},
	{"Detach_HeldByOther_IsRefusedNamingHolder", func(s *subject) {
		ref, attachment := s.attached()
		err := s.driver.Detach(s.ctx, ref, nodeB)
		s.refused(err, "detach by a node that does not hold it", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.has(ref, small, &attachment)
	}},
	{"Detach_Missing_IsNotFound", func(s *subject) {
		s.refused(s.driver.Detach(s.ctx, s.volume("a"), nodeA), "detach of a missing volume", volume.NotFound)
	}},
	{"Detach_Stranger_IsRefused", func(s *subject) {
		ref, attachment := s.attached()
		s.refused(s.driver.Detach(s.ctx, stranger(ref), nodeA), "detach of a stranger", strangerClasses...)
		s.has(ref, small, &attachment)
	}},
}
