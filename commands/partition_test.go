package commands_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// randomName returns 1 to 63 letters that a name may have.
func randomName(random *rand.Rand) string {
	const inner, outer = "abcdefghijklmnopqrstuvwxyz0123456789-", 36
	name := make([]byte, 1+random.IntN(volume.MaxNameLength))
	for i := range name {
		name[i] = inner[random.IntN(len(inner))]
	}
	name[0], name[len(name)-1] = inner[random.IntN(outer)], inner[random.IntN(outer)]
	return string(name)
}

// TestPartitionOf_ManyKeys_IsTheServers: who sweeps a partition has to know its volumes.
func TestPartitionOf_ManyKeys_IsTheServers(t *testing.T) {
	const keys = 4000
	js := natstest.Start(t).JetStream(t)
	stream, err := js.CreateStream(t.Context(), commands.StreamConfig(1))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	wanted := map[string]bool{}
	for i := range keys {
		key := volume.Key{Project: volume.Project(randomName(random)), Name: volume.Name(randomName(random))}
		if i%2 == 0 { // names as people give them
			key = volume.Key{Project: "default", Name: volume.Name(fmt.Sprintf("db-%04d", i))}
		}
		if _, err := js.PublishAsync(commands.Subject(key, volume.VerbReconcile), nil); err != nil {
			t.Fatal(err)
		}
		wanted[commands.Address{Partition: commands.PartitionOf(key), Key: key, Verb: volume.VerbReconcile}.Subject()] = true
	}
	<-js.PublishAsyncComplete()
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("volume.command.>"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	for subject := range info.State.Subjects {
		if !wanted[subject] {
			t.Errorf("stored under %s, which is not what PartitionOf says", subject)
		}
		used[strings.Split(subject, ".")[2]]++
	}
	if len(info.State.Subjects) != len(wanted) || len(used) != commands.Partitions {
		t.Errorf("got %d subjects in %d partitions, want %d in %d", len(info.State.Subjects), len(used), len(wanted), commands.Partitions)
	}
}

func TestVolumeFilter_SelectsCommandsOfTheVolume(t *testing.T) {
	js := natstest.Start(t).JetStream(t)
	stream, err := js.CreateStream(t.Context(), commands.StreamConfig(1))
	if err != nil {
		t.Fatal(err)
	}
	one, other := volume.Key{Project: "default", Name: "db-01"}, volume.Key{Project: "default", Name: "db-02"}
	if _, err := js.Publish(t.Context(), commands.Subject(one, volume.VerbDelete), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(commands.VolumeFilter(one))); err != nil {
		t.Errorf("the volume's own: got %v, want the command", err)
	}
	if msg, err := stream.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(commands.VolumeFilter(other))); err == nil {
		t.Errorf("another volume's: got %s, want nothing", msg.Subject)
	}
}
