package commands_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// A field that the server fills in by itself would look like somebody's change later.
func TestStreamConfigs_ServerKeepsThemAsTheyAre(t *testing.T) {
	nc := startConnected(t)
	for _, want := range []jetstream.StreamConfig{commands.StreamConfig(1), commands.DeadLetterStreamConfig(1)} {
		info, err := createStream(t, nc, want).Info(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		got := info.Config
		got.Metadata = nil // the server's own version marks
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", want.Name, got, want)
		}
	}
}

func TestStreamConfig_StoresByPartition(t *testing.T) {
	nc := startConnected(t)
	stream, js := createStream(t, nc, commands.StreamConfig(1)), jetStream(t, nc)
	partitions := map[int]bool{}
	for i := range 100 {
		key := volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("v%d", i))}
		create, detach := publishStored(t, js, stream, key, volume.VerbCreate), publishStored(t, js, stream, key, volume.VerbDetach)
		if create.Partition != detach.Partition {
			t.Errorf("volume %s: partitions %d and %d", key, create.Partition, detach.Partition)
		}
		partitions[create.Partition] = true
	}
	if len(partitions) != commands.Partitions {
		t.Errorf("100 volumes lie in %d partitions, want all %d", len(partitions), commands.Partitions)
	}
	for partition := range commands.Partitions {
		_, err := stream.GetLastMsgForSubject(testContext(t), commands.PartitionFilter(partition))
		if err != nil {
			t.Errorf("partition %d: %v", partition, err)
		}
	}
	if _, err := stream.GetLastMsgForSubject(testContext(t), commands.PartitionFilter(commands.Partitions)); !errors.Is(err, jetstream.ErrMsgNotFound) {
		t.Errorf("a partition beyond the last: got %v, want %v", err, jetstream.ErrMsgNotFound)
	}
}

// publishStored publishes a command and returns the address under which it is stored.
func publishStored(t *testing.T, js jetstream.JetStream, stream jetstream.Stream, key volume.Key, verb volume.Verb) commands.Address {
	t.Helper()
	ack, err := js.PublishMsg(testContext(t), nats.NewMsg(commands.Subject(key, verb)))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetMsg(testContext(t), ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	address, err := commands.ParseSubject(stored.Subject)
	if err != nil || address.Key != key || address.Verb != verb {
		t.Fatalf("stored as %s: got %+v and %v, want %s and %s", stored.Subject, address, err, key, verb)
	}
	return address
}
