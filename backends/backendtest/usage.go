package backendtest

import (
	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/volume"
)

var usageCases = []testCase{
	{"Usage_NewVolume_IsItsSize", func(s *subject) {
		ref := s.created("a", large)
		if usage := s.usage(ref); usage.Provisioned != large {
			s.Errorf("usage: got %s provisioned, want %s", usage.Provisioned, large)
		}
	}},
	{"Usage_AfterWrites_CountsThem", func(s *subject) {
		content := s.content()
		ref := s.created("a", large)
		before := s.usage(ref)
		content.WriteContent(s, ref, pattern(1, int(small)), 0)
		if after := s.usage(ref); after.Used < before.Used+small {
			s.Errorf("usage after writing %s: got %s used, want at least %s", small, after.Used, before.Used+small)
		}
	}},
	{"Usage_Missing_IsNotFound", func(s *subject) {
		_, err := s.reporter().Usage(s.ctx, s.volume("a"))
		s.refused(err, "usage of a missing volume", volume.NotFound)
	}},
	{"Usage_Stranger_IsRefused", func(s *subject) {
		reporter, ref := s.reporter(), s.created("a", small)
		_, err := reporter.Usage(s.ctx, stranger(ref))
		s.refused(err, "usage of a stranger", strangerClasses...)
	}},
}

// reporter returns the driver's ability or skips the case.
func (s *subject) reporter() backends.UsageReporter {
	s.Helper()
	reporter, able := s.driver.(backends.UsageReporter)
	if !able {
		s.skip("the driver is no backends.UsageReporter")
	}
	return reporter
}

func (s *subject) usage(ref backends.Ref) backends.Usage {
	s.Helper()
	usage, err := s.reporter().Usage(s.ctx, ref)
	s.ok(err, "usage")
	return usage
}
