package commands

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams of this package.
const (
	StreamName           = "VOLUME_COMMANDS"
	DeadLetterStreamName = "VOLUME_DEAD_LETTERS"
)

// DedupeWindow is how long the command stream itself drops a second message with the
// same id: the shortest time that the server allows. A message dropped there never gets
// an answer, while one that is stored gets the first answer again from the volume's
// record, however late it comes.
const DedupeWindow = 100 * time.Millisecond

// unlimited is how a stream's configuration says that there is no limit.
const unlimited = -1

// StreamConfig returns the configuration of the command stream: a work queue on disk
// without limits, which inserts the partition into the subject. Every field that the
// server would fill in is set, so that a comparison with the configuration of an
// existing stream shows true differences only.
func StreamConfig(replicas int) jetstream.StreamConfig {
	config := unlimitedStream(commandPrefix+"*.*.*", replicas)
	config.Name = StreamName
	config.Description = "jetvol: commands to volumes, each until its worker has ended it"
	config.Retention = jetstream.WorkQueuePolicy
	config.Duplicates = DedupeWindow
	config.SubjectTransform = &jetstream.SubjectTransformConfig{
		Source:      commandPrefix + "*.*.*",
		Destination: fmt.Sprintf("%s{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}", commandPrefix, Partitions),
	}
	return config
}

func unlimitedStream(subjects string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Subjects:          []string{subjects},
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		Discard:           jetstream.DiscardNew,
		MaxMsgs:           unlimited,
		MaxBytes:          unlimited,
		MaxMsgSize:        unlimited,
		MaxConsumers:      unlimited,
		MaxMsgsPerSubject: unlimited,
		Compression:       jetstream.NoCompression,
	}
}
