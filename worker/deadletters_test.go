package worker_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func (s *system) deadLetters() *commands.DeadLetters {
	s.t.Helper()
	letters, err := commands.NewDeadLetters(s.nc, limit)
	s.must(err)
	return letters
}

// dead returns all dead letters, with their payloads.
func (s *system) dead() []commands.DeadLetter {
	s.t.Helper()
	listed, _, err := s.deadLetters().List(s.ctx, commands.DeadFilter{})
	s.must(err)
	for i := range listed {
		listed[i], err = s.deadLetters().Load(s.ctx, listed[i])
		s.must(err)
	}
	return listed
}

// onlyDead returns the one dead letter that there is.
func (s *system) onlyDead() commands.DeadLetter {
	s.t.Helper()
	all := s.dead()
	if len(all) != 1 {
		s.t.Fatalf("got %d dead letters, want 1: %+v", len(all), all)
	}
	return all[0]
}

// awaitDead waits until the stream of dead letters has stored that many messages.
func (s *system) awaitDead(messages int) {
	s.t.Helper()
	consumer, err := s.js.OrderedConsumer(s.ctx, commands.DeadLetterStreamName, jetstream.OrderedConsumerConfig{})
	s.must(err)
	stored, err := consumer.Messages()
	s.must(err)
	defer stored.Stop()
	for range messages {
		_, err := stored.Next(jetstream.NextContext(s.ctx))
		s.must(err)
	}
}

func (s *system) replay(l commands.DeadLetter, how commands.Replay) commands.Receipt {
	s.t.Helper()
	receipt, err := s.deadLetters().Replay(s.ctx, l, how)
	s.must(err)
	return receipt
}

// What a worker buried is there byte for byte, and once corrected is carried out.
func TestWorker_BuriedCommand_ReplayedWithACorrectedPayload_IsDone(t *testing.T) {
	junk := make([]byte, 1<<20)
	_, err := rand.Read(junk)
	must(t, err)
	for name, c := range map[string]struct {
		payload string
		header  nats.Header
		parts   int
	}{
		"typing error":     {`{"sise":"1MiB"}`, nats.Header{"X-Team": {"storage"}, commands.HeaderActor: {"zoe"}}, 1},
		"greatest payload": {string(junk[:len(junk)-256]), nats.Header{commands.HeaderActor: {"zoe"}}, 2},
		"greatest header":  {`{`, nats.Header{"X-A": {strings.Repeat("a", 65000)}, commands.HeaderActor: {"zoe"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			c.header.Set(commands.HeaderID, "order-1")
			s.hostile("volume.command.default.v.create", c.header, []byte(c.payload))
			l := s.onlyDead()
			if !bytes.Equal(l.Command.Data, []byte(c.payload)) || l.Parts != c.parts || l.Attempts != 1 || l.CommandID() != "order-1" {
				t.Errorf("got %d bytes in %d parts, %d attempts, command %s", len(l.Command.Data), l.Parts, l.Attempts, l.CommandID())
			}
			for name, values := range c.header {
				if got := l.Command.Header.Get(name); got != values[0] {
					t.Errorf("header %s: got %.80q, want %.80q", name, got, values[0])
				}
			}
			if receipt := s.replay(l, commands.Replay{Payload: []byte(`{"size":"1MiB"}`)}); receipt.CommandID != "order-1" {
				t.Errorf("replayed as %s", receipt.CommandID)
			}
			if e := s.awaitEvent("v", ofCommand("order-1")); e.Event != volume.EventReady || e.Actor != "zoe" {
				t.Errorf("it ended with %s by %s", e.Event, e.Actor)
			}
			if left := s.dead(); len(left) != 0 {
				t.Errorf("%d dead letters are left", len(left))
			}
			s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
		})
	}
}

// A replay that was interrupted and begun again does nothing twice.
func TestWorker_ReplayTwice_CarriedOutOnce(t *testing.T) {
	for name, header := range map[string]nats.Header{"with an id": {commands.HeaderID: {"order-1"}}, "without": {}} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.hostile("volume.command.default.v.create", header, []byte(`{"sise":1}`))
			l := s.onlyDead()
			how := commands.Replay{Payload: []byte(`{"size":"1MiB"}`), Keep: true}
			first := s.replay(l, how)
			s.awaitEvent("v", ofCommand(first.CommandID))
			how.Keep = false
			if second := s.replay(l, how); second.CommandID != first.CommandID {
				t.Errorf("replayed as %s and as %s", first.CommandID, second.CommandID)
			}
			s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
			s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventReconciled)
			if left := s.dead(); len(left) != 0 {
				t.Errorf("%d dead letters are left", len(left))
			}
		})
	}
}

// A command that is sent twice, both times wrong, is two letters; the second replay gets
// the first one's answer.
func TestWorker_SameCommandBuriedTwice_IsTwoLettersAndOneCommand(t *testing.T) {
	s := start(t)
	id := nats.Header{commands.HeaderID: {"order-1"}}
	s.hostile("volume.command.default.v.create", id, []byte(`{"sise":1}`))
	s.passDedupeWindow()
	s.hostile("volume.command.default.v.create", id, []byte(`{"sise":1}`))
	all := s.dead()
	if len(all) != 2 {
		t.Fatalf("got %d letters, want 2", len(all))
	}
	for _, l := range all {
		receipt := s.replay(l, commands.Replay{Payload: []byte(`{"size":"1MiB"}`)})
		s.awaitEvent("v", ofCommand(receipt.CommandID))
	}
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventReconciled)
}

