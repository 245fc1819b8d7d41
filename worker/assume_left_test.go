package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// TestWorker_AssumedRecordLeft_NextOwnerTakesItAway: the worker died after it had stored the
// record and before it was told that the name has events. Whatever command comes next finds
// the name as it was.
func TestWorker_AssumedRecordLeft_NextOwnerTakesItAway(t *testing.T) {
	for _, life := range earlierLives() {
		for _, verb := range []volume.Verb{volume.VerbCreate, volume.VerbDelete} {
			t.Run(fmt.Sprint(life.name, ", then ", verb), func(t *testing.T) {
				t.Parallel()
				s := start(t)
				life.live(s)
				must(t, s.stop())
				s.forget("v")
				request := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-2"}
				s.stage(request, func(command volume.Command) volume.Record {
					decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
					must(t, err)
					decision.Record.Assumed = true
					decision.Record.Owner = volume.Owner{Worker: "dead", Instance: "dead", Epoch: 1, Since: time.Now().UTC()}
					return decision.Record
				})
				want := append([]volume.Event{}, life.events...)
				if verb == volume.VerbCreate {
					s.startWorker()
					s.await("the create's end", func() bool { return s.queued("v") == 0 })
					want = append(want, life.again...)
				} else { // somebody took the create out of the queue
					stream, err := s.js.Stream(s.ctx, commands.StreamName)
					must(t, err)
					must(t, stream.Purge(s.ctx))
					s.startWorker()
					reply := s.verb("v", verb)
					switch last := life.events[len(life.events)-1]; {
					case last == volume.EventRejected || last == volume.EventDeleted:
						s.wantReply(reply, volume.Rejected, reply.State, volume.ErrVolumeNotFound)
						want = append(want, volume.EventRejected)
					case last == volume.EventCreate: // what was begun is not known any more
						s.wantReply(reply, volume.Succeeded, volume.StateDeleted, "")
						want = append(want, volume.EventDiscard, volume.EventDeleted)
					default:
						s.wantReply(reply, volume.Succeeded, volume.StateDeleted, "")
						want = append(want, volume.EventDelete, volume.EventDeleted)
					}
				}
				s.wantEvents("v", want...)
				s.wantChain("v")
				if record := s.record("v"); record.Assumed || record.Op != nil {
					t.Errorf("record: got %+v", record)
				}
			})
		}
	}
}

// TestWorker_AssumedRecordLeft_IsCarriedOn: the name is new indeed; the dead worker's event is
// on the stream, or only in the outbox.
func TestWorker_AssumedRecordLeft_IsCarriedOn(t *testing.T) {
	for name, published := range map[string]bool{"event in the outbox": false, "event published": true} {
		t.Run(name, func(t *testing.T) {
			s := prepare(t)
			var begun volume.Transition
			s.stage(firstCreate, func(command volume.Command) volume.Record {
				decision, err := fsm.Decide(pending("v"), command, time.Now().UTC())
				must(t, err)
				decision.Record.Assumed = true
				decision.Record.Owner = volume.Owner{Worker: "dead", Instance: "dead", Epoch: 1, Since: time.Now().UTC()}
				begun = *decision.Transition
				return decision.Record
			})
			if published {
				publisher, err := events.NewPublisher(s.ctx, s.js)
				must(t, err)
				sent, err := publisher.Start(begun, 0)
				must(t, err)
				_, err = sent.Wait(s.ctx)
				must(t, err)
			}
			s.startWorker()
			s.awaitEvent("v", ofCommand(firstCreate.ID))
			s.await("the create's end", func() bool { return s.queued("v") == 0 })
			s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
			if owner := s.record("v").Owner; owner.Epoch != 2 || s.record("v").Assumed {
				t.Errorf("record: got owner %+v, assumed %t", owner, s.record("v").Assumed)
			}
		})
	}
}

// hold starts a worker that stops, with all that it has sent or would send, just before it
// writes text.
func (s *system) hold(id, text string) (held <-chan struct{}, release func()) {
	s.t.Helper()
	tr := &trap{text: []byte(text), entered: make(chan struct{}), release: make(chan struct{})}
	config := s.config
	config.ID = id
	stop := s.startOn(s.server.Connect(s.t, nats.SetCustomDialer(tr)), config)
	s.t.Cleanup(func() { s.must(stop()) })
	release = onceClose(tr.release)
	s.t.Cleanup(release)
	return tr.entered, release
}

