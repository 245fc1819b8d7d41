package kv

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The names of the buckets. The stream of a bucket is KV_<bucket>.
const (
	VolumesBucket     = "volumes"
	OutcomesBucket    = "outcomes"
	LeasesBucket      = "leases"
	SnapshotsBucket   = "snapshots"
	CheckpointsBucket = "checkpoints"
	DriftBucket       = "drift"
	QuotasBucket      = "quotas"
)

// DefaultOutcomeRetention is how long an outcome is kept after it left its volume's
// record, and so how late a repeated command still gets its first answer.
const DefaultOutcomeRetention = 7 * 24 * time.Hour

// MarkerTTL is how long the server's own marker of an expired record stays. A watcher
// that is away for longer has to read the bucket anew to notice the expiry.
const MarkerTTL = time.Hour

// duplicateWindow is the server's default. Compare-and-set needs no message ids; the
// value is written out so that a comparison with an existing stream shows no difference.
const duplicateWindow = 2 * time.Minute

// VolumesConfig returns the stream of the bucket of volume records: one revision for
// each key, tombstones that may expire ([TTL]) and a marker in their place.
func VolumesConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(VolumesBucket, replicas)
	config.Description = "jetvol: volume records, by <project>.<volume>"
	config.AllowMsgTTL = true
	config.SubjectDeleteMarkerTTL = MarkerTTL
	return config
}

// OutcomesConfig returns the stream of the bucket of command outcomes, which expire
// without a marker after retention; [DefaultOutcomeRetention] if that is not positive.
func OutcomesConfig(replicas int, retention time.Duration) jetstream.StreamConfig {
	if retention <= 0 {
		retention = DefaultOutcomeRetention
	}
	config := bucketConfig(OutcomesBucket, replicas)
	config.Description = "jetvol: outcomes of commands, by <project>.<volume>.<command hash>"
	config.MaxAge = retention
	config.Duplicates = min(duplicateWindow, retention)
	return config
}

// leaseMarkerTTL is how long the server's marker of an expired lease stays.
const leaseMarkerTTL = time.Minute

// LeasesConfig returns the stream of the bucket of leases, which expire unless they are
// renewed ([TTL]) and leave a marker, so that watchers are told.
func LeasesConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(LeasesBucket, replicas)
	config.Description = "jetvol: leases of workers, by worker.<id>"
	config.AllowMsgTTL = true
	config.SubjectDeleteMarkerTTL = leaseMarkerTTL
	return config
}

// SnapshotsConfig returns the stream of the bucket of snapshots and clones, which are
// changed several at a time ([Batch]). A marker that expires leaves no other one in its
// place: nobody watches this bucket.
func SnapshotsConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(SnapshotsBucket, replicas)
	config.Description = "jetvol: snapshots and clones, by <project>.e.<volume>.<snapshot>"
	config.AllowMsgTTL = true
	config.AllowAtomicPublish = true
	return config
}

// CheckpointsConfig returns the stream of the bucket of checkpoints: where an audit left each
// volume. They are written in batches, so that two audits do not mix theirs.
func CheckpointsConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(CheckpointsBucket, replicas)
	config.Description = "jetvol: checkpoints of audits, by <slot>.<project>.<volume>"
	config.AllowAtomicPublish = true
	return config
}

// DriftConfig returns the stream of the bucket of findings: how backends differ from the
// records. What is found no more leaves a marker that expires, so that watchers are told.
func DriftConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(DriftBucket, replicas)
	config.Description = "jetvol: how backends differ from records, by <project>.<volume>"
	config.AllowMsgTTL = true
	return config
}

// QuotasConfig returns the stream of the bucket of quotas, one ledger for each project that
// has one. Every worker watches it.
func QuotasConfig(replicas int) jetstream.StreamConfig {
	config := bucketConfig(QuotasBucket, replicas)
	config.Description = "jetvol: quotas and what is used of them, by <project>"
	return config
}

// bucketConfig is what makes a stream a key-value bucket, with every value spelled out
// that the server would otherwise fill in.
func bucketConfig(bucket string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName(bucket),
		Subjects:          []string{recordSubject(bucket, ">")},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          max(replicas, 1),
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		Compression:       jetstream.NoCompression,
		AllowDirect:       true,
		AllowRollup:       true,
		DenyDelete:        true,
	}
}

func streamName(bucket string) string { return "KV_" + bucket }

func recordSubject(bucket, key string) string { return "$KV." + bucket + "." + key }
