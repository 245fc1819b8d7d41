package doctor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
)

// nearlyFull is the part of MaxAckPending, in percent, from which on it is told.
const nearlyFull = 90

func checkConsumers(ctx context.Context, e *examination) []Finding {
	if err := cmp.Or(e.streams[commands.StreamName].err, e.consumers.err); err != nil {
		return []Finding{note("consumers.unknown", Finding{Text: "the consumers of " + commands.StreamName + ": " + why(err)})}
	}
	found := map[string]*jetstream.ConsumerInfo{}
	for _, info := range e.consumers.value.Consumers {
		found[info.Name] = info
	}
	owners := e.owners()
	var findings []Finding
	var missing []int
	var waiting, running uint64
	for partition := range commands.Partitions {
		name := fmt.Sprintf("partition-%d", partition)
		info := found[name]
		if info == nil {
			missing = append(missing, partition)
			continue
		}
		waiting += info.NumPending
		running += uint64(max(0, info.NumAckPending))
		findings = append(findings, consumerFindings(partition, info, len(owners[partition]) > 0)...)
		if info.NumPending > 0 || info.NumAckPending > 0 {
			findings = append(findings, e.oldest(ctx, partition)...)
		}
	}
	if len(missing) > 0 {
		findings = append(findings, note("consumers.missing", Finding{
			Object: "partitions " + numbers(missing), Found: "no consumer", Wanted: "one each", Text: "no worker has ever served them",
		}))
	}
	if len(findings) == 0 {
		findings = append(findings, note("consumers.fine", Finding{Text: fmt.Sprintf("all %d consumers are as they should be", commands.Partitions)}))
	}
	if waiting+running > 0 {
		findings = append(findings, note("consumers.lag", Finding{
			Found: count(waiting+running, "command"), Text: fmt.Sprintf("%s wait, %d are worked on", count(waiting, "command"), running),
		}))
	}
	return findings
}

func consumerFindings(partition int, info *jetstream.ConsumerInfo, owned bool) []Finding {
	var findings []Finding
	add := func(code, found, wanted, text string) {
		findings = append(findings, note(code, Finding{Object: info.Name, Found: found, Wanted: wanted, Text: text}))
	}
	for _, s := range consumerSettings(partition, info.Config) {
		if s.found != s.wanted {
			add("consumers.settings", s.name+" "+s.found, s.name+" "+s.wanted, fmt.Sprintf("%s is %s, wanted %s: %s", s.name, s.found, s.wanted, s.means))
		}
	}
	if info.Paused {
		add("consumers.paused", "paused for another "+info.PauseRemaining.Round(time.Second).String(), "running",
			"somebody has paused it: the partition's commands wait")
	}
	if owned && !info.Paused && info.NumWaiting == 0 && !pinned(info) {
		add("consumers.no_interest", "no pull", "a pull of its worker",
			"a worker says to serve the partition and does not ask for its commands; right after a takeover this passes")
	}
	if most := info.Config.MaxAckPending; most > 0 && info.NumAckPending*100 >= most*nearlyFull {
		add("consumers.full", fmt.Sprintf("%d not ended", info.NumAckPending), fmt.Sprintf("less than %d %% of %d", nearlyFull, most),
			fmt.Sprintf("%d commands are taken and not ended, %d more wait: at %d all volumes of the partition wait", info.NumAckPending, info.NumPending, most))
	}
	return findings
}

func pinned(info *jetstream.ConsumerInfo) bool {
	for _, group := range info.PriorityGroups {
		if group.PinnedClientID != "" {
			return true
		}
	}
	return false
}

// consumerSetting is a setting on which the order or the safety of commands depends.
type consumerSetting struct{ name, found, wanted, means string }

func consumerSettings(partition int, config jetstream.ConsumerConfig) []consumerSetting {
	return []consumerSetting{
		{"max_deliver", fmt.Sprint(config.MaxDeliver), "-1", "the server gives a command up that was delivered so often"},
		{"ack_policy", config.AckPolicy.String(), jetstream.AckExplicitPolicy.String(), "a command may be taken for done that is not"},
		{"priority_policy", fmt.Sprint(config.PriorityPolicy), fmt.Sprint(jetstream.PriorityPolicyPinned), "commands may go to two workers at once"},
		{"filter_subject", config.FilterSubject, commands.PartitionFilter(partition), "it delivers other commands than its partition's"},
	}
}

// oldest tells of the partition's oldest command that has not ended, if it is old.
func (e *examination) oldest(ctx context.Context, partition int) []Finding {
	answer := e.firstMessage(ctx, commands.StreamName, commands.PartitionFilter(partition))
	m := answer.value.Message
	if answer.err != nil || m.Time.IsZero() {
		return nil
	}
	age := e.serverTime(commands.StreamName).Sub(m.Time)
	if age < e.OldCommand {
		return nil
	}
	address, _ := commands.ParseSubject(m.Subject)
	return []Finding{note("consumers.old_command", Finding{
		Object: address.Key.String(), Found: age.Round(time.Second).String(), Wanted: "less than " + e.OldCommand.String(),
		Text: fmt.Sprintf("its %s, command sequence %d, was stored %s ago and has not ended", address.Verb, m.Sequence, age.Round(time.Second)),
	})}
}

// serverTime returns what the clock of the stream's server shows, or about that.
func (e *examination) serverTime(stream string) time.Time {
	answer := e.streams[stream]
	if answer.err != nil || answer.value.TimeStamp.IsZero() {
		return e.Now()
	}
	return answer.value.TimeStamp.Add(e.Now().Sub(answer.received))
}
