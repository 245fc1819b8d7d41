// Package events is the audit trail: one event for each transition of each volume, in
// order, on the stream VOLUME_EVENTS, as CloudEvents 1.0 in JSON.
//
// # How an event gets onto the stream exactly once
//
// The transition lies in the outbox of the volume's record, written by the same
// compare-and-set that made it true. Its owner then publishes it to
// `volume.tx.<project>.<volume>.<event>`, which the stream stores as
// `volume.event.<project>.<volume>.<event>`, under the condition that the last event
// of the volume is still the one before it ([Publisher]). A repeat after a crash is
// therefore refused by the server, however late it comes, and needs no dedupe window.
//
// The stream republishes what it has stored to plain subscribers. Workers do not
// publish to `volume.event.>` directly because a plain subscriber of a subject also
// receives what the stream refuses.
//
// Services that only read import this package; with it they link nats.go and nothing else.
package events

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/volume"
)

// StreamName is the name of the event stream.
const StreamName = "VOLUME_EVENTS"

// Subjects of events: where workers publish, and where the stream stores and
// republishes what it accepted.
const (
	publishPrefix = "volume.tx."
	storedPrefix  = "volume.event."

	publishSubjects = publishPrefix + "*.*.*"
	storedSubjects  = storedPrefix + ">"
	storedTransform = storedPrefix + "{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}"
)

// dedupeWindow is the shortest that the server accepts. Nothing depends on it: the
// guard of [Publisher] makes events exactly once.
const dedupeWindow = 100 * time.Millisecond

// PublishSubject returns `volume.tx.<project>.<volume>.<event>`.
func PublishSubject(key volume.Key, event volume.Event) string {
	return publishPrefix + key.String() + "." + string(event)
}

// Subject returns `volume.event.<project>.<volume>.<event>`, where an event is found.
func Subject(key volume.Key, event volume.Event) string {
	return storedPrefix + key.String() + "." + string(event)
}

// volumeFilter matches all events of one volume. Every writer must use this very
// string as the guard's filter: a cluster tracks checks in flight by the literal text.
func volumeFilter(key volume.Key) string { return storedPrefix + key.String() + ".>" }

// LeastRetention is how long events are kept at least, if somebody bounds it: by then a worker
// has published what it stored, and whoever follows the events has seen them.
const LeastRetention = 24 * time.Hour

// StreamConfig returns the settings of VOLUME_EVENTS: append-only, kept for ever, on
// file. Who bounds the retention (max_age) takes checkpoints first, see package audit. Every field that the server would fill in is given, so that comparing wanted
// with existing settings shows real differences only.
func StreamConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                 StreamName,
		Description:          "jetvol: one event per transition of a volume",
		Subjects:             []string{publishSubjects},
		SubjectTransform:     &jetstream.SubjectTransformConfig{Source: publishSubjects, Destination: storedTransform},
		RePublish:            &jetstream.RePublish{Source: storedSubjects, Destination: storedSubjects},
		Retention:            jetstream.LimitsPolicy,
		Discard:              jetstream.DiscardNew,
		Storage:              jetstream.FileStorage,
		Replicas:             replicas,
		Duplicates:           dedupeWindow,
		MaxMsgs:              -1,
		MaxBytes:             -1,
		MaxMsgsPerSubject:    -1,
		MaxMsgSize:           -1,
		MaxConsumers:         -1,
		DenyDelete:           true,
		DenyPurge:            true,
		MaxAge:               0,
		ConsumerLimits:       jetstream.StreamConsumerLimits{},
		Compression:          jetstream.NoCompression,
		AllowDirect:          false, // reads must come from the leader: a stale last event would be a wrong guard
		DiscardNewPerSubject: false,
	}
}
