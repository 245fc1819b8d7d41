package fsm_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// readBy returns a story whose volume the nodes read.
func readBy(t testing.TB, nodes ...volume.Node) *story {
	t.Helper()
	s := in(t, volume.StateAvailable)
	for _, node := range nodes {
		s.take(volume.VerbAttach, volume.Args{Node: node, Mode: volume.ReadOnly})
		s.succeed()
	}
	return s
}

// take takes up a command that must be accepted.
func (s *story) take(verb volume.Verb, args volume.Args) fsm.Decision {
	s.t.Helper()
	command := s.command(verb, args)
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Decide(r, command, now) })
}

// wantHeld wants the state, the nodes, and the same nodes in the latest event.
func (s *story) wantHeld(state volume.State, nodes string) {
	s.t.Helper()
	if s.record.State != state || nodesOf(s.record.Attachments) != nodes {
		s.t.Fatalf("got %s held by %q, want %s held by %q", s.record.State, nodesOf(s.record.Attachments), state, nodes)
	}
	if told := s.told[len(s.told)-1].Spec.Attachments; !reflect.DeepEqual(told, s.record.Attachments) {
		s.t.Fatalf("event tells %s, record %s", told, s.record.Attachments)
	}
}

func TestShare_Readers_ComeAndGo(t *testing.T) {
	s := readBy(t, "n2")
	for _, step := range []struct {
		verb         volume.Verb
		node         volume.Node
		begin, end   volume.Event
		while, after string // who holds it
		state        volume.State
	}{
		{volume.VerbAttach, "n3", volume.EventShare, volume.EventAttached, "n2", "n2 n3", volume.StateAttached},
		{volume.VerbAttach, "n1", volume.EventShare, volume.EventAttached, "n2 n3", "n1 n2 n3", volume.StateAttached},
		{volume.VerbDetach, "n2", volume.EventDetach, volume.EventReleased, "n1 n2 n3", "n1 n3", volume.StateAttached},
		{volume.VerbDetach, "n3", volume.EventDetach, volume.EventReleased, "n1 n3", "n1", volume.StateAttached},
		{volume.VerbDetach, "", volume.EventDetach, volume.EventDetached, "n1", "", volume.StateAvailable},
	} {
		begun := s.take(step.verb, volume.Args{Node: step.node, Mode: volume.ReadOnly})
		s.wantHeld(begun.Record.State, step.while)
		ended := s.succeed()
		s.wantHeld(step.state, step.after)
		if begun.Transition.Event != step.begin || ended.Transition.Event != step.end || !ended.Transition.Final {
			t.Errorf("%s of %s: got %s and %s, want %s and %s", step.verb, step.node,
				begun.Transition.Event, ended.Transition.Event, step.begin, step.end)
		}
	}
}

func TestShare_Refused_NamesTheHoldersAndChangesNothing(t *testing.T) {
	written := func(t testing.TB) *story { return in(t, volume.StateAttached) }
	read := func(nodes ...volume.Node) func(testing.TB) *story {
		return func(t testing.TB) *story { return readBy(t, nodes...) }
	}
	for _, test := range []struct {
		name  string
		story func(testing.TB) *story
		node  volume.Node
		mode  volume.Mode
		says  string
	}{
		{"reader beside a writer", written, "n2", volume.ReadOnly, "attached to node n1"},
		{"writer again, to read", written, "n1", volume.ReadOnly, "attached to node n1"},
		{"writer again", written, "n1", volume.ReadWrite, "attached to node n1"},
		{"writer beside a reader", read("n1"), "n2", volume.ReadWrite, "attached to node n1"},
		{"writer beside readers", read("n1", "n2"), "n3", volume.ReadWrite, "attached to nodes n1, n2"},
		{"reader again", read("n1", "n2"), "n2", volume.ReadOnly, "attached to nodes n1, n2"},
		{"reader again, to write", read("n1"), "n1", volume.ReadWrite, "attached to node n1"},
		{"no mode", read("n1"), "n2", "", "attached to node n1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.story(t)
			before := s.record
			command := s.command(volume.VerbAttach, volume.Args{Node: test.node, Mode: test.mode})
			_, err := s.decide(command)
			if volume.CodeOf(err) != volume.ErrInvalidTransition || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %v saying %q", err, volume.ErrInvalidTransition, test.says)
			}
			s.reject(command, err)
			s.wantHeld(volume.StateAttached, nodesOf(before.Attachments))
		})
	}
}

