package worker_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// raw publishes a message as it is and does not wait for an answer.
func (s *system) raw(subject string, header nats.Header, payload string) {
	s.t.Helper()
	_, err := s.js.PublishMsg(s.ctx, &nats.Msg{Subject: subject, Header: header, Data: []byte(payload)})
	s.must(err)
}

// The client library takes a message without payload and with a Status header for a word
// of the server. One such command must not stop its partition.
func TestWorker_CommandThatLooksLikeAStatus_IsBuriedAndStopsNothing(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"idle":     {"Status": {"100"}},
		"bad":      {"Status": {"400"}},
		"missing":  {"Status": {"404"}},
		"deleted":  {"Status": {"409"}, "Description": {"Consumer Deleted"}},
		"other":    {"Status": {"423"}},
		"pin":      {"Nats-Pin-Id": {"evil"}},
		"two pins": {"Nats-Pin-Id": {"evil", "evil too"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.create("v", volume.MiB)
			s.raw("volume.command.default.v.delete", header, "")
			s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
			letters := s.letters(0)
			if len(letters) == 0 || letters[0].Header.Get(commands.HeaderDeadCode) != string(volume.ErrInvalidArgument) {
				t.Fatalf("dead letters: %+v", letters)
			}
			for name, values := range header {
				if got := letters[0].Header[commands.HeaderOriginalPrefix+name]; strings.Join(got, ",") != strings.Join(values, ",") {
					t.Errorf("dead letter: header %s: got %q, want %q", name, got, values)
				}
			}
			s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventReconciled)
		})
	}
}

// The server stores 64 KiB of headers at most, those of the dead letter included.
func TestWorker_GreatestHeader_IsBuriedAndStopsNothing(t *testing.T) {
	s := start(t)
	long := strings.Repeat("a", 65400)
	s.raw("volume.command.default.v.create", nats.Header{"X-A": {long}}, "{")
	s.hostile("volume.command.default.v.create", nil, []byte("{")) // in the same lane, behind it
	first := s.letters(0)[0]
	if first.Header.Get(commands.HeaderDeadHeaders) == "" || string(first.Data) != "X-A: "+long+"\r\n{" {
		t.Errorf("dead letter of %d bytes, header count %q", len(first.Data), first.Header.Get(commands.HeaderDeadHeaders))
	}
}

// An event that does not belong on the stream must not stop the volume.
func TestWorker_ForeignEvent_StopsNothing(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	foreign := s.events("v")[1]
	foreign.ID, foreign.Event, foreign.CommandID = "default.v/rejected/x", volume.EventRejected, "x"
	publisher, err := events.NewPublisher(s.ctx, s.js)
	must(t, err)
	last, _, err := publisher.Last(s.ctx, key("v"))
	must(t, err)
	pending, err := publisher.Start(foreign, last.Sequence)
	must(t, err)
	_, err = pending.Wait(s.ctx)
	must(t, err)
	_, err = s.js.Publish(s.ctx, "volume.tx.default.v.junk", []byte("junk"))
	must(t, err)
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	if record := s.record("v"); record.Generation != 5 || record.Op != nil {
		t.Errorf("record after a foreign event: generation %d, op %v", record.Generation, record.Op)
	}
}

// A record that nobody can read must not hold up its volume.
func TestWorker_UnreadableRecord_CommandIsBuried(t *testing.T) {
	s := start(t)
	bucket, err := s.js.KeyValue(s.ctx, "volumes")
	must(t, err)
	_, err = bucket.Put(s.ctx, key("torn").String(), []byte(`{"schema_version":1,`))
	must(t, err)
	s.wantReply(s.verb("torn", volume.VerbReconcile), volume.Rejected, "", volume.ErrInternal)
	if letters := s.letters(0); len(letters) != 1 {
		t.Errorf("dead letters: got %d, want 1", len(letters))
	}
}

