package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// mirrored are the streams whose writes the ceiling makes.
var mirrored = []string{commands.StreamName, events.StreamName, "KV_" + kv.VolumesBucket}

// renaming turns jetvol's names into those of the ceiling, of the same length.
var renaming = strings.NewReplacer(
	"KV_"+kv.VolumesBucket, "KV_ceiling",
	"$KV."+kv.VolumesBucket+".", "$KV.ceiling.",
	"VOLUME_", "LIMITS_",
	"volume.command.", "limits.command.",
	"volume.tx.", "limits.tx.",
	"volume.event.", "limits.event.",
)

// renamed returns a copy of v in which every name is the ceiling's.
func renamed[T any](v T) (copied T, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return copied, err
	}
	// Names hold nothing that JSON writes otherwise but the > at their end.
	plain := bytes.ReplaceAll(text, []byte(`\u003e`), []byte(">"))
	return copied, json.Unmarshal([]byte(renaming.Replace(string(plain))), &copied)
}

// mirror makes the ceiling's streams and consumers as jetvol's are now, and returns the names of
// those streams that it has made, also with an error. It returns the error of [vacant].
func mirror(ctx context.Context, js jetstream.JetStream) (made []string, err error) {
	if err := vacant(ctx, js); err != nil {
		return nil, err
	}
	for _, name := range mirrored {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return made, fmt.Errorf("stream %s: %w", name, err)
		}
		config, err := renamed(stream.CachedInfo().Config)
		if err != nil {
			return made, err
		}
		config.Metadata = nil // the server's own
		_, err = js.CreateStream(ctx, config)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // whose answer is lost may have been made
			made = append(made, config.Name)
		}
		if err != nil {
			return made, fmt.Errorf("make stream %s: %w", config.Name, err)
		}
	}
	return made, mirrorConsumers(ctx, js)
}

// vacant returns [volume.ErrPreconditionFailed] if one of the ceiling's streams is there: another
// bench uses it, or has left it.
func vacant(ctx context.Context, js jetstream.JetStream) error {
	for _, name := range mirrored {
		limit := renaming.Replace(name)
		_, err := js.Stream(ctx, limit)
		if err == nil {
			return volume.Errorf(volume.ErrPreconditionFailed,
				"the server has a stream %s: another bench uses it, or was killed before it could delete it; if none runs, delete it: nats stream rm -f %s", limit, limit)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("stream %s: %w", limit, err)
		}
	}
	return nil
}

func mirrorConsumers(ctx context.Context, js jetstream.JetStream) error {
	for partition := range commands.Partitions {
		consumer, err := js.Consumer(ctx, commands.StreamName, consumerName(partition))
		if err != nil {
			return fmt.Errorf("consumer of partition %d: %w", partition, err)
		}
		config, err := renamed(consumer.CachedInfo().Config)
		if err != nil {
			return err
		}
		config.Metadata = nil
		if _, err := js.CreateConsumer(ctx, renaming.Replace(commands.StreamName), config); err != nil {
			return fmt.Errorf("make consumer of partition %d: %w", partition, err)
		}
	}
	return nil
}

// consumerName is what workers call the consumer of a partition.
func consumerName(partition int) string { return fmt.Sprintf("partition-%d", partition) }

// unmirror deletes streams that mirror has made, whatever has become of the run. What jetvol has
// stored stays, as it does for everybody.
func unmirror(js jetstream.JetStream, made []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	for _, name := range made {
		err := js.DeleteStream(ctx, name)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete stream %s: %w", name, err)
		}
	}
	return nil
}

// counted returns what the server has about a project: of jetvol, or with the names of the
// ceiling.
func counted(ctx context.Context, js jetstream.JetStream, project volume.Project, rename func(string) string) (stored, error) {
	var got stored
	queue, err := js.Stream(ctx, rename(commands.StreamName))
	if err != nil {
		return got, err
	}
	filter := rename(fmt.Sprintf("volume.command.*.%s.*.*", project))
	info, err := queue.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return got, err
	}
	for _, n := range info.State.Subjects {
		got.commands += int(n) //nolint:gosec // a benchmark has not that many
	}
	for _, part := range []struct {
		stream, filter string
		into           *int
	}{
		{"KV_" + kv.VolumesBucket, fmt.Sprintf("$KV.%s.%s.>", kv.VolumesBucket, project), &got.records},
		{events.StreamName, fmt.Sprintf("volume.event.%s.>", project), &got.events},
	} {
		// The server counts what a new consumer is going to get, without sending it.
		consumer, err := js.CreateConsumer(ctx, rename(part.stream), jetstream.ConsumerConfig{
			FilterSubject: rename(part.filter), DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true,
		})
		if err != nil {
			return got, err
		}
		info := consumer.CachedInfo()
		*part.into = int(info.NumPending) //nolint:gosec // a benchmark has not that many
		if err := js.DeleteConsumer(ctx, rename(part.stream), info.Name); err != nil {
			return got, err
		}
	}
	return got, nil
}

// bytesStored is what the named streams hold.
func bytesStored(ctx context.Context, js jetstream.JetStream, streams ...string) (uint64, error) {
	var sum uint64
	for _, name := range streams {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return 0, err
		}
		sum += stream.CachedInfo().State.Bytes
	}
	return sum, nil
}
