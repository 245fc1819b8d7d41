package backendtest

import (
	"errors"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var evictCases = []testCase{
	{"Evict_Holder_EndsItsReservation", func(s *subject) {
		evictor := s.evictor()
		ref, _ := s.attached()
		s.evicted(evictor, ref, nodeA, "evict")
		s.has(ref, small, nil)
		attachment, err := s.driver.Attach(s.ctx, ref, nodeB, volume.ReadWrite)
		s.ok(err, "attach to another node after the eviction")
		s.has(ref, small, &attachment)
	}},
	{"Evict_Repeated_IsSuccess", func(s *subject) {
		evictor := s.evictor()
		ref, _ := s.attached()
		s.evicted(evictor, ref, nodeA, "evict")
		s.evicted(evictor, ref, nodeA, "evict repeated")
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbNodeGone, 1)
	}},
	{"Evict_HeldByOther_IsSuccessAndStaysTheirs", func(s *subject) {
		evictor := s.evictor()
		ref, attachment := s.attached()
		s.evicted(evictor, ref, nodeB, "evict of a node that does not hold it")
		s.has(ref, small, &attachment)
		s.effects(ref, volume.VerbNodeGone, 0)
	}},
	{"Evict_OneReader_LeavesTheOthers", func(s *subject) {
		evictor := s.evictor()
		ref, holders := s.shared(nodeA, nodeB)
		s.evicted(evictor, ref, nodeA, "evict of a reader")
		s.heldBy(ref, small, holders.Without(nodeA))
		s.evicted(evictor, ref, nodeB, "evict of the last reader")
		s.heldBy(ref, small, nil)
	}},
	{"Evict_NotHeld_IsSuccess", func(s *subject) {
		evictor, ref := s.evictor(), s.created("a", small)
		s.evicted(evictor, ref, nodeA, "evict from a volume that nobody holds")
		s.has(ref, small, nil)
		s.effects(ref, volume.VerbNodeGone, 0)
	}},
	{"Evict_AfterEviction_NodeMayAttachAgain", func(s *subject) {
		evictor := s.evictor()
		ref, _ := s.attached()
		s.evicted(evictor, ref, nodeA, "evict")
		attachment, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach by the node that came back")
		s.has(ref, small, &attachment)
	}},
	{"Evict_Missing_IsNotFound", func(s *subject) {
		evictor, ref := s.evictor(), s.volume("a")
		_, err := evictor.Evict(s.ctx, ref, nodeA)
		s.refused(err, "evict from a missing volume", volume.NotFound)
		s.lacks(ref.Key)
	}},
	{"Evict_Stranger_IsRefused", func(s *subject) {
		evictor := s.evictor()
		ref, attachment := s.attached()
		_, err := evictor.Evict(s.ctx, stranger(ref), nodeA)
		s.refused(err, "evict from a stranger", strangerClasses...)
		s.has(ref, small, &attachment)
	}},
	{"Evict_Reopened_IsSeen", func(s *subject) {
		evictor := s.evictor()
		ref, _ := s.attached()
		s.evicted(evictor, ref, nodeA, "evict")
		s.reopen()
		s.has(ref, small, nil)
		s.evicted(s.evictor(), ref, nodeA, "evict repeated by another process")
	}},
	{"Evict_OlderEpoch_IsRefused", func(s *subject) {
		evictor, fencer := s.evictor(), s.fencer()
		ref, attachment := s.attached()
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		_, err := evictor.Evict(s.ctx, in(stale, ref), nodeA)
		s.fenced(err, "evict in an older epoch", owner)
		s.has(ref, small, &attachment)
		s.evicted(evictor, in(owner, ref), nodeA, "evict in the epoch of the fence")
		s.has(ref, small, nil)
		_, err = evictor.Evict(s.ctx, in(stale, ref), nodeA)
		s.fenced(err, "evict done already, in an older epoch", owner)
	}},
	{"Evict_BesideResizes_BothTakeEffect", func(s *subject) {
		evictor, resizer := s.evictor(), s.resizer()
		ref, _ := s.attached()
		size, resized := small, make(chan error, 1)
		go func() {
			var err error
			for ; err == nil && size < large; size += volume.MiB {
				err = persist(func() error { return resizer.Resize(s.ctx, ref, size+volume.MiB) })
			}
			resized <- err
		}()
		for running := true; running; {
			s.ok(persist(func() error {
				_, err := evictor.Evict(s.ctx, ref, nodeA)
				return err
			}), "evict beside resizes")
			select {
			case err := <-resized:
				s.ok(err, "resize beside evictions")
				running = false
			default:
			}
		}
		s.has(ref, large, nil)
	}},
}

// persist repeats a call that is Busy, because another changes the volume at this moment.
func persist(f func() error) error {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(promptly); ; <-pause.C {
		if err := f(); !errors.Is(err, volume.Busy) || time.Now().After(deadline) {
			return err
		}
	}
}

// evicted wants an eviction to succeed.
func (s *subject) evicted(evictor backends.Evictor, ref backends.Ref, node volume.Node, what string) {
	s.Helper()
	eviction, err := evictor.Evict(s.ctx, ref, node)
	s.ok(err, what)
	for _, client := range eviction.Clients {
		if client == "" {
			s.Errorf("%s: got a fenced client without a name among %q", what, eviction.Clients)
		}
	}
}

// evictor returns the driver's ability or skips the case.
func (s *subject) evictor() backends.Evictor {
	s.Helper()
	e, able := s.driver.(backends.Evictor)
	if !able {
		s.skip("the driver is no backends.Evictor")
	}
	return e
}
