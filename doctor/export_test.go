package doctor

import "github.com/nats-io/nats.go/jetstream"

// Matches reports whether a permission's pattern covers a subject.
func Matches(pattern, subject string) bool { return matches(pattern, subject) }

// ReplicaFindings tells how the replicas of a stream are.
func ReplicaFindings(stream string, info jetstream.StreamInfo) []Finding {
	return replicaFindings(stream, asked[jetstream.StreamInfo]{value: info})
}
