package doctor

import "github.com/nats-io/nats.go/jetstream"

// ReplicaFindings tells how the replicas of a stream are.
func ReplicaFindings(stream string, info jetstream.StreamInfo) []Finding {
	return replicaFindings(stream, asked[jetstream.StreamInfo]{value: info})
}
