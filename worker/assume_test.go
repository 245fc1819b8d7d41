package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/quotas"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// forget takes away all that the bucket holds of a name, as time does in the end: first the
// tombstone, then the marker in its place.
func (s *system) forget(name string) {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, "KV_"+kv.VolumesBucket)
	s.must(err)
	s.must(stream.Purge(s.ctx, jetstream.WithPurgeSubject("$KV.volumes."+key(name).String())))
}

// restart starts a worker that remembers nothing in the place of the one that ran.
func (s *system) restart() {
	s.t.Helper()
	s.must(s.stop())
	s.startWorker()
}

func (s *system) wantNoRecord(name string) {
	s.t.Helper()
	if entry, err := s.records.ByKey(s.ctx, key(name)); !errors.Is(err, kv.ErrNotFound) {
		s.t.Errorf("record of %s: got %+v, %v, want none", name, entry.Value, err)
	}
}

// reads counts the requests to the leaders for records and events.
func (s *system) reads() func() int {
	s.t.Helper()
	sub, err := s.nc.SubscribeSync("$JS.API.STREAM.MSG.GET.>")
	s.must(err)
	s.must(s.nc.Flush())
	return func() int {
		s.t.Helper()
		s.must(s.nc.Flush())
		n, _, err := sub.Pending()
		s.must(err)
		return n
	}
}

func TestWorker_CreateOfANewName_ReadsNothing(t *testing.T) {
	s := start(t)
	reads := s.reads()
	for i := range 8 {
		s.create(fmt.Sprint("new-", i), volume.MiB)
	}
	if n := reads(); n != 0 {
		t.Errorf("8 creates: got %d reads, want none", n)
	}
	s.wantWitnesses("new-0", volume.EventCreate, volume.EventReady)
	if s.record("new-0").Assumed {
		t.Error("record: it still says that it is assumed")
	}
}

// TestWorker_CreateThatMustLook_Reads: what a create of a new name may not assume.
func TestWorker_CreateThatMustLook_Reads(t *testing.T) {
	for name, test := range map[string]struct {
		request commands.Request
		limits  *quotas.Limits
		want    volume.Result
	}{
		"validate only": {request: commands.Request{Preconditions: volume.Preconditions{ValidateOnly: true}}, want: volume.Valid},
		"refused":       {request: commands.Request{Preconditions: volume.Preconditions{IfState: volume.StateDeleted}}, want: volume.Rejected},
		"with a quota":  {limits: &quotas.Limits{Volumes: quotas.Limit(5)}, want: volume.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			if test.limits != nil {
				s.setQuota(*test.limits)
			}
			request := test.request
			request.Key, request.Verb, request.Args = key("v"), volume.VerbCreate, volume.Args{Size: volume.MiB}
			reads := s.reads()
			if reply := s.do(request); reply.Outcome != test.want {
				t.Errorf("got %+v, want %s", reply, test.want)
			}
			if n := reads(); n < 2 {
				t.Errorf("got %d reads, want those of the record and of the last event", n)
			}
		})
	}
}

// earlier is what a name went through before its record was forgotten.
type earlier struct {
	name string
	live func(s *system) []commands.Request
	// events it left, and what a new create leads to.
	events []volume.Event
	again  []volume.Event
	code   volume.Code
}

var (
	firstCreate = commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-1"}
	wholeLife   = []volume.Event{volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted}
	recreated   = []volume.Event{volume.EventRecreate, volume.EventReady}
)

func earlierLives() []earlier {
	early := commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "early"}
	remove := commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "delete-1"}
	sent := func(requests ...commands.Request) func(s *system) []commands.Request {
		return func(s *system) []commands.Request {
			for _, r := range requests {
				s.do(r)
			}
			return requests
		}
	}
	return []earlier{
		{
			"one refusal", sent(early),
			[]volume.Event{volume.EventRejected},
			[]volume.Event{volume.EventCreate, volume.EventReady},
			"",
		},
		{ // its event has the ID that a first create's event always has
			"begun and no more", func(s *system) []commands.Request { s.onlyBegun(firstCreate); return nil },
			[]volume.Event{volume.EventCreate},
			[]volume.Event{volume.EventRejected},
			volume.ErrVolumeExists,
		},
		{
			"alive", sent(firstCreate),
			[]volume.Event{volume.EventCreate, volume.EventReady},
			[]volume.Event{volume.EventRejected},
			volume.ErrVolumeExists,
		},
		{"one life", sent(firstCreate, remove), wholeLife, recreated, ""},
		{
			"many lives", func(s *system) []commands.Request {
				requests := sent(early, firstCreate, remove)(s)
				for range 2 {
					s.create("v", volume.MiB)
					s.verb("v", volume.VerbDelete)
				}
				return requests
			},
			[]volume.Event{
				volume.EventRejected, volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
				volume.EventRecreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
				volume.EventRecreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
			},
			recreated, "",
		},
	}
}