func TestShare_TooManyNodes_IsRefused(t *testing.T) {
	var nodes []volume.Node
	for i := range volume.MaxAttachments {
		nodes = append(nodes, volume.Node(fmt.Sprintf("n%02d", i)))
	}
	s := readBy(t, nodes[1:]...)
	s.take(volume.VerbAttach, volume.Args{Node: nodes[0], Mode: volume.ReadOnly})
	s.succeed()
	_, err := s.decide(s.command(volume.VerbAttach, volume.Args{Node: "another", Mode: volume.ReadOnly}))
	if volume.CodeOf(err) != volume.ErrTooManyNodes || volume.ClassOf(err) != volume.FailedPrecondition {
		t.Errorf("got %v, want %v", err, volume.ErrTooManyNodes)
	}
}

func TestShare_Detach_Node(t *testing.T) {
	for _, test := range []struct {
		node volume.Node
		want volume.Code
		says string
	}{
		{"n1", "", ""},
		{"n2", "", ""},
		{"", volume.ErrNodeRequired, "attached to nodes n1, n2: which node?"},
		{"n3", volume.ErrNodeMismatch, "attached to nodes n1, n2, not n3"},
	} {
		s := readBy(t, "n1", "n2")
		_, err := s.decide(s.command(volume.VerbDetach, volume.Args{Node: test.node}))
		if (err == nil) != (test.want == "") || err != nil && (volume.CodeOf(err) != test.want || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("node %q: got %v, want %q saying %q", test.node, err, test.want, test.says)
		}
		if test.want == "" && fsm.DetachNode(s.record) != test.node {
			t.Errorf("node %q: got %q to be detached", test.node, fsm.DetachNode(s.record))
		}
	}
}

func TestShare_DeleteWhileRead_IsRefused(t *testing.T) {
	s := readBy(t, "n1", "n2")
	_, err := s.decide(s.command(volume.VerbDelete, volume.Args{}))
	if volume.CodeOf(err) != volume.ErrInvalidTransition || !strings.Contains(err.Error(), "nodes n1, n2") {
		t.Errorf("got %v, want %v naming both", err, volume.ErrInvalidTransition)
	}
}

func TestShare_Resize_KeepsTheReaders(t *testing.T) {
	s := readBy(t, "n1", "n2")
	s.begin(volume.VerbResize)
	s.wantHeld(volume.StateExtending, "n1 n2")
	s.succeed()
	s.wantHeld(volume.StateAttached, "n1 n2")
}

// A failure is nothing to the nodes that held it before, whatever becomes of it.
func TestShare_AttemptFails_KeepsTheOthers(t *testing.T) {
	for _, test := range []struct {
		name  string
		begin func(*story)
		work  volume.State // while it is tried
		done  string       // who holds it when it has succeeded
	}{
		{"attach", func(s *story) { s.take(volume.VerbAttach, volume.Args{Node: "n3", Mode: volume.ReadOnly}) }, volume.StateAttaching, "n1 n2 n3"},
		{"detach", func(s *story) { s.take(volume.VerbDetach, volume.Args{Node: "n2"}) }, volume.StateDetaching, "n1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := readBy(t, "n1", "n2")
			test.begin(s)
			s.fail(errBusy)
			s.wantHeld(test.work+"_failed", "n1 n2")
			s.retry()
			s.wantHeld(test.work, "n1 n2")
			again := *s
			s.succeed()
			s.wantHeld(volume.StateAttached, test.done)
			s = &again
			s.fail(errBroken)
			s.giveUp()
			s.wantHeld(volume.StateError, "n1 n2")
		})
	}
}

