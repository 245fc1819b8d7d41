package backendtest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// Epochs of the fence cases: stale is the one that has lost the volume to owner.
const (
	stale = 3
	owner = 5
	later = 8
)

// pastAnyFence is the epoch with which a case cleans up.
const pastAnyFence = math.MaxUint64

var fenceCases = []testCase{
	{"Fence_OlderEpoch_IsRefusedByEveryCall", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		// Each call comes in a state in which it would change something.
		for _, step := range life {
			s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
			before := s.look(ref.Key)
			s.fenced(step.call(s.ctx, s.driver, in(stale, ref)), string(step.verb)+" in an older epoch", owner)
			s.unchanged(ref.Key, before)
			s.ok(step.call(s.ctx, s.driver, in(owner, ref)), string(step.verb)+" in the epoch of the fence")
			s.fenced(step.call(s.ctx, s.driver, in(stale, ref)), string(step.verb)+" done already, in an older epoch", owner)
			s.effects(ref, step.verb, 1)
		}
		s.lacks(ref.Key)
	}},
	{"Fence_EqualOrLaterEpoch_Passes", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		for _, step := range life {
			s.ok(step.call(s.ctx, s.driver, in(later, ref)), string(step.verb)+" in a later epoch")
			// Only Fence raises a fence.
			s.ok(step.call(s.ctx, s.driver, in(owner, ref)), string(step.verb)+" in the epoch of the fence")
		}
	}},
	{"Fence_NeverMade_TakesEveryEpoch", func(s *subject) {
		ref := s.volume("a")
		s.fencer()
		s.ok(s.driver.Create(s.ctx, in(owner, ref), small), "create")
		s.ok(s.driver.Create(s.ctx, in(stale, ref), small), "create repeated in an older epoch")
		s.ok(s.driver.Delete(s.ctx, in(0, ref)), "delete without an epoch")
	}},
	{"Fence_NoEpoch_IsRefusedLikeAnOlderOne", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.fenced(s.driver.Create(s.ctx, in(0, ref), small), "create without an epoch", owner)
	}},
	{"Fence_Repeated_IsSuccess", func(s *subject) {
		fencer, ref := s.fencer(), s.created("a", small)
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence repeated")
		s.has(ref, small, nil)
	}},
	{"Fence_Older_IsRefusedTellingTheStoredEpoch", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.fenced(fencer.Fence(s.ctx, in(stale, ref)), "fence with an older epoch", owner)
		s.fenced(s.driver.Create(s.ctx, in(stale, ref), small), "create in the older epoch", owner)
		s.ok(fencer.Fence(s.ctx, in(later, ref)), "fence with a later epoch")
		s.fenced(s.driver.Create(s.ctx, in(owner, ref), small), "create in the epoch before", later)
	}},
	{"Fence_OtherLife_IsRefusedToo", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, stranger(ref))), "fence")
		s.fenced(s.driver.Create(s.ctx, in(stale, ref), small), "create of the life before", owner)
		s.lacks(ref.Key)
	}},
	{"Fence_MissingVolume_MakesNone", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence of a missing volume")
		s.lacks(ref.Key)
		if _, able := s.driver.(backends.Lister); able && len(s.list()[ref.Key]) != 0 {
			s.Errorf("list: got a volume that was only fenced, want none")
		}
	}},
	{"Fence_AttachedVolume_KeepsIt", func(s *subject) {
		fencer := s.fencer()
		ref, attachment := s.attached()
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.has(ref, small, &attachment)
	}},
	{"Fence_OtherVolume_IsNotConcerned", func(s *subject) {
		fencer := s.fencer()
		s.ok(fencer.Fence(s.ctx, in(owner, s.volume("a"))), "fence")
		s.ok(s.driver.Create(s.ctx, in(stale, s.volume("b")), small), "create of another volume")
	}},
	{"Fence_VolumeDeleted_RefusesItsLateCreate", func(s *subject) {
		fencer, ref := s.fencer(), s.created("a", small)
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.ok(s.driver.Delete(s.ctx, in(owner, ref)), "delete")
		s.fenced(s.driver.Create(s.ctx, in(stale, ref), small), "late create", owner)
		s.lacks(ref.Key)
	}},
	{"Fence_Reopened_StillHolds", func(s *subject) {
		fencer, ref := s.fencer(), s.volume("a")
		s.ok(fencer.Fence(s.ctx, in(owner, ref)), "fence")
		s.reopen()
		s.fenced(s.driver.Create(s.ctx, in(stale, ref), small), "create by another process", owner)
		s.fenced(s.fencer().Fence(s.ctx, in(stale, ref)), "fence by another process", owner)
		s.lacks(ref.Key)
	}},
	{"Fence_WithOldHandleOpen_StopsIt", func(s *subject) {
		s.fencer()
		old, ref := s.driver, s.volume("a")
		s.ok(old.Create(s.ctx, in(stale, ref), small), "create")
		s.reopen()
		s.ok(s.fencer().Fence(s.ctx, in(owner, ref)), "fence by another process")
		s.fenced(old.Delete(s.ctx, in(stale, ref)), "delete by the old process", owner)
		s.has(ref, small, nil)
	}},
	{"Fence_DuringOlderCalls_IsTheLastThingTheySee", func(s *subject) {
		s.fencer()
		for round := range uint64(fenceRounds) {
			s.fenceDuringCalls(s.volume("a"), 2*round+1)
		}
	}},
}

