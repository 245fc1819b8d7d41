package backendtest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

const nodeC = volume.Node("node-c.example")

var shareCases = []testCase{
	{"Share_Readers_HoldItTogether", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB, nodeC)
		s.heldBy(ref, small, holders)
		s.effects(ref, volume.VerbAttach, 3)
	}},
	{"Share_OrderOfAttaches_IsIrrelevant", func(s *subject) {
		ref, holders := s.shared(nodeB, nodeC, nodeA)
		s.heldBy(ref, small, holders)
	}},
	{"Share_Repeated_ReturnsTheSame", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB)
		for _, first := range holders {
			second, err := s.driver.Attach(s.ctx, ref, first.Node, volume.ReadOnly)
			s.ok(err, "read-only attach repeated beside another")
			if !reflect.DeepEqual(first, second) {
				s.Errorf("attach repeated: got %+v, want %+v", second, first)
			}
		}
		s.heldBy(ref, small, holders)
		s.effects(ref, volume.VerbAttach, 2)
	}},
	{"Share_WriterBesideReaders_IsRefusedNamingAll", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB)
		_, err := s.driver.Attach(s.ctx, ref, nodeC, volume.ReadWrite)
		s.refused(err, "read-write attach beside readers", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.names(err, nodeB)
		s.heldBy(ref, small, holders)
	}},
	{"Share_ReaderBesideWriter_IsRefusedNamingHolder", func(s *subject) {
		ref, attachment := s.attached()
		_, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadOnly)
		s.refused(err, "read-only attach beside a writer", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.has(ref, small, &attachment)
	}},
	{"Share_ReaderWantsToWrite_IsRefused", func(s *subject) {
		for _, readers := range [][]volume.Node{{nodeA}, {nodeA, nodeB}} {
			ref, holders := s.shared(readers...)
			_, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
			s.refused(err, "read-write attach of a reader", volume.FailedPrecondition)
			s.names(err, nodeA)
			s.heldBy(ref, small, holders)
			s.remove(ref.Key)
		}
	}},
	{"Share_DetachOfOne_KeepsTheOthers", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB, nodeC)
		for _, leaving := range []volume.Node{nodeB, nodeA, nodeC} {
			s.ok(s.driver.Detach(s.ctx, ref, leaving), "detach of one reader")
			holders = holders.Without(leaving)
			s.heldBy(ref, small, holders)
			s.ok(s.driver.Detach(s.ctx, ref, leaving), "detach repeated while others hold it")
			s.heldBy(ref, small, holders)
		}
		s.effects(ref, volume.VerbDetach, 3)
	}},
	{"Share_DetachOfANodeThatHasNothing_IsSuccess", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB)
		s.ok(s.driver.Detach(s.ctx, ref, nodeC), "detach of a node beside readers")
		s.heldBy(ref, small, holders)
		s.effects(ref, volume.VerbDetach, 0)
	}},
	{"Share_AfterTheLastReader_AWriterMayComeIn", func(s *subject) {
		ref, _ := s.shared(nodeA, nodeB)
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		_, err := s.driver.Attach(s.ctx, ref, nodeC, volume.ReadWrite)
		s.refused(err, "read-write attach beside the last reader", volume.FailedPrecondition)
		s.names(err, nodeB)
		s.ok(s.driver.Detach(s.ctx, ref, nodeB), "detach")
		attachment, err := s.driver.Attach(s.ctx, ref, nodeC, volume.ReadWrite)
		s.ok(err, "read-write attach after all readers")
		s.has(ref, small, &attachment)
	}},
	{"Share_Delete_IsRefusedUntilTheLastDetach", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB)
		err := s.driver.Delete(s.ctx, ref)
		s.refused(err, "delete while two read", volume.FailedPrecondition)
		s.names(err, nodeA)
		s.names(err, nodeB)
		s.heldBy(ref, small, holders)
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach")
		s.refused(s.driver.Delete(s.ctx, ref), "delete while one reads", volume.FailedPrecondition)
		s.ok(s.driver.Detach(s.ctx, ref, nodeB), "detach")
		s.ok(s.driver.Delete(s.ctx, ref), "delete")
		s.lacks(ref.Key)
	}},
	{"Share_Stranger_IsRefused", func(s *subject) {
		ref, holders := s.shared(nodeA)
		_, err := s.driver.Attach(s.ctx, stranger(ref), nodeB, volume.ReadOnly)
		s.refused(err, "read-only attach of a stranger", strangerClasses...)
		s.heldBy(ref, small, holders)
	}},
	{"Share_Reopened_IsSeenAsItWas", func(s *subject) {
		ref, holders := s.shared(nodeA, nodeB)
		s.reopen()
		s.heldBy(ref, small, holders)
		third, err := s.driver.Attach(s.ctx, ref, nodeC, volume.ReadOnly)
		s.ok(err, "read-only attach by another process")
		s.ok(s.driver.Detach(s.ctx, ref, nodeA), "detach by another process")
		s.heldBy(ref, small, holders.Without(nodeA).With(third))
	}},
	{"Share_Listed_AgreesWithGet", func(s *subject) {
		s.lister()
		ref, holders := s.shared(nodeB, nodeA)
		wantListed(s, s.list(), backends.Object{Ref: ref, Size: small, Attachments: holders})
	}},
	{"Share_MostNodesWithTheLongestNames_HoldIt", func(s *subject) {
		nodes := make([]volume.Node, volume.MaxAttachments)
		for i := range nodes {
			nodes[i] = volume.Node(fmt.Sprintf("n%02d", i)) + longNode[3:]
		}
		ref, holders := s.shared(nodes...)
		s.heldBy(ref, small, holders)
	}},
	{"Share_ManyNodesAtOnce_AllHoldIt", func(s *subject) {
		ref, backend := s.created("a", small), s.backend()
		holders := make(volume.Attachments, callers)
		errs := atOnce(func(i int) (err error) {
			holders[i], err = backend.Attach(s.ctx, ref, volume.Node(fmt.Sprintf("node-%c", 'a'+i)), volume.ReadOnly)
			return err
		})
		for _, err := range errs {
			s.ok(err, "read-only attach by many callers")
		}
		s.heldBy(ref, small, holders)
		errs = atOnce(func(i int) error { return backend.Detach(s.ctx, ref, holders[i].Node) })
		for _, err := range errs {
			s.ok(err, "detach by many callers")
		}
		s.heldBy(ref, small, nil)
	}},
}

// shared is a ref whose object the nodes hold for reading, attached in the order given,
// and its holders in the order in which they must be told.
func (s *subject) shared(nodes ...volume.Node) (backends.Ref, volume.Attachments) {
	s.Helper()
	ref := s.created("a", small)
	var holders volume.Attachments
	for _, node := range nodes {
		attachment, err := s.driver.Attach(s.ctx, ref, node, volume.ReadOnly)
		s.ok(err, "read-only attach")
		if attachment.Node != node || attachment.Mode != volume.ReadOnly {
			s.Errorf("attach: got %+v, want node %s, mode %s", attachment, node, volume.ReadOnly)
		}
		holders = append(holders, attachment)
	}
	slices.SortFunc(holders, func(a, b volume.Attachment) int { return cmp.Compare(a.Node, b.Node) })
	return ref, holders
}
