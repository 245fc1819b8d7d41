package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

// wantSame checks that a command sent again gets its first answer and no new event.
func (s *system) wantSame(request commands.Request, first commands.Reply) {
	s.t.Helper()
	before := len(s.events(string(request.Key.Name)))
	again := s.do(request)
	if !again.Repeat {
		s.t.Errorf("%s %s again: not marked as a repeat", request.Verb, request.ID)
	}
	again.Repeat = first.Repeat
	if again.Outcome != first.Outcome || again.Generation != first.Generation || again.State != first.State || again.VolumeID != first.VolumeID ||
		(again.Failure == nil) != (first.Failure == nil) || again.Failure != nil && again.Failure.Code != first.Failure.Code {
		s.t.Errorf("%s %s again: got %+v, first %+v", request.Verb, request.ID, again, first)
	}
	if after := len(s.events(string(request.Key.Name))); after != before {
		s.t.Errorf("%s %s again: %d events more", request.Verb, request.ID, after-before)
	}
}

func TestWorker_SameCommandAgain_GetsTheFirstAnswer(t *testing.T) {
	s := start(t)
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-v"}
	first := s.do(create)
	s.wantReply(first, volume.Succeeded, volume.StateAvailable, "")
	s.wantSame(create, first)

	refused := commands.Request{Key: key("v"), Verb: volume.VerbDetach, ID: "refused"}
	firstRefused := s.do(refused)
	s.wantReply(firstRefused, volume.Rejected, volume.StateAvailable, volume.ErrInvalidTransition)
	s.attach("v", "n1") // now it would be accepted
	s.wantSame(refused, firstRefused)
	s.verb("v", volume.VerbDetach)

	remove := commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "delete-v"}
	firstRemove := s.do(remove)
	s.wantReply(firstRemove, volume.Succeeded, volume.StateDeleted, "")
	s.wantSame(create, first) // after the volume's end: it must not be made anew
	s.wantSame(remove, firstRemove)

	s.create("v", volume.MiB)
	s.wantSame(create, first) // in its second life
	s.wantSame(remove, firstRemove)
	if state := s.record("v").State; state != volume.StateAvailable {
		t.Errorf("a repeated delete deleted the second life: %s", state)
	}
}

func TestWorker_SameCommandAgain_AfterTheRingLetGo(t *testing.T) {
	s := start(t)
	create := commands.Request{Key: key("busy"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "the-create"}
	first := s.do(create)
	for range 2 * fsm.MaxOutcomes {
		s.attach("busy", "n1")
		s.verb("busy", volume.VerbDetach)
	}
	record := s.record("busy")
	if _, inRing := record.Outcome("the-create"); inRing || record.Spilled == 0 || len(record.Outcomes) > fsm.MaxOutcomes {
		t.Fatalf("ring: in it %v, spilled %d, length %d", inRing, record.Spilled, len(record.Outcomes))
	}
	s.wantSame(create, first)
	must(t, s.stop())
	s.startWorker() // a cold worker knows it too
	s.wantSame(create, first)
	reused := create
	reused.Args.Size = 2 * volume.MiB
	s.wantReply(s.do(reused), volume.Rejected, "", volume.ErrCommandIDReused)
}

func TestWorker_RefusalForMissingVolume_IsRemembered(t *testing.T) {
	s := start(t)
	attach := commands.Request{Key: key("ghost"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "early"}
	first := s.do(attach)
	s.wantReply(first, volume.Rejected, "", volume.ErrVolumeNotFound)
	s.wantSame(attach, first)
	s.wantReply(s.create("ghost", volume.MiB), volume.Succeeded, volume.StateAvailable, "")
	s.wantSame(attach, first) // now it would be accepted
	s.wantWitnesses("ghost", volume.EventRejected, volume.EventCreate, volume.EventReady)
}

// awaitRecordGone waits until the server puts its marker where an expired record was.
func (s *system) awaitRecordGone(name string) {
	s.t.Helper()
	bucket, err := s.js.KeyValue(s.ctx, kv.VolumesBucket)
	s.must(err)
	watcher, err := bucket.Watch(s.ctx, key(name).String())
	s.must(err)
	for entry := range watcher.Updates() {
		if entry != nil && entry.Operation() != jetstream.KeyValuePut {
			break
		}
	}
	s.must(watcher.Stop())
}

// A refusal for a name that never lived is kept as long as any answer.
func TestWorker_RefusalExpired_IsStillRemembered(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.TombstoneTTL = time.Second })
	attach := commands.Request{Key: key("ghost"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "early"}
	first := s.do(attach)
	s.wantReply(first, volume.Rejected, "", volume.ErrVolumeNotFound)
	s.awaitRecordGone("ghost")
	must(t, s.stop())
	s.startWorker()

	s.wantSame(attach, first)
	s.create("ghost", volume.MiB)
	s.wantSame(attach, first) // now it would be accepted
	s.wantWitnesses("ghost", volume.EventRejected, volume.EventCreate, volume.EventReady)
}

// After the tombstone's time the record is gone. Generations still go on, and what was
// carried out is still known by its events.
func TestWorker_TombstoneExpired_NameLivesOnAndAnswersAreFound(t *testing.T) {
	s := start(t, func(c *worker.Config) { c.TombstoneTTL = time.Second })
	create := commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "create-v"}
	remove := commands.Request{Key: key("v"), Verb: volume.VerbDelete, ID: "delete-v"}
	first, firstRemove := s.do(create), s.do(remove)
	s.awaitRecordGone("v")
	must(t, s.stop())
	s.startWorker() // which remembers nothing

	s.wantSame(create, first)
	s.wantSame(remove, firstRemove)
	reused := create
	reused.Args.Size = 2 * volume.MiB
	s.wantReply(s.do(reused), volume.Rejected, "", volume.ErrCommandIDReused)
	second := s.create("v", volume.MiB)
	if second.Generation != 6 || second.VolumeID == first.VolumeID {
		t.Errorf("second life: got id %s generation %d, want a new id and 6", second.VolumeID, second.Generation)
	}
	s.wantSame(create, first)
	s.wantSame(remove, firstRemove) // and the second life goes on
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventDelete, volume.EventDeleted,
		volume.EventRecreate, volume.EventReady)
}

func TestWorker_CommandIDReused_IsRefusedAndKept(t *testing.T) {
	s := start(t)
	s.do(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "one"})
	for i, request := range []commands.Request{
		{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: 2 * volume.MiB}, ID: "one"},
		{Key: key("v"), Verb: volume.VerbDelete, ID: "one"},
	} {
		s.wantReply(s.do(request), volume.Rejected, "", volume.ErrCommandIDReused)
		stream, err := s.js.Stream(s.ctx, commands.DeadLetterStreamName)
		must(t, err)
		letter, err := stream.GetMsg(s.ctx, uint64(i+1))
		must(t, err)
		if got := letter.Header.Get(commands.HeaderDeadCode); got != string(volume.ErrCommandIDReused) {
			t.Errorf("dead letter %d: code %q", i, got)
		}
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady)
}

func TestWorker_SameIDOnAnotherVolume_IsAnotherCommand(t *testing.T) {
	s := start(t)
	for i := range 3 {
		name := fmt.Sprintf("v%d", i)
		reply := s.do(commands.Request{Key: key(name), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}, ID: "shared"})
		s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
