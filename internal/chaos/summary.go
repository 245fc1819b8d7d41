package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/jetvol/jetvol/internal/verify"
)

// details returns the line before the last: what else was done and found.
func (s *storm) details(checked int, faults []verify.Fault) string {
	c := s.clients.Ledger().Counts()
	return fmt.Sprintf("servers=%d server_kills=%d server_stops=%d joins=%d drains=%d cuts=%d answers=%d repeated=%d reused=%d "+
		"disagreements=%d linearized=%d probes=%d/%d %s %s %s %s seed=%d",
		s.options.servers, s.servers.kills, s.servers.stops, s.joins, s.drains, s.crew.cuts, c.Answers, c.Repeated, c.Reused,
		verify.Count(faults)[verify.Disagreement], checked, s.probes.answered, s.probes.sent,
		s.takeover("kill"), s.takeover("stop"), s.takeover("drain"), s.takeover("server"), s.seed)
}

// takeover returns how long partitions were silent: "takeover_kill=p50/p99(n)" for those
// that nothing else disturbed meanwhile, and "all=" for all of them.
func (s *storm) takeover(kind string) string {
	alone, all := s.probes.takeovers(kind)
	return fmt.Sprintf("takeover_%s=%s all=%s", kind, percentiles(alone), percentiles(all))
}

func percentiles(lengths []time.Duration) string {
	if len(lengths) == 0 {
		return "-"
	}
	slices.Sort(lengths)
	at := func(percent int) float64 { return lengths[(len(lengths)-1)*percent/100].Seconds() }
	return fmt.Sprintf("p50:%.2fs,p99:%.2fs,n:%d", at(50), at(99), len(lengths))
}

// summary returns the last line of a run.
func (s *storm) summary(e verify.Evidence, faults []verify.Fault) string {
	found := verify.Count(faults)
	return fmt.Sprintf("commands=%d kills=%d stops=%d lost=%d doubled=%d reordered=%d stuck=%d", len(e.Commands), s.crew.kills, len(e.Stops),
		found[verify.Lost], found[verify.Doubled], found[verify.Reordered], found[verify.Stuck])
}