// One that a newer jetvol has written waits for a newer worker, as the two share the work
// during an upgrade. It holds up no other volume.
func TestWorker_RecordOfANewerVersion_Waits(t *testing.T) {
	s := start(t)
	bucket, err := s.js.KeyValue(s.ctx, "volumes")
	must(t, err)
	_, err = bucket.Put(s.ctx, key("newer").String(), []byte(`{"schema_version":99}`))
	must(t, err)
	receipt := s.publish(commands.Request{Key: key("newer"), Verb: volume.VerbReconcile})
	for _, name := range volumeNames(32) {
		s.create(name, volume.MiB)
	}
	if queued, letters := s.queued("newer"), s.letters(0); queued != 1 || len(letters) != 0 {
		t.Errorf("got %d queued, %d dead letters, want it to wait", queued, len(letters))
	}
	must(t, bucket.Purge(s.ctx, key("newer").String())) // stands for the worker that can read it
	s.awaitEvent("newer", ofCommand(receipt.CommandID))
}

func TestWorker_CancelAgain_SparesTheNextCommand(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	entered, _ := s.gate("attach", "v")
	attach := commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "a1"}
	cancel := commands.Request{Key: key("v"), Verb: volume.VerbCancel, ID: "cancel-1"}
	s.publish(attach)
	s.awaitCall(entered)
	first := s.do(cancel)
	s.wantReply(first, volume.Succeeded, volume.StateAvailable, "")
	entered, release := s.gate("attach", "v")
	attach.ID = "a2"
	s.publish(attach)
	s.awaitCall(entered)
	again := make(chan commands.Reply, 1)
	looked := s.watchReads()
	go func() { again <- s.do(cancel) }()
	looked()
	close(release)
	if reply := <-again; !reply.Repeat || reply.Outcome != first.Outcome {
		t.Errorf("the cancel again: got %+v, first %+v", reply, first)
	}
	if e := s.awaitEvent("v", ofCommand("a2")); e.Event != volume.EventAttached {
		t.Errorf("the next command ended with %s %+v", e.Event, e.Failure)
	}
}

// watchReads returns a function that waits until the worker has read a record since: what
// a cancel does when it looks ahead of its lane.
func (s *system) watchReads() (looked func()) {
	s.t.Helper()
	reads, err := s.nc.SubscribeSync("$JS.API.STREAM.MSG.GET.KV_volumes")
	s.must(err)
	s.must(s.nc.Flush())
	return func() {
		s.t.Helper()
		_, err := reads.NextMsgWithContext(s.ctx)
		s.must(err)
		s.must(reads.Unsubscribe())
		s.record("v") // answered by the server after the worker's own
	}
}

func TestWorker_RefusedCancel_CancelsNothing(t *testing.T) {
	generation := uint64(99)
	for name, cancel := range map[string]commands.Request{
		"precondition":   {Preconditions: volume.Preconditions{IfGeneration: &generation}},
		"another target": {Args: volume.Args{Target: "nobody"}},
		"later target":   {Args: volume.Args{Target: "later"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.create("v", volume.MiB)
			entered, release := s.gate("attach", "v")
			s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "a1"})
			s.awaitCall(entered)
			cancel.Key, cancel.Verb, cancel.ID = key("v"), volume.VerbCancel, "c1"
			looked := s.watchReads()
			s.publish(cancel)
			s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDetach, ID: "later"})
			s.awaitPending(3)
			looked()
			close(release)
			for id, want := range map[volume.CommandID]volume.Event{
				"a1": volume.EventAttached, "c1": volume.EventRejected, "later": volume.EventDetached,
			} {
				if e := s.awaitEvent("v", ofCommand(id)); e.Event != want {
					t.Errorf("command %s ended with %s %+v, want %s", id, e.Event, e.Failure, want)
				}
			}
		})
	}
}

// The lane may not have begun with the target when the cancel comes.
func TestWorker_CancelPublishedWhileNobodyWorked_ReachesItsTarget(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.Retry.InitialWait, c.Retry.MaxWait = limit, limit })
	s.backend.hook(unavailable(1), nil)
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "c1"})
	s.awaitEvent("v", ofEvent(volume.EventError))
	must(t, s.stop())
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCancel, ID: "cancel"})
	s.startWorker()
	if e := s.awaitEvent("v", ofCommand("c1")); e.Event != volume.EventCancelled {
		t.Errorf("the target ended with %s %+v", e.Event, e.Failure)
	}
}

func TestRead_LeavesNoConsumerBehind(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.events("v")
	stream, err := s.js.Stream(s.ctx, events.StreamName)
	must(t, err)
	for info := range stream.ListConsumers(s.ctx).Info() {
		t.Errorf("consumer %s is left", info.Name)
	}
}
