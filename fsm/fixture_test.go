package fsm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// epoch is when every test's story begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var dbKey = volume.Key{Project: "default", Name: "db-01"}

// Faults of a backend: two that are tried again, and those that are not.
var (
	errBusy   = volume.BackendError(fmt.Errorf("image locked: %w", volume.Busy))
	errDown   = volume.BackendError(fmt.Errorf("no answer: %w", volume.Unavailable))
	errBroken = volume.BackendError(fmt.Errorf("bad image: %w", volume.Internal))
	errHeld   = volume.BackendError(fmt.Errorf("held by another node: %w", volume.FailedPrecondition))
	errNone   = volume.BackendError(fmt.Errorf("no image: %w", volume.NotFound))
	errTaken  = volume.BackendError(fmt.Errorf("another volume is here: %w", volume.AlreadyExists))
	errCancel = volume.Errorf(volume.ErrCancelled, "cancelled by command c-99")
)

// story tells a volume's life step by step. Each step checks that the record that went
// in was left as it was; time passes by one second a step.
type story struct {
	t      rapid.TB
	record volume.Record
	now    time.Time
	policy fsm.RetryPolicy
	told   []volume.Transition // every event so far
	count  int                 // of commands
	make   volume.Args         // of the usual create
}

func newStory(t rapid.TB) *story {
	return &story{
		t: t, now: epoch, policy: fsm.DefaultRetryPolicy(),
		record: volume.Record{SchemaVersion: volume.SchemaVersion, Key: dbKey, State: volume.StatePending},
		make:   volume.Args{Size: volume.GiB, Labels: volume.Labels{"team": "db"}},
	}
}

// command returns the next command of the story, as the worker completes it.
func (s *story) command(verb volume.Verb, args volume.Args) volume.Command {
	s.count++
	command := volume.Command{
		ID: volume.CommandID(fmt.Sprintf("c-%d", s.count)), Key: dbKey, Verb: verb, Args: args,
		Backend: "local", Actor: "alice", Sequence: uint64(s.count) * 10, TraceParent: "00-0af7-b7ad-01",
	}
	if !args.Source.IsZero() || verb == volume.VerbRestore || verb == volume.VerbDeleteSnapshot {
		command.SourceSize = keptSize
	}
	return command
}

// usual returns a command with arguments that a volume in the right state accepts.
func (s *story) usual(verb volume.Verb) volume.Command {
	var args volume.Args
	switch verb {
	case volume.VerbCreate:
		args = s.make
	case volume.VerbAttach:
		args = volume.Args{Node: "n1", Mode: volume.ReadWrite}
	case volume.VerbResize:
		args = volume.Args{Size: s.record.Size + volume.GiB}
	case volume.VerbNodeGone:
		args = volume.Args{Node: "n1", Reason: "lost power"}
	case volume.VerbSnapshot, volume.VerbDeleteSnapshot, volume.VerbRestore:
		args = volume.Args{Snapshot: "monday"}
	default: // no arguments
	}
	return s.command(verb, args)
}

// ofImage makes the command that of an image, as the worker completes it.
func ofImage(command volume.Command) volume.Command {
	command.Args.Image, command.Args.Size = "web-disk", 0
	command.Plan = &volume.Plan{Backend: command.Backend, Image: "web-disk", Size: imageSize, Becomes: "default.db-01.img"}
	return command
}

// imageSize is how large the image is that an adopt takes in.
const imageSize = 5 * volume.GiB

// step takes one decision and makes its record the story's own.
func (s *story) step(decide func(volume.Record, time.Time) (fsm.Decision, error)) (fsm.Decision, error) {
	s.t.Helper()
	s.now = s.now.Add(time.Second)
	given := withSpareRoom(s.record)
	before := fingerprint(s.t, given)
	decision, err := decide(given, s.now)
	if after := fingerprint(s.t, given); after != before {
		s.t.Fatalf("the record that went in was changed:\n%s\n%s", before, after)
	}
	if err == nil {
		s.record = decision.Record
		if decision.Transition != nil {
			s.told = append(s.told, *decision.Transition)
		}
	}
	return decision, err
}

func (s *story) must(decide func(volume.Record, time.Time) (fsm.Decision, error)) fsm.Decision {
	s.t.Helper()
	decision, err := s.step(decide)
	if err != nil {
		s.t.Fatal(err)
	}
	return decision
}

