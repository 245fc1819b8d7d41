package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
)

func checkWorkers(ctx context.Context, e *examination) []Finding {
	var findings []Finding
	switch {
	case kv.Unreadable(e.leasesErr):
		findings = append(findings, note("workers.unreadable", Finding{Text: e.leasesErr.Error()}))
	case e.leasesErr != nil:
		return []Finding{note("workers.unknown", Finding{Text: "the leases: " + why(e.leasesErr)})}
	}
	if len(e.leases) == 0 {
		return append(findings, note("workers.none", Finding{
			Found: "0 workers", Wanted: "1 or more", Text: "no worker is alive: commands are stored and wait",
		}))
	}
	for _, entry := range e.leases {
		lease := entry.Value
		f := Finding{Object: lease.Worker, Text: fmt.Sprintf("alive since %s, serves partitions %s", lease.JoinedAt.Format(time.RFC3339), numbers(lease.Partitions))}
		if lease.Draining {
			f.Text = "drains: it takes nothing any more, and is not done with " + count(len(lease.Busy), "volume")
			findings = append(findings, note("workers.draining", f))
			continue
		}
		findings = append(findings, note("workers.live", f))
	}
	return append(append(findings, e.ownershipFindings()...), e.versionFindings(ctx)...)
}

// ownershipFindings tells partitions that nobody serves, or more than one.
func (e *examination) ownershipFindings() []Finding {
	owners := e.owners()
	var unowned []int
	var findings []Finding
	for partition := range commands.Partitions {
		if len(owners[partition]) == 0 {
			unowned = append(unowned, partition)
		}
		if len(owners[partition]) > 1 {
			findings = append(findings, note("workers.twice", Finding{
				Object: fmt.Sprintf("partition %d", partition), Found: strings.Join(owners[partition], ", "), Wanted: "one worker",
				Text: "several workers say to serve it; the records' compare-and-set keeps them apart",
			}))
		}
	}
	if len(unowned) > 0 {
		findings = append(findings, note("workers.unowned", Finding{
			Object: "partitions " + numbers(unowned), Found: "no worker", Wanted: "one worker",
			Text: "no worker takes commands from them: the volumes there wait",
		}))
	}
	return findings
}

// owners returns the workers that say to serve each partition.
func (e *examination) owners() map[int][]string {
	owners := map[int][]string{}
	for _, entry := range e.leases {
		for _, partition := range entry.Value.Partitions {
			owners[partition] = append(owners[partition], entry.Value.Worker)
		}
	}
	return owners
}

// numbers returns "0-3, 7".
func numbers(sorted []int) string {
	var parts []string
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		part := fmt.Sprint(sorted[i])
		if end > i {
			part = fmt.Sprintf("%d-%d", sorted[i], sorted[end])
		}
		parts, i = append(parts, part), end+1
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// servicePing asks all instances of the NATS micro service jetvol for their versions.
const servicePing = "$SRV.PING.jetvol"

// buildKey is where an instance tells a version that is no semantic one.
const buildKey = "build"

// serviceSilence is how long the answers of further instances are waited for.
const serviceSilence = 200 * time.Millisecond

// versionFindings tells versions that differ. Workers that offer no service tell none.
func (e *examination) versionFindings(ctx context.Context) []Finding {
	versions := map[string]int{}
	for _, answer := range e.requestMany(ctx, servicePing) {
		var instance micro.Ping
		if err := json.Unmarshal(answer.Data, &instance); err != nil {
			continue
		}
		versions[cmp.Or(instance.Metadata[buildKey], instance.Version)]++
	}
	if len(versions) < 2 {
		return nil
	}
	var found []string
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		found = append(found, fmt.Sprintf("%d of %s", versions[version], version))
	}
	return []Finding{note("workers.versions", Finding{
		Found: strings.Join(found, ", "), Wanted: "one version",
		Text: "workers of several versions run: an older one refuses records that a newer one has written in a new form",
	})}
}

// requestMany returns all answers to a question, until nobody has answered for a moment.
func (e *examination) requestMany(ctx context.Context, subject string) []*nats.Msg {
	answers, err := e.send(ctx, subject, nil)
	if err != nil {
		return nil
	}
	defer func() { _ = answers.Unsubscribe() }()
	var all []*nats.Msg
	for err == nil {
		var msg *nats.Msg
		silence, cancel := context.WithTimeout(ctx, serviceSilence)
		msg, err = answers.NextMsgWithContext(silence)
		cancel()
		if err == nil {
			all = append(all, msg)
		}
	}
	return all
}
