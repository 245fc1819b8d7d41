package doctor

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dustin/go-humanize"
)

// nearFull is the part of a limit, in percent, from which on it is told.
const nearFull = 80

func checkAccount(_ context.Context, e *examination) []Finding {
	if e.account.err != nil {
		return []Finding{note("account.unknown", Finding{Text: "the account's limits: " + why(e.account.err)})}
	}
	info := e.account.value
	findings := tierFindings("", info.Tier)
	for name, tier := range info.Tiers {
		findings = append(findings, tierFindings("tier "+name, tier)...)
	}
	if len(findings) == 0 {
		findings = append(findings, note("account.room", Finding{Text: fmt.Sprintf(
			"%s stored in %d streams, %s in memory; no limit is near", size(info.Store), info.Streams, size(info.Memory))}))
	}
	return findings
}

func tierFindings(name string, tier jetstream.Tier) []Finding {
	var findings []Finding
	for _, limit := range []struct {
		what       string
		used, most int64
		bytes      bool
	}{
		{"file storage", toInt(max(tier.Store, tier.ReservedStore)), tier.Limits.MaxStore, true},
		{"memory", toInt(max(tier.Memory, tier.ReservedMemory)), tier.Limits.MaxMemory, true},
		{"streams", int64(tier.Streams), int64(tier.Limits.MaxStreams), false},
		{"consumers", int64(tier.Consumers), int64(tier.Limits.MaxConsumers), false},
	} {
		if !isNearFull(limit.used, limit.most) {
			continue
		}
		found, most := fmt.Sprint(limit.used), fmt.Sprint(limit.most)
		if limit.bytes {
			found, most = size(limit.used), size(limit.most)
		}
		findings = append(findings, note("account.near_full", Finding{
			Object: limit.what, Found: found, Wanted: fmt.Sprintf("less than %d %% of %s", nearFull, most),
			Text: fmt.Sprintf("%s of %s used%s", found, most, inTier(name)),
		}))
	}
	return findings
}

func inTier(name string) string {
	if name == "" {
		return ""
	}
	return " in " + name
}

// isNearFull reports whether much of a limit is used. A limit that is not positive is none.
func isNearFull(used, most int64) bool {
	return most > 0 && float64(used) >= float64(most)*nearFull/100
}

func toInt(n uint64) int64 { return int64(min(n, 1<<62)) }

// size returns a number of bytes as people read it: "1.5 GiB".
func size[N int64 | uint64](n N) string { return humanize.IBytes(uint64(max(0, n))) }
