package worker_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker"
)

const powerLoss = "rack 4 lost power"

func nodeGone(name string, node volume.Node) commands.Request {
	return commands.Request{Key: key(name), Verb: volume.VerbNodeGone, Args: volume.Args{Node: node, Reason: powerLoss}, Actor: "alice"}
}

func TestWorker_NodeGone_FreesTheVolumeAndTellsWhatWasFenced(t *testing.T) {
	s := start(t)
	s.backend.clients = []string{"10.0.0.1:0/3948123"}
	s.create("v", volume.MiB)
	s.attach("v", "n1")
	reply := s.do(nodeGone("v", "n1"))
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	all := s.events("v")
	for what, e := range map[string]*volume.Eviction{"reply": reply.Eviction, "event": all[len(all)-1].Eviction} {
		if e == nil || e.Node != "n1" || e.Reason != powerLoss || !slices.Equal(e.Clients, s.backend.clients) {
			t.Errorf("%s: got %+v, want n1, %q and %q", what, e, powerLoss, s.backend.clients)
		}
	}
	s.wantReply(s.attach("v", "n2"), volume.Succeeded, volume.StateAttached, "")
	// The same again, as an operator does who is not sure: n2 keeps what is now its own.
	s.wantReply(s.do(nodeGone("v", "n1")), volume.Succeeded, volume.StateAttached, "")
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventEvict, volume.EventEvicted, volume.EventAttach, volume.EventAttached, volume.EventEvict, volume.EventEvicted)
}

func TestWorker_NodeGone_Refused(t *testing.T) {
	s := start(t, func(c *worker.Config) {
		c.Backends["blind"] = backends.New("blind", null.NewBlind(null.Options{}), backends.Options{})
	})
	s.do(commands.Request{Key: key("blind"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Backend: "blind"}})
	s.attach("blind", "n1")
	reply := s.do(nodeGone("blind", "n1"))
	s.wantReply(reply, volume.Rejected, volume.StateAttached, volume.ErrBackendUnsupported)
	if !strings.Contains(reply.Failure.Message, "detach the volume") {
		t.Errorf("got %q, want it to name the remedy", reply.Failure.Message)
	}
	s.wantReply(s.do(nodeGone("never", "n1")), volume.Rejected, "", volume.ErrVolumeNotFound)
}

// gated is a driver that cannot evict, whose attaches wait until they are released.
type gated struct {
	*null.Blind
	entered, release chan struct{}
}

func (g gated) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	close(g.entered)
	select {
	case <-g.release:
	case <-ctx.Done():
	}
	return g.Blind.Attach(ctx, ref, node, mode)
}

// A command that is going to be refused must not end another.
func TestWorker_NodeGone_BackendCannotEvict_LeavesItsAttachAlone(t *testing.T) {
	driver := gated{null.NewBlind(null.Options{}), make(chan struct{}), make(chan struct{})}
	s := start(t, func(c *worker.Config) { c.Backends["blind"] = backends.New("blind", driver, backends.Options{}) })
	s.do(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB, Backend: "blind"}})
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}, ID: "attach-1"})
	<-driver.entered
	gone := make(chan commands.Reply, 1)
	go func() { gone <- s.do(nodeGone("v", "n1")) }()
	s.awaitPending(2)
	close(driver.release)
	if e := s.awaitEvent("v", ofCommand("attach-1")); e.Failure != nil {
		t.Errorf("attach: got %+v, want it to succeed", e.Failure)
	}
	s.wantReply(<-gone, volume.Rejected, volume.StateAttached, volume.ErrBackendUnsupported)
}

func TestWorker_NodeGone_VolumeInError_IsFreed(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.attach("v", "n1")
	s.backend.hook(nil, func(call string, _ backends.Ref) error {
		if call == "resize" {
			return volume.Internal
		}
		return nil
	})
	resize := commands.Request{Key: key("v"), Verb: volume.VerbResize, Args: volume.Args{Size: 2 * volume.MiB}}
	s.wantReply(s.do(resize), volume.Failed, volume.StateError, volume.ErrBackendInternal)
	s.wantReply(s.do(nodeGone("v", "n1")), volume.Succeeded, volume.StateAvailable, "")
	if got := s.record("v").Size; got != 2*volume.MiB {
		t.Errorf("size: got %s, want what the backend has", got)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventExtend, volume.EventError, volume.EventFail, volume.EventEvict, volume.EventEvicted)
}

// A detach that is busy for as long as the dead node's client lives must not hold up the
// command that ends that client.
func TestWorker_NodeGone_BehindABusyDetach_EndsIt(t *testing.T) {
	for name, node := range map[string]volume.Node{"NodeNamed": "n1", "NodeNotNamed": ""} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *worker.Config) { c.Retry.InitialWait, c.Retry.MaxWait = time.Hour, time.Hour })
			s.create("v", volume.MiB)
			s.attach("v", "n1")
			s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
				if call == "detach" {
					return volume.Busy
				}
				return nil
			}, nil)
			detach := commands.Request{Key: key("v"), Verb: volume.VerbDetach, Args: volume.Args{Node: node}, ID: "detach-1"}
			s.publish(detach)
			s.awaitEvent("v", ofEvent(volume.EventError))
			s.wantReply(s.do(nodeGone("v", "n1")), volume.Succeeded, volume.StateAvailable, "")
			e := s.awaitEvent("v", ofCommand("detach-1"))
			if e.Event != volume.EventCancelled || e.To != volume.StateAttached || !strings.Contains(e.Failure.Message, "node n1 is gone") {
				t.Errorf("end of the detach: got %s to %s: %+v, want cancelled, because n1 is gone", e.Event, e.To, e.Failure)
			}
			s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
				volume.EventDetach, volume.EventError, volume.EventCancelled, volume.EventEvict, volume.EventEvicted)
		})
	}
}

