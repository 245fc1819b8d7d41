package backendtest

import (
	"context"
	"time"

	"github.com/jetvol/jetvol/volume"
)

var processCases = []testCase{
	{"Reopen_AttachedVolume_IsSeenAsItWas", func(s *subject) {
		ref, attachment := s.attached()
		s.reopen()
		s.has(ref, small, &attachment)
		again, err := s.driver.Attach(s.ctx, ref, nodeA, volume.ReadWrite)
		s.ok(err, "attach repeated by another process")
		s.has(ref, small, &again)
		_, err = s.driver.Attach(s.ctx, ref, nodeB, volume.ReadWrite)
		s.refused(err, "attach by another process", volume.FailedPrecondition)
		s.refused(s.driver.Delete(s.ctx, ref), "delete by another process", volume.FailedPrecondition)
	}},
	{"Reopen_BetweenAllChanges_RepeatsAreSuccess", func(s *subject) {
		ref := s.volume("a")
		for _, step := range life {
			s.ok(step.call(s.ctx, s.driver, ref), string(step.verb))
			s.reopen()
			s.ok(step.call(s.ctx, s.driver, ref), string(step.verb)+" repeated by another process")
		}
		s.lacks(ref.Key)
	}},
	{"Reopen_WithOldHandleOpen_BothSeeTheSame", func(s *subject) {
		old := s.driver
		ref := s.created("a", small)
		s.reopen()
		s.ok(s.driver.Delete(s.ctx, ref), "delete by another process")
		_, err := old.Get(s.ctx, ref.Key)
		s.refused(err, "get by the old process", volume.NotFound)
	}},
	{"Context_CancelledBefore_ReturnsAndRepeatHeals", func(s *subject) {
		ref := s.volume("a")
		for _, step := range life {
			ctx, cancel := context.WithCancel(s.ctx)
			cancel()
			s.returns(string(step.verb), func() { _ = step.call(ctx, s.driver, ref) })
			s.ok(step.call(s.ctx, s.driver, ref), string(step.verb)+" after a cancelled one")
		}
		s.lacks(ref.Key)
	}},
	{"Context_CancelledDuring_ReturnsAndRepeatHeals", func(s *subject) {
		ref := s.volume("a")
		for _, step := range life {
			ctx, cancel := context.WithCancel(s.ctx)
			s.returns(string(step.verb), func() {
				go cancel()
				_ = step.call(ctx, s.driver, ref)
			})
			s.ok(step.call(s.ctx, s.driver, ref), string(step.verb)+" after a cancelled one")
		}
		s.lacks(ref.Key)
	}},
	{"Context_Cancelled_GetAndHealthReturn", func(s *subject) {
		ref := s.created("a", small)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		s.returns("get", func() { _, _ = s.driver.Get(ctx, ref.Key) })
		s.returns("health", func() { _, _ = s.driver.Health(ctx) })
		s.has(ref, small, nil)
	}},
}

// returns wants a call whose context ended to return promptly, whatever its error: the
// outcome is unknown then.
func (s *subject) returns(what string, call func()) {
	s.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		call()
	}()
	select {
	case <-done:
	case <-time.After(promptly):
		s.Fatalf("%s: got no return within %s after the context was cancelled", what, promptly)
	}
}
