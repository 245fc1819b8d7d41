package backendtest

import (
	"context"
	"errors"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// answerCases make every change whose answer nobody hears, and make it again.
var answerCases = []testCase{
	{"Answer_Lost_RepeatByAnotherProcessIsSuccess", func(s *subject) {
		s.eachCall(func(c Call) {
			s.dropAnswer(s.ctx, c)
			s.reopen()
			s.ok(c.Do(s.ctx, s.driver), c.Method+" after its answer was lost")
		})
	}},
	{"Answer_LostTwice_RepeatIsSuccess", func(s *subject) {
		s.eachCall(func(c Call) {
			s.dropAnswer(s.ctx, c)
			s.dropAnswer(s.ctx, c)
			s.ok(c.Do(s.ctx, s.driver), c.Method+" after two answers were lost")
		})
	}},
	{"Answer_LostToACancel_RepeatIsSuccess", func(s *subject) {
		s.eachCall(func(c Call) {
			ctx, cancel := context.WithCancel(s.ctx)
			s.returns(c.Method, func() {
				go cancel()
				s.dropAnswer(ctx, c)
			})
			s.ok(c.Do(s.ctx, s.driver), c.Method+" after it was cancelled")
		})
	}},
	{"Answer_ToManyAtOnce_IsTheSame", func(s *subject) {
		backend := s.backend()
		s.eachCall(func(c Call) {
			s.ok(errors.Join(atOnce(func(int) error { return c.Do(s.ctx, backend) })...), c.Method+" by many callers")
		})
	}},
}

// dropAnswer makes the call and looks at nothing that it returns but its class.
func (s *subject) dropAnswer(ctx context.Context, c Call) {
	s.Helper()
	if err := c.Do(ctx, s.driver); errors.Is(err, volume.Unsupported) {
		s.Errorf("%s: got %v, want the driver not to implement what it cannot do", c.Method, err)
	}
}

// eachCall wants f to make every change in turn, and at the end nothing to be left.
func (s *subject) eachCall(f func(Call)) {
	s.Helper()
	ref, clone := s.volume("a"), s.volume("copy")
	for _, c := range script(backends.CapabilitiesOf(s.driver), ref, clone) {
		f(c)
	}
	s.lacks(ref.Key)
	s.lacks(clone.Key)
}

// honestyCases want the abilities that are claimed, and no others.
var honestyCases = []testCase{
	{"Abilities_Claimed_AreHad", func(s *subject) {
		s.eachCall(func(c Call) {
			err := c.Do(s.ctx, s.driver)
			s.supported(err, c.Method)
			s.ok(err, c.Method)
		})
	}},
	{"Abilities_OfEveryHandle_AreTheSame", func(s *subject) {
		before := backends.CapabilitiesOf(s.driver)
		s.reopen()
		if after := backends.CapabilitiesOf(s.driver); after != before {
			s.Errorf("abilities of another handle: got %+v, want %+v", after, before)
		}
	}},
}
