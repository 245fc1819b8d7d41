package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/internal/provision"
)

// maxLag is by how many operations a replica may be behind its leader, under load.
const maxLag = 1000

func checkReplicas(_ context.Context, e *examination) []Finding {
	var single, complete []string
	var findings []Finding
	for _, config := range provision.Configs(provision.Options{}) {
		answer := e.streams[config.Name]
		switch faults := replicaFindings(config.Name, answer); {
		case leaderless(answer.err):
			findings = append(findings, noLeader(config.Name))
		case answer.err != nil: // said by the check of the streams
		case len(faults) > 0:
			findings = append(findings, faults...)
		case answer.value.Config.Replicas <= 1:
			single = append(single, config.Name)
		default:
			complete = append(complete, fmt.Sprintf("%s %d", config.Name, answer.value.Config.Replicas))
		}
	}
	if len(complete) > 0 {
		findings = append(findings, note("replicas.complete", Finding{Text: "every replica is there and current: " + strings.Join(complete, ", ")}))
	}
	if len(single) == 0 {
		return findings
	}
	if e.conn.ConnectedClusterName() == "" {
		return append(findings, note("replicas.one_server", Finding{
			Object: e.conn.ConnectedServerName(),
			Text:   "the server is alone: as long as it is down nothing works, and what its disk loses is lost",
		}))
	}
	return append(findings, note("replicas.one_copy", Finding{
		Object: strings.Join(single, ", "), Found: "1 replica", Wanted: "3",
		Text: "one server of the cluster holds it: without that one nothing works, and what its disk loses is lost",
	}))
}

// The server's codes for a stream without a leader, and for one whose servers are all gone.
const (
	codeNoLeader jetstream.ErrorCode = 10008
	codeOffline  jetstream.ErrorCode = 10118
)

// leaderless reports whether a stream's error says that it has no leader. For a while after
// it was lost, nobody answers.
func leaderless(err error) bool {
	return code(err) == codeNoLeader || code(err) == codeOffline || errors.Is(err, context.DeadlineExceeded)
}

func noLeader(stream string) Finding {
	return note("replicas.no_leader", Finding{Object: objectOf(stream), Text: "it has no leader: nothing is read from it or stored in it"})
}

// replicaFindings tells which replicas of a stream are not well.
func replicaFindings(stream string, answer asked[jetstream.StreamInfo]) []Finding {
	cluster := answer.value.Cluster
	if answer.err != nil || cluster == nil {
		return nil
	}
	if cluster.Leader == "" {
		return []Finding{noLeader(stream)}
	}
	var findings []Finding
	replicas := slices.Clone(cluster.Replicas)
	slices.SortFunc(replicas, func(a, b *jetstream.PeerInfo) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range replicas {
		f := Finding{Object: objectOf(stream), Wanted: "current"}
		switch {
		case r.Offline:
			f.Found = r.Name + " offline"
			f.Text = fmt.Sprintf("its replica on %s is offline: one more loss and nothing can be stored", r.Name)
			findings = append(findings, note("replicas.offline", f))
		case !r.Current || r.Lag > maxLag:
			f.Found = fmt.Sprintf("%s %d operations behind", r.Name, r.Lag)
			f.Text = fmt.Sprintf("its replica on %s is not current: until it is, it does not count if another is lost", r.Name)
			findings = append(findings, note("replicas.behind", f))
		}
	}
	return findings
}