func TestWorker_NodeGone_DuringItsAttach_EndsItAndThoseBehind(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	entered, _ := s.gate("attach", "v")
	attach := commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}}
	attach.ID = "attach-1"
	s.publish(attach)
	s.awaitCall(entered)
	attach.ID = "attach-2"
	s.publish(attach)
	s.wantReply(s.do(nodeGone("v", "n1")), volume.Succeeded, volume.StateAvailable, "")
	if e := s.awaitEvent("v", ofCommand("attach-2")); e.Event != volume.EventRejected || e.Failure.Code != volume.ErrCancelled {
		t.Errorf("end of the attach behind: got %s, %+v, want it refused as cancelled", e.Event, e.Failure)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventError, volume.EventCancelled,
		volume.EventRejected, volume.EventEvict, volume.EventEvicted)
}

func TestWorker_NodeGone_LeavesOthersAlone(t *testing.T) {
	for name, c := range map[string]struct{ request, gone commands.Request }{
		"another node's attach": {
			commands.Request{Verb: volume.VerbAttach, Args: volume.Args{Node: "n2", Mode: volume.ReadWrite}}, nodeGone("v", "n1"),
		},
		"resize": {commands.Request{Verb: volume.VerbResize, Args: volume.Args{Size: 2 * volume.MiB}}, nodeGone("v", "n1")},
		"attach, if the state were another": {
			commands.Request{Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}},
			func() commands.Request { r := nodeGone("v", "n1"); r.IfState = volume.StateError; return r }(),
		},
		"attach, if it were only asked": {
			commands.Request{Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}},
			func() commands.Request { r := nodeGone("v", "n1"); r.ValidateOnly = true; return r }(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.create("v", volume.MiB)
			entered, release := s.gate(string(c.request.Verb), "v")
			c.request.Key, c.request.ID = key("v"), "before"
			s.publish(c.request)
			s.awaitCall(entered)
			done := make(chan commands.Reply, 1)
			go func() { done <- s.do(c.gone) }()
			s.awaitPending(2)
			close(release)
			if e := s.awaitEvent("v", ofCommand("before")); e.Failure != nil {
				t.Errorf("the command before: got %+v, want it to succeed", e.Failure)
			}
			<-done
		})
	}
}

// A reader that is gone leaves the other readers alone.
func TestWorker_NodeGone_OneOfTwoReaders_LeavesTheOther(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	for _, node := range []volume.Node{"n1", "n2"} {
		s.do(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: node, Mode: volume.ReadOnly}})
	}
	s.wantReply(s.do(nodeGone("v", "n1")), volume.Succeeded, volume.StateAttached, "")
	if got := s.record("v").Attachments.String(); got != "node n2 (read-only)" {
		t.Errorf("holders: got %s, want n2 alone", got)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventShare, volume.EventAttached, volume.EventEvict, volume.EventEvicted)
}

// What an attempt has fenced is told, though the next one does not find it again.
func TestWorker_NodeGone_FailsOnceAfterFencing_TellsAllClients(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	s.attach("v", "n1")
	s.backend.clients = []string{"10.0.0.1:0/1"}
	s.backend.hook(func(_ context.Context, call string, _ backends.Ref) error {
		if call != "evict" || len(s.backend.clients) == 0 {
			return nil
		}
		s.backend.clients = nil
		return volume.Busy
	}, nil)
	reply := s.do(nodeGone("v", "n1"))
	s.wantReply(reply, volume.Succeeded, volume.StateAvailable, "")
	if want := []string{"10.0.0.1:0/1"}; !slices.Equal(reply.Eviction.Clients, want) {
		t.Errorf("clients: got %q, want %q", reply.Eviction.Clients, want)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached,
		volume.EventEvict, volume.EventError, volume.EventRetry, volume.EventEvicted)
}

// A driver that says "done" and still shows the node must not make the volume look free.
func TestWorker_NodeGone_StillHeld_IsNoSuccess(t *testing.T) {
	s := prepare(t)
	driver := &keepsHolding{null.New(null.Options{})}
	s.config.Backends["local"] = backends.New("local", driver, backends.Options{})
	s.startWorker()
	s.create("v", volume.MiB)
	s.attach("v", "n1")
	reply := s.do(nodeGone("v", "n1"))
	s.wantReply(reply, volume.Failed, volume.StateError, volume.ErrBackendInternal)
	if got := s.record("v").Attachments.String(); got != "node n1 (read-write)" || !strings.Contains(reply.Failure.Message, "still held by node n1") {
		t.Errorf("got %q on %s, want it still held by n1", reply.Failure.Message, got)
	}
}

type keepsHolding struct{ *null.Driver }

func (keepsHolding) Evict(context.Context, backends.Ref, volume.Node) (backends.Eviction, error) {
	return backends.Eviction{}, nil
}