// passDedupeWindow returns when the command stream takes an id again. There is no other
// sign of that.
func (s *system) passDedupeWindow() {
	select {
	case <-time.After(2 * commands.DedupeWindow):
	case <-s.ctx.Done():
	}
}

// The server tells of a deleted command by an advisory. When the worker itself deletes
// one, that is no second letter.
func TestWorker_OwnBurial_IsOneLetter(t *testing.T) {
	s := start(t)
	s.raw("volume.command.default.v.create", nats.Header{"Status": {"404"}}, "")
	s.hostile("volume.command.default.v.create", nil, []byte(`{"sise":1}`))
	s.awaitDead(3)
	all := s.dead()
	if len(all) != 2 || all[0].Kind != commands.DeadBuried || all[1].Kind != commands.DeadBuried {
		t.Fatalf("got %+v, want two buried ones", all)
	}
	for _, l := range all {
		must(t, s.deadLetters().Drop(s.ctx, l))
	}
	stream, err := s.js.Stream(s.ctx, commands.DeadLetterStreamName)
	must(t, err)
	if left := stream.CachedInfo().State.Msgs; left != 0 {
		t.Errorf("%d messages are left", left)
	}
}

// foreign takes a command from a stopped worker's consumer, as somebody with the nats
// CLI could.
func (s *system) foreign(sequence uint64, change func(*jetstream.ConsumerConfig)) jetstream.Msg {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	s.must(err)
	stored, err := stream.GetMsg(s.ctx, sequence)
	s.must(err)
	address, err := commands.ParseSubject(stored.Subject)
	s.must(err)
	consumer, err := stream.Consumer(s.ctx, fmt.Sprintf("partition-%d", address.Partition))
	s.must(err)
	config := consumer.CachedInfo().Config
	change(&config)
	consumer, err = stream.UpdateConsumer(s.ctx, config)
	s.must(err)
	batch, err := consumer.Fetch(1, jetstream.FetchPriorityGroup(config.PriorityGroups[0]))
	s.must(err)
	msg, taken := <-batch.Messages()
	if !taken {
		s.t.Fatalf("no command: %v", batch.Error())
	}
	return msg
}

func asItIs(*jetstream.ConsumerConfig) {}

func onlyOnce(c *jetstream.ConsumerConfig) { c.MaxDeliver, c.AckWait = 1, 50*time.Millisecond }

func (s *system) orphan() (commands.Receipt, commands.DeadLetter) {
	s.t.Helper()
	s.must(s.stop())
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "order-1", Actor: "zoe"})
	s.foreign(receipt.Sequence, onlyOnce)
	s.awaitDead(1)
	l := s.onlyDead()
	if l.Kind != commands.DeadMaxDeliveries || l.Lost || l.Attempts != 1 || l.CommandID() != "order-1" || string(l.Command.Data) != `{"size":1048576}` {
		s.t.Fatalf("got %+v", l)
	}
	return receipt, l
}

// wantQueued checks which commands stand in the command stream.
func (s *system) wantQueued(first uint64, messages uint64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	s.must(err)
	if state := stream.CachedInfo().State; state.Msgs != messages || messages > 0 && state.FirstSeq != first {
		s.t.Errorf("%d commands from %d, want %d from %d", state.Msgs, state.FirstSeq, messages, first)
	}
}

func TestWorker_MaxDeliveries_ReplayedInPlaceOfTheOriginal(t *testing.T) {
	s := start(t)
	receipt, l := s.orphan()
	again := s.replay(l, commands.Replay{})
	s.wantQueued(again.Sequence, 1)
	if again.Sequence <= receipt.Sequence || len(s.dead()) != 0 {
		t.Errorf("replayed %+v as %+v, left %+v", receipt, again, s.dead())
	}
	s.startWorker()
	s.awaitEvent("v", ofCommand("order-1"))
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}

func TestWorker_MaxDeliveries_DroppedWithTheOriginal(t *testing.T) {
	s := start(t)
	_, l := s.orphan()
	must(t, s.deadLetters().Drop(s.ctx, l))
	s.wantQueued(0, 0)
	if left := s.dead(); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}

// A worker sets its consumers right: what nobody delivered is carried out then, and its
// letter tells that there is nothing left to replay.
func TestWorker_MaxDeliveries_CarriedOutAfterAll(t *testing.T) {
	s := start(t)
	s.orphan()
	s.startWorker()
	s.awaitEvent("v", ofCommand("order-1"))
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	l := s.onlyDead()
	if _, err := s.deadLetters().Replay(s.ctx, l, commands.Replay{}); !l.Lost || !errors.Is(err, volume.ErrPreconditionFailed) {
		t.Errorf("got %+v, replay %v", l, err)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventReconciled)
}

func TestWorker_TerminatedBySomebodyElse_IsListedAndCannotBeReplayed(t *testing.T) {
	s := start(t)
	must(t, s.stop())
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "order-1"})
	msg := s.foreign(receipt.Sequence, asItIs)
	must(t, s.nc.Publish(msg.Reply(), []byte("+TERM by hand")))
	s.awaitDead(1)
	l := s.onlyDead()
	if l.Kind != commands.DeadTerminated || !l.Lost || l.Command.Sequence != receipt.Sequence || !strings.Contains(l.Reason, "by hand") {
		t.Errorf("got %+v", l)
	}
	if _, err := s.deadLetters().Replay(s.ctx, l, commands.Replay{}); !errors.Is(err, volume.ErrPreconditionFailed) {
		t.Errorf("replay: got %v, want %v", err, volume.ErrPreconditionFailed)
	}
	must(t, s.deadLetters().Drop(s.ctx, l))
	if left := s.dead(); len(left) != 0 {
		t.Errorf("left %+v", left)
	}
}
