package worker_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

func (s *system) read(name string, node volume.Node) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbAttach, Args: volume.Args{Node: node, Mode: volume.ReadOnly}})
}

func (s *system) detach(name string, node volume.Node) commands.Reply {
	s.t.Helper()
	return s.do(commands.Request{Key: key(name), Verb: volume.VerbDetach, Args: volume.Args{Node: node}})
}

// wantReaders wants exactly these nodes to read the volume; wantWitnesses says the rest.
func (s *system) wantReaders(name string, nodes ...volume.Node) {
	s.t.Helper()
	var want volume.Attachments
	for _, node := range nodes {
		want = want.With(volume.Attachment{Node: node, Mode: volume.ReadOnly})
	}
	if got := s.record(name).Attachments; got.String() != want.String() {
		s.t.Errorf("%s: got %s, want %s", name, got, want)
	}
}

func TestWorker_Readers_ShareAVolume(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	for _, node := range []volume.Node{"n2", "n1", "n3"} {
		s.wantReply(s.read("v", node), volume.Succeeded, volume.StateAttached, "")
	}
	s.wantReaders("v", "n1", "n2", "n3")
	s.wantReply(s.attach("v", "n4"), volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition)
	s.wantReply(s.read("v", "n2"), volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition)
	s.wantReply(s.verb("v", volume.VerbDetach), volume.Rejected, volume.StateAttached, volume.ErrNodeRequired)
	s.wantReply(s.detach("v", "n4"), volume.Rejected, volume.StateAttached, volume.ErrNodeMismatch)
	s.wantReply(s.detach("v", "n2"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("v", volume.VerbReconcile), volume.Succeeded, volume.StateAttached, "")
	s.wantReaders("v", "n1", "n3")
	s.wantReply(s.detach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.verb("v", volume.VerbDetach), volume.Succeeded, volume.StateAvailable, "")
	s.wantReply(s.attach("v", "n4"), volume.Succeeded, volume.StateAttached, "")
	s.wantReply(s.read("v", "n1"), volume.Rejected, volume.StateAttached, volume.ErrInvalidTransition)
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady,
		volume.EventAttach, volume.EventAttached, volume.EventShare, volume.EventAttached, volume.EventShare, volume.EventAttached,
		volume.EventRejected, volume.EventRejected, volume.EventRejected, volume.EventRejected,
		volume.EventDetach, volume.EventReleased, volume.EventReconciled,
		volume.EventDetach, volume.EventReleased, volume.EventDetach, volume.EventDetached,
		volume.EventAttach, volume.EventAttached, volume.EventRejected)
}

// The first attempt of either reaches the backend, and nobody learns of it: the second
// finds the work done beside the other readers.
func TestWorker_AttemptDoneButNotTold_RepeatsBesideReaders(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.read("v", "n1")
	s.read("v", "n2")
	lose := func(call string) {
		lost := false
		s.backend.hook(nil, func(c string, _ backends.Ref) error {
			if c != call || lost {
				return nil
			}
			lost = true
			return backends.Errorf(volume.Unavailable, "the answer was lost")
		})
	}
	lose("attach")
	s.wantReply(s.read("v", "n3"), volume.Succeeded, volume.StateAttached, "")
	s.wantReaders("v", "n1", "n2", "n3")
	lose("detach")
	s.wantReply(s.detach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	s.wantReaders("v", "n2", "n3")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventShare, volume.EventAttached,
		volume.EventShare, volume.EventError, volume.EventRetry, volume.EventAttached,
		volume.EventDetach, volume.EventError, volume.EventRetry, volume.EventReleased)
}

func TestWorker_CancelledShare_KeepsTheReaders(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.read("v", "n1")
	entered, _ := s.gate("attach", "v")
	slow := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n2", Mode: volume.ReadOnly}, ID: "slow"})
	s.awaitCall(entered)
	s.wantReply(s.verb("v", volume.VerbCancel), volume.Succeeded, volume.StateAttached, "")
	if e := s.awaitEvent("v", ofCommand(slow.CommandID)); e.Event != volume.EventCancelled || e.To != volume.StateAttached {
		t.Errorf("last event of the cancelled attach: %+v", e)
	}
	s.wantReaders("v", "n1")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventShare, volume.EventError, volume.EventCancelled)
}

// Whoever comes first decides: all readers, or the one writer.
func TestWorker_ReadersAndWriterAtOnce_NeverTogether(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	const nodes = 5
	for range 20 {
		writer := rand.IntN(nodes)
		replies := make([]commands.Reply, nodes)
		s.race(nodes, func(i int) commands.Reply {
			node := volume.Node(fmt.Sprintf("n%d", i))
			if i == writer {
				replies[i] = s.attach("v", node)
			} else {
				replies[i] = s.read("v", node)
			}
			return replies[i]
		}, volume.ErrInvalidTransition)
		holders := s.record("v").Attachments
		if wrote := replies[writer].Outcome == volume.Succeeded; wrote && len(holders) != 1 || !wrote && len(holders) != nodes-1 {
			t.Fatalf("writer: %s, held by %s", replies[writer].Outcome, holders)
		}
		if err := holders.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, holder := range holders {
			if reply := s.detach("v", holder.Node); reply.Outcome != volume.Succeeded {
				t.Fatalf("detach of %s: got %+v", holder.Node, reply)
			}
		}
	}
	if r := s.record("v"); r.State != volume.StateAvailable {
		t.Errorf("after the last detach: got %s, want %s", r.State, volume.StateAvailable)
	}
}

// A record with as many readers as there may be, and the events in its outbox, fit into
// one message.
func TestWorker_MostReaders_FitIntoARecord(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	for i := range volume.MaxAttachments {
		s.wantReply(s.read("v", longNode(i)), volume.Succeeded, volume.StateAttached, "")
	}
	s.wantReply(s.read("v", "another"), volume.Rejected, volume.StateAttached, volume.ErrTooManyNodes)
	s.wantReply(s.detach("v", longNode(0)), volume.Succeeded, volume.StateAttached, "")
	if got := len(s.record("v").Attachments); got != volume.MaxAttachments-1 {
		t.Errorf("readers: got %d, want %d", got, volume.MaxAttachments-1)
	}
}

// longNode is one of the longest names that a node may have.
func longNode(i int) volume.Node {
	return volume.Node(fmt.Sprintf("node-%02d.%0*d", i, volume.MaxNodeLength-len("node-00."), i))
}