// The rows of requirement A8 for a volume that several nodes hold.
func TestShare_Reconcile_DecisionTable(t *testing.T) {
	broken := func(t testing.TB) *story {
		s := readBy(t, "n1", "n2")
		s.take(volume.VerbDetach, volume.Args{Node: "n1"})
		s.fail(errBroken)
		s.giveUp()
		return s
	}
	read := func(t testing.TB) *story { return readBy(t, "n1", "n2") }
	for _, test := range []struct {
		name  string
		story func(testing.TB) *story
		seen  fsm.Observation
		to    volume.State
		nodes string
		drift string
	}{
		{"error, absent", broken, absent, volume.StatePending, "", ""},
		{"error, on no node", broken, present(volume.GiB, nil), volume.StateAvailable, "", ""},
		{"error, on all of them", broken, shared("n1", "n2"), volume.StateAttached, "n1 n2", ""},
		{"error, on others", broken, shared("n2", "n3", "n4"), volume.StateAttached, "n2 n3 n4", ""},
		{"error, on a writer", broken, present(volume.GiB, on("n3")), volume.StateAttached, "n3", ""},
		{"attached, as recorded", read, shared("n1", "n2"), volume.StateAttached, "n1 n2", ""},
		{"attached, on one of them", read, shared("n2"), volume.StateAttached, "n1 n2", "node: wanted n1, n2, actual n2"},
		{"attached, on one more", read, shared("n1", "n2", "n3"), volume.StateAttached, "n1 n2", "node: wanted n1, n2, actual n1, n2, n3"},
		{"attached, on none", read, present(volume.GiB, nil), volume.StateAttached, "n1 n2", "node: wanted n1, n2, actual nothing"},
		{"attached, absent", read, absent, volume.StateError, "n1 n2", "ghost: wanted 1GiB, actual nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.story(t)
			decision := s.reconcile(test.seen)
			s.wantHeld(test.to, test.nodes)
			checkReconciled(t, decision, test.drift, test.drift != "")
		})
	}
}

// A cancelled operation ends where the backend really is.
func TestShare_Cancelled_IsHeldAsTheBackendHasIt(t *testing.T) {
	attach := func(s *story) { s.take(volume.VerbAttach, volume.Args{Node: "n3", Mode: volume.ReadOnly}) }
	detach := func(s *story) { s.take(volume.VerbDetach, volume.Args{Node: "n2"}) }
	for _, test := range []struct {
		name  string
		begin func(*story)
		seen  fsm.Observation
		to    volume.State
		nodes string
	}{
		{"attach not done", attach, shared("n1", "n2"), volume.StateAttached, "n1 n2"},
		{"attach done", attach, shared("n1", "n2", "n3"), volume.StateAttached, "n1 n2 n3"},
		{"attach, absent", attach, absent, volume.StateError, "n1 n2"},
		{"attach, on a node never asked for", attach, shared("n1", "n2", "n9"), volume.StateError, "n1 n2"},
		{"detach not done", detach, shared("n1", "n2"), volume.StateAttached, "n1 n2"},
		{"detach done", detach, shared("n1"), volume.StateAttached, "n1"},
		{"detach, all are gone", detach, present(volume.GiB, nil), volume.StateAvailable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := readBy(t, "n1", "n2")
			test.begin(s)
			s.fail(errCancel)
			s.settle(test.seen)
			s.wantHeld(test.to, test.nodes)
		})
	}
}

func TestShare_SucceedWithoutAnAttachment_IsRefused(t *testing.T) {
	s := readBy(t, "n1")
	s.take(volume.VerbAttach, volume.Args{Node: "n2", Mode: volume.ReadOnly})
	_, err := s.step(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Succeed(r, nil, now) })
	if volume.CodeOf(err) != volume.ErrInvalidTransition {
		t.Errorf("got %v, want %v", err, volume.ErrInvalidTransition)
	}
}