// onlyBegun leaves the event that begins a command, and nothing else.
func (s *system) onlyBegun(request commands.Request) {
	s.t.Helper()
	decision, err := fsm.Decide(pending(string(request.Key.Name)), volume.Command{
		ID: request.ID, Key: request.Key, Verb: request.Verb, Args: request.Args, Sequence: 1, Backend: "local",
	}, time.Now().UTC())
	s.must(err)
	_, err = events.Chain(decision.Transition, "")
	s.must(err)
	publisher, err := events.NewPublisher(s.ctx, s.js)
	s.must(err)
	begun, err := publisher.Start(*decision.Transition, 0)
	s.must(err)
	_, err = begun.Wait(s.ctx)
	s.must(err)
}

func (s *system) wantEvents(name string, want ...volume.Event) {
	s.t.Helper()
	var got []volume.Event
	for _, e := range s.events(name) {
		got = append(got, e.Event)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("events of %s: got %v, want %v", name, got, want)
	}
}

// TestWorker_NameForgotten_CreateGoesOnFromItsEvents: nothing in the bucket tells that the name
// was used before, and the create begins as that of a new one.
func TestWorker_NameForgotten_CreateGoesOnFromItsEvents(t *testing.T) {
	for _, life := range earlierLives() {
		t.Run(life.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			known := map[volume.CommandID]commands.Reply{}
			requests := life.live(s)
			for _, r := range requests {
				known[r.ID] = s.do(r) // again: what it is answered for good
			}
			ids := map[volume.ID]bool{}
			for _, e := range s.events("v") {
				ids[e.VolumeID] = true
			}
			last := s.events("v")[len(s.events("v"))-1]
			s.forget("v")
			s.restart()
			for _, r := range requests {
				s.wantSame(r, known[r.ID])
				s.wantNoRecord("v") // what the repeat has stored is gone
				s.forget("v")
				s.restart()
			}
			reply := s.create("v", volume.MiB)
			if life.code != "" {
				s.wantReply(reply, volume.Rejected, reply.State, life.code)
			} else {
				s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
				if ids[reply.VolumeID] || reply.Generation != last.Generation+2 {
					t.Errorf("new life: got id %s generation %d, before it %v and %d", reply.VolumeID, reply.Generation, ids, last.Generation)
				}
			}
			s.wantEvents("v", append(append([]volume.Event{}, life.events...), life.again...)...)
			s.wantChain("v")
			for _, r := range requests {
				s.wantSame(r, known[r.ID])
			}
			if s.record("v").Assumed {
				t.Error("record: it still says that it is assumed")
			}
		})
	}
}

// TestWorker_RecordDeletedByHand_CreateFindsTheVolume: there is a marker, over which a create of
// a new name is not stored.
func TestWorker_RecordDeletedByHand_CreateFindsTheVolume(t *testing.T) {
	s := start(t)
	first := s.create("v", volume.MiB)
	bucket, err := s.js.KeyValue(s.ctx, kv.VolumesBucket)
	must(t, err)
	must(t, bucket.Delete(s.ctx, key("v").String()))
	s.restart()
	reply := s.create("v", volume.MiB)
	s.wantReply(reply, volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	if reply.VolumeID != first.VolumeID {
		t.Errorf("id: got %s, want %s", reply.VolumeID, first.VolumeID)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventRejected)
}

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

// TestWorker_QuotaOfAKnownName_IsLeftAlone: a create of a name that is in use reserves nothing.
func TestWorker_QuotaOfAKnownName_IsLeftAlone(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.ID = "metered" })
	s.setQuota(quotas.Limits{Volumes: quotas.Limit(2)})
	s.create("v", size)
	s.restart()
	ledger, err := s.js.Stream(s.ctx, "KV_"+kv.QuotasBucket)
	must(t, err)
	before := ledger.CachedInfo().State.LastSeq
	s.wantReply(s.create("v", size), volume.Rejected, volume.StateAvailable, volume.ErrVolumeExists)
	info, err := ledger.Info(s.ctx)
	must(t, err)
	if info.State.LastSeq != before {
		t.Errorf("ledger: written %d times, want none", info.State.LastSeq-before)
	}
	s.wantUsed(vols(1))
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
