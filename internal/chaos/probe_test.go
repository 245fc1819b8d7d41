package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/internal/natstest"
	"github.com/jetvol/jetvol/volume"
)

// The server must put each probe into the partition that it is taken to be in.
func TestProbeNames_OnePerPartition_AsTheServerSays(t *testing.T) {
	server := natstest.Start(t)
	js := server.JetStream(t)
	stream, err := js.CreateStream(t.Context(), commands.StreamConfig(1))
	if err != nil {
		t.Fatal(err)
	}
	for partition, name := range probeNames() {
		key := volume.Key{Project: project, Name: name}
		ack, err := js.Publish(t.Context(), commands.Subject(key, volume.VerbCreate), nil)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := stream.GetMsg(t.Context(), ack.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		address, err := commands.ParseSubject(msg.Subject)
		if err != nil || address.Partition != partition {
			t.Errorf("%s: got partition %d, %v, want %d", name, address.Partition, err, partition)
		}
	}
}

func TestProbes_AnswersAfterADisturbance_EndItsGap(t *testing.T) {
	p := &probes{}
	answer := func(partition int, sent time.Time) {
		p.take(&nats.Msg{Data: fmt.Appendf(nil, `{"command_id":"probe/%d/1/%d","outcome":"valid"}`, partition, sent.UnixNano())})
	}
	early := time.Now()
	p.watch("kill", []int{3, 5})
	answer(3, early) // sent before: proves nothing
	answer(4, time.Now())
	if alone, all := p.takeovers("kill"); len(alone)+len(all) > 0 {
		t.Errorf("got %v, %v before any answer that counts", alone, all)
	}
	answer(3, time.Now())
	p.disturb()
	answer(5, time.Now())
	answer(5, time.Now()) // the first one counts
	if alone, all := p.takeovers("kill"); len(alone) != 1 || len(all) != 2 {
		t.Errorf("got %v alone and %v in all, want 1 and 2", alone, all)
	}
	if p.answered != 5 {
		t.Errorf("got %d answers, want 5", p.answered)
	}
}

func TestProbes_PartitionThatDoesNotAnswer_IsAskedLess(t *testing.T) {
	p := &probes{}
	asked := func(from, to int) (times int) {
		for round := from; round < to; round++ {
			if p.due(3, round) {
				times++
			}
		}
		return times
	}
	if got, want := asked(0, 1+probesAhead), 1+probesAhead; got != want {
		t.Errorf("first rounds: asked %d times, want %d", got, want)
	}
	if got, want := asked(100, 200), 100/slowRound; got != want {
		t.Errorf("after silence: asked %d times, want %d", got, want)
	}
	p.take(&nats.Msg{Data: []byte(`{"command_id":"probe/3/190/1","outcome":"valid"}`)})
	if got, want := asked(200, 220), 20; got != want {
		t.Errorf("after an answer: asked %d times, want %d", got, want)
	}
}