func (s *story) decide(command volume.Command) (fsm.Decision, error) {
	s.t.Helper()
	return s.step(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Decide(r, command, now) })
}

func (s *story) begin(verb volume.Verb) fsm.Decision {
	s.t.Helper()
	command := s.usual(verb)
	if verb == volume.VerbAdopt { // the other one begins no operation
		command = ofImage(command)
	}
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Decide(r, command, now) })
}

func (s *story) succeed() fsm.Decision {
	s.t.Helper()
	var attachment *volume.Attachment
	if op := s.record.Op; op != nil && op.Verb == volume.VerbAttach {
		attachment = onAs(op.Args.Node, op.Args.Mode)
	}
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Succeed(r, attachment, now) })
}

// evicted ends a node_gone, with what the backend has after it.
func (s *story) evicted(seen fsm.Observation) fsm.Decision {
	s.t.Helper()
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Evicted(r, seen, now) })
}

func (s *story) fail(cause error) fsm.Decision {
	s.t.Helper()
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Fail(r, cause, s.policy, now)
	})
}

func (s *story) progress(p volume.Progress) fsm.Decision {
	s.t.Helper()
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Advance(r, p, now) })
}

func (s *story) retry() fsm.Decision  { s.t.Helper(); return s.must(fsm.Retry) }
func (s *story) giveUp() fsm.Decision { s.t.Helper(); return s.must(fsm.GiveUp) }

func (s *story) settle(seen fsm.Observation) fsm.Decision {
	s.t.Helper()
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) { return fsm.Settle(r, seen, now) })
}

func (s *story) reconcile(seen fsm.Observation) fsm.Decision {
	s.t.Helper()
	command := s.usual(volume.VerbReconcile)
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Reconcile(r, command, seen, now)
	})
}

func (s *story) reject(command volume.Command, why error) fsm.Decision {
	s.t.Helper()
	return s.must(func(r volume.Record, now time.Time) (fsm.Decision, error) {
		return fsm.Reject(r, command, why, now), nil
	})
}

// run carries one command out, well.
func (s *story) run(verb volume.Verb) fsm.Decision {
	s.t.Helper()
	s.begin(verb)
	return s.succeed()
}

// on returns a writing node's attachment.
func on(node volume.Node) *volume.Attachment { return onAs(node, volume.ReadWrite) }

func onAs(node volume.Node, mode volume.Mode) *volume.Attachment {
	return &volume.Attachment{Node: node, Mode: mode, Connection: map[string]string{"path": "/dev/" + string(node)}}
}

// What a backend may have of the volume.
var absent = fsm.Observation{}

func present(size volume.Bytes, attachment *volume.Attachment) fsm.Observation {
	seen := fsm.Observation{Present: true, Size: size}
	if attachment != nil {
		seen.Attachments = volume.Attachments{*attachment}
	}
	return seen
}

// shared is what a backend has of a volume that these nodes read, named in their order.
func shared(nodes ...volume.Node) fsm.Observation {
	seen := present(volume.GiB, nil)
	for _, node := range nodes {
		seen.Attachments = append(seen.Attachments, *onAs(node, volume.ReadOnly))
	}
	return seen
}

// nodesOf are the names of the nodes: `n1 n2`.
func nodesOf(holders volume.Attachments) string {
	var names []string
	for _, one := range holders {
		names = append(names, string(one.Node))
	}
	return strings.Join(names, " ")
}

// withSpareRoom gives the record's lists room behind their end, where a careless append
// would write into memory that other records share.
func withSpareRoom(r volume.Record) volume.Record {
	if len(r.Attachments) > 0 {
		r.Attachments = append(make(volume.Attachments, 0, len(r.Attachments)+4), r.Attachments...)
	}
	r.Outbox = append(make([]volume.Transition, 0, len(r.Outbox)+4), r.Outbox...)
	r.Outcomes = append(make([]volume.Outcome, 0, len(r.Outcomes)+4), r.Outcomes...)
	return r
}

// fingerprint is all of the record, the room behind its lists included.
func fingerprint(t rapid.TB, r volume.Record) string {
	t.Helper()
	r.Attachments = r.Attachments[:cap(r.Attachments)]
	r.Outbox = r.Outbox[:cap(r.Outbox)]
	r.Outcomes = r.Outcomes[:cap(r.Outcomes)]
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
