package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

// callers is how many callers a concurrent case has.
const callers = 16

var concurrentCases = []testCase{
	{"Backend_SameCallAtOnce_IsOneEffect", func(s *subject) {
		ref, backend := s.volume("a"), s.backend()
		for _, step := range life {
			if step.verb == volume.VerbResize && !backend.Capabilities().Resize {
				continue
			}
			for _, err := range atOnce(func(int) error { return step.call(s.ctx, backend, ref) }) {
				s.ok(err, string(step.verb)+" by many callers")
			}
			s.effects(ref, step.verb, 1)
		}
		s.lacks(ref.Key)
	}},
	{"Backend_ManyLivesCreatedAtOnce_OneWins", func(s *subject) {
		ref, backend := s.volume("a"), s.backend()
		refs := make([]backends.Ref, callers)
		errs := atOnce(func(i int) error {
			refs[i] = backends.Ref{Key: ref.Key, ID: volume.NewID(ref.Key, uint64(i+1))}
			return backend.Create(s.ctx, refs[i], small)
		})
		if winner := s.oneWins(errs, "create", volume.AlreadyExists); winner >= 0 {
			s.has(refs[winner], small, nil)
		}
	}},
	{"Backend_ManyNodesAttachAtOnce_OneWins", func(s *subject) {
		ref, backend := s.created("a", small), s.backend()
		attachments := make([]volume.Attachment, callers)
		errs := atOnce(func(i int) (err error) {
			node := volume.Node(fmt.Sprintf("node-%c", 'a'+i))
			attachments[i], err = backend.Attach(s.ctx, ref, node, volume.ReadWrite)
			return err
		})
		winner := s.oneWins(errs, "attach", volume.FailedPrecondition)
		if winner < 0 {
			return
		}
		s.has(ref, small, &attachments[winner])
		for _, err := range errs {
			s.names(err, attachments[winner].Node)
		}
	}},
	{"Backend_ManyVolumesAtOnce_AreIndependent", func(s *subject) {
		backend := s.backend()
		refs := make([]backends.Ref, callers)
		for i := range refs {
			refs[i] = s.volume(fmt.Sprintf("v%d", i))
		}
		errs := atOnce(func(i int) error { return live(s.ctx, backend, refs[i]) })
		s.ok(errors.Join(errs...), "whole lives side by side")
		for _, ref := range refs {
			s.lacks(ref.Key)
		}
	}},
}

// live takes a volume through its life.
func live(ctx context.Context, backend *backends.Backend, ref backends.Ref) error {
	for _, step := range life {
		if step.verb == volume.VerbResize && !backend.Capabilities().Resize {
			continue
		}
		if err := step.call(ctx, backend, ref); err != nil {
			return err
		}
	}
	return nil
}

// backend returns a Backend over its own handle, which the end of the case closes.
func (s *subject) backend() *backends.Backend {
	s.Helper()
	backend := backends.New("backendtest", s.harness.Open(s), backends.Options{})
	s.Cleanup(func() {
		if err := backend.Close(); err != nil {
			s.Errorf("close backend: got %v, want no error", err)
		}
	})
	return backend
}

// atOnce calls f from many goroutines that start together, and returns their errors.
func atOnce(f func(caller int) error) []error {
	errs := make([]error, callers)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	running.Wait()
	return errs
}

// oneWins wants success for exactly one caller, which it returns, and the class for all
// others. Without a single winner it returns -1.
func (s *subject) oneWins(errs []error, what string, others volume.Class) int {
	s.Helper()
	winner, winners := -1, 0
	for i, err := range errs {
		if err == nil {
			winner = i
			winners++
			continue
		}
		s.refused(err, what+" by a loser", others)
	}
	if winners != 1 {
		s.Errorf("%s by %d callers: got %d winners, want 1", what, len(errs), winners)
		return -1
	}
	return winner
}