func onceClose(c chan struct{}) func() {
	closed := false
	return func() {
		if !closed {
			closed = true
			close(c)
		}
	}
}

// TestWorker_AssumedEventNotYetStored_NothingIsDone: nothing is asked of the backend before the
// event has proved that the name is new. A cancel that comes meanwhile finds nothing done.
func TestWorker_AssumedEventNotYetStored_NothingIsDone(t *testing.T) {
	s := prepare(t)
	held, release := s.hold("worker-1", "PUB volume.tx.default.v.create ")
	s.publish(firstCreate)
	<-held
	if record := s.record("v"); !record.Assumed || record.State != volume.StateCreating {
		t.Errorf("record: got %+v, want one that is assumed", record)
	}
	if calls := s.backend.callsOf(key("v")); len(calls) > 0 {
		t.Errorf("backend: got %v, want no call", calls)
	}
	cancel := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCancel, Args: volume.Args{Target: firstCreate.ID}})
	release()
	s.await("the cancel's end", func() bool { return s.queued("v") == 0 })
	if outcome, known := s.record("v").Outcome(cancel.CommandID); !known || outcome.Failure != nil && outcome.State != volume.StateAvailable {
		t.Errorf("cancel: got %+v, %t", outcome, known)
	}
	s.wantBackend(s.record("v"))
	s.wantChain("v")
	if record := s.record("v"); record.Op != nil || record.Assumed {
		t.Errorf("record: got %+v", record)
	}
}

// TestWorker_StoppedWhileItAssumes_DoesNothingAfterwards: a worker is stopped before it stores,
// or before it publishes, what it has decided on an assumption. Another worker takes the name
// through its life meanwhile, and all that the bucket knows of it runs out.
func TestWorker_StoppedWhileItAssumes_DoesNothingAfterwards(t *testing.T) {
	for _, text := range []string{"PUB $KV.volumes.default.v ", "PUB volume.tx.default.v.create "} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			held, release := s.hold("first", text)
			s.publish(firstCreate)
			<-held
			s.startPeer("second")
			s.awaitEvent("v", ofCommand(firstCreate.ID))
			remove := s.verb("v", volume.VerbDelete)
			s.wantReply(remove, volume.Succeeded, volume.StateDeleted, "")
			s.await("all commands' end", func() bool { return s.queued("v") == 0 })
			s.forget("v")
			release()
			s.await("first's return", func() bool {
				return s.holds("first", partitionOf(key("v"))) || s.holds("second", partitionOf(key("v")))
			})
			again := s.do(firstCreate)
			if !again.Repeat || again.Outcome != volume.Succeeded {
				t.Errorf("create again: got %+v, want the first answer", again)
			}
			s.wantEvents("v", wholeLife...)
			if calls := s.backend.callsOf(key("v")); len(calls) > 0 && !errors.Is(s.backend.lastFault(), volume.ErrFenced) {
				t.Errorf("backend calls of the one that was stopped: got %v, %v, want none or fenced ones", calls, s.backend.lastFault())
			}
			// It may have left a record, which goes with the name's next command.
			s.wantReply(s.create("v", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
			s.wantWitnesses("v", append(append([]volume.Event{}, wholeLife...), recreated...)...)
		})
	}
}

// TestWorker_AssumedRecordWithoutEvents_IsNoDeadEnd: its command was answered and its event aged
// out. It is what is left of the volume, as any other record would be.
func TestWorker_AssumedRecordWithoutEvents_IsNoDeadEnd(t *testing.T) {
	s := prepare(t)
	s.age()
	s.stage(firstCreate, func(command volume.Command) volume.Record {
		decision, err := fsm.Decide(pending("v"), command, time.Now().UTC().Add(-time.Hour))
		must(t, err)
		decision.Record.Assumed = true
		decision.Record.Owner = volume.Owner{Worker: "dead", Instance: "dead", Epoch: 1, Since: time.Now().UTC()}
		return decision.Record
	})
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	must(t, err)
	must(t, stream.Purge(s.ctx))
	s.startWorker()
	s.wantReply(s.verb("v", volume.VerbDelete), volume.Succeeded, volume.StateDeleted, "")
	if s.record("v").Assumed {
		t.Error("record: it still says that it is assumed")
	}
}