// fenceRounds is how often a fence is made in the middle of older calls.
const fenceRounds = 20

// fenceDuringCalls lets old handles repeat the life of a volume in the given epoch, fences
// the next one, and wants what is there then to stay.
func (s *subject) fenceDuringCalls(ref backends.Ref, epoch uint64) {
	s.Helper()
	const handles = 3
	var (
		running sync.WaitGroup
		fenced  atomic.Bool
		begun   = make(chan struct{}, handles)
	)
	for range handles {
		old := s.open()
		running.Go(func() { s.liveUntilFenced(old, in(epoch, ref), begun, &fenced) })
	}
	defer running.Wait() // also when the case ends early
	for range handles {
		<-begun
	}
	fencer := s.fencer()
	err := fencer.Fence(s.ctx, in(epoch+1, ref))
	for errors.Is(err, volume.Busy) {
		err = fencer.Fence(s.ctx, in(epoch+1, ref))
	}
	fenced.Store(true)
	before := s.look(ref.Key)
	running.Wait()
	s.ok(err, "fence during older calls")
	s.unchanged(ref.Key, before)
}

// liveUntilFenced repeats the life of ref until a call is refused for its epoch, which is
// due at the latest for one that begins after the fence was made.
func (s *subject) liveUntilFenced(d backends.Driver, ref backends.Ref, begun chan<- struct{}, fenced *atomic.Bool) {
	for turn := 0; ; turn++ {
		for _, step := range life {
			late := fenced.Load()
			// Others do the same, so that any refusal may be met.
			err := step.call(s.ctx, d, ref)
			if turn == 0 && step.verb == volume.VerbCreate {
				begun <- struct{}{}
			}
			if errors.Is(err, volume.ErrFenced) {
				return
			}
			if late && !errors.Is(err, volume.Busy) {
				s.Errorf("%s begun after the fence: got %v, want %v", step.verb, err, volume.ErrFenced)
				return
			}
		}
	}
}

// in is ref as used by a caller with the given epoch.
func in(epoch uint64, ref backends.Ref) backends.Ref {
	ref.Epoch = epoch
	return ref
}

// fencer returns the driver's ability or skips the case.
func (s *subject) fencer() backends.Fencer {
	s.Helper()
	f, able := s.driver.(backends.Fencer)
	if !able {
		s.skip("the driver is no backends.Fencer")
	}
	return f
}

// fenced wants a refusal because of the epoch, telling the stored one.
func (s *subject) fenced(err error, what string, stored uint64) {
	s.Helper()
	refusal, typed := errors.AsType[*backends.FencedError](err)
	if !typed || !errors.Is(err, volume.ErrFenced) || volume.ClassOf(err) != volume.Aborted {
		s.Errorf("%s: got %v, want a FencedError of code %s", what, err, volume.ErrFenced)
		return
	}
	if refusal.Stored != stored {
		s.Errorf("%s: got %d for the stored epoch, want %d", what, refusal.Stored, stored)
	}
}

// look returns what is under the key, nil for nothing.
func (s *subject) look(key volume.Key) *backends.Object {
	s.Helper()
	found, err := s.driver.Get(context.WithoutCancel(s.ctx), key)
	if errors.Is(err, volume.NotFound) {
		return nil
	}
	s.ok(err, "get")
	return &found
}

func (s *subject) unchanged(key volume.Key, before *backends.Object) {
	s.Helper()
	if after := s.look(key); !reflect.DeepEqual(before, after) {
		s.Errorf("after an older call was refused: got %+v, want %+v", after, before)
	}
}
