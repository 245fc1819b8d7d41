package worker_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
	"github.com/jetvol/jetvol/worker/ownership"
)

// TestWorker_StoppedInABackendCall_ChangesNothingAfterwards: a worker is stopped in the
// middle of a backend call, as by SIGSTOP. Another carries the operation on and takes the
// volume further. Then the first goes on where it was.
func TestWorker_StoppedInABackendCall_ChangesNothingAfterwards(t *testing.T) {
	request := func(verb volume.Verb, args volume.Args) commands.Request {
		return commands.Request{Key: key("v"), Verb: verb, Args: args}
	}
	create := request(volume.VerbCreate, volume.Args{Size: volume.MiB})
	attach := request(volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite})
	elsewhere := request(volume.VerbAttach, volume.Args{Node: "n2", Mode: volume.ReadWrite})
	detach, remove := request(volume.VerbDetach, volume.Args{}), request(volume.VerbDelete, volume.Args{})
	resize := request(volume.VerbResize, volume.Args{Size: 2 * volume.MiB})
	further := request(volume.VerbResize, volume.Args{Size: 3 * volume.MiB})
	for name, test := range map[string]struct {
		before []commands.Request
		during commands.Request
		after  []commands.Request
	}{
		"create": {nil, create, []commands.Request{remove}},
		"attach": {[]commands.Request{create}, attach, []commands.Request{detach}},
		"detach": {[]commands.Request{create, attach}, detach, []commands.Request{attach}},
		"resize": {[]commands.Request{create}, resize, []commands.Request{further, elsewhere}},
		"delete": {[]commands.Request{create}, remove, []commands.Request{create}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			first := s.startPeer("first")
			var want []volume.Event
			for _, r := range test.before {
				want = append(want, s.succeed(r)...)
			}
			frozen, thaw := first.freeze(string(test.during.Verb), "v")
			receipt := s.publish(test.during)
			<-frozen
			s.startPeer("second")
			s.awaitEvent("v", ofCommand(receipt.CommandID))
			want = append(want, lifeOf(test.during)...)
			for _, r := range test.after {
				want = append(want, s.succeed(r)...)
			}
			if name == "delete" {
				want = slices.Replace(want, len(want)-2, len(want)-1, volume.EventRecreate)
			}
			thaw()
			s.await("the late call's refusal", func() bool { return errors.Is(first.lastFault(), volume.ErrFenced) })
			must(t, first.stop())
			s.wantWitnesses("v", want...)
			if owner := s.record("v").Owner; owner.Worker != "second" || owner.Epoch != 2 || owner.Fencing {
				t.Errorf("owner: got %+v, want second in epoch 2", owner)
			}
		})
	}
}

// succeed carries the command out and returns its events.
func (s *system) succeed(r commands.Request) []volume.Event {
	s.t.Helper()
	if reply := s.do(r); reply.Outcome != volume.Succeeded {
		s.t.Fatalf("%s: %+v", r.Verb, reply)
	}
	return lifeOf(r)
}

// lifeOf returns the events of a command that succeeds at once.
func lifeOf(r commands.Request) []volume.Event {
	return map[volume.Verb][]volume.Event{
		volume.VerbCreate: {volume.EventCreate, volume.EventReady},
		volume.VerbAttach: {volume.EventAttach, volume.EventAttached},
		volume.VerbDetach: {volume.EventDetach, volume.EventDetached},
		volume.VerbResize: {volume.EventExtend, volume.EventExtended},
		volume.VerbDelete: {volume.EventDelete, volume.EventDeleted},
	}[r.Verb]
}

// TestWorker_WhoHoldsIt_CanBeReadWithoutAskingIt: owner, step, attempt and queue of a
// volume whose worker is stopped.
func TestWorker_WhoHoldsIt_CanBeReadWithoutAskingIt(t *testing.T) {
	s := prepare(t)
	first := s.startPeer("first")
	frozen, thaw := first.freeze("create", "v")
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbCreate, Args: volume.Args{Size: volume.MiB}})
	s.publish(commands.Request{Key: key("v"), Verb: volume.VerbDelete})
	<-frozen
	defer thaw()

	record := s.record("v")
	if o := record.Owner; o.Worker != "first" || o.Epoch != 1 || o.Since.IsZero() {
		t.Errorf("owner: got %+v", o)
	}
	if op := record.Op; op == nil || op.CommandID != receipt.CommandID || op.Attempt != 1 || op.Verb != volume.VerbCreate {
		t.Errorf("operation: got %+v", op)
	}
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	must(t, err)
	queued, err := stream.GetMsg(s.ctx, receipt.Sequence)
	must(t, err)
	address, err := commands.ParseSubject(queued.Subject)
	must(t, err)
	if got := s.queued("v"); got != 2 {
		t.Errorf("commands not ended: got %d, want 2", got)
	}
	lease, err := kv.Open[ownership.Lease](s.js, kv.LeasesBucket).Get(s.ctx, ownership.LeaseKey("first"))
	must(t, err)
	if !slices.Contains(lease.Value.Partitions, address.Partition) {
		t.Errorf("lease of the owner: got %+v, want partition %d in it", lease.Value, address.Partition)
	}
}

// queued counts the commands of a volume that are not ended, as anybody can.
func (s *system) queued(name string) uint64 {
	s.t.Helper()
	stream, err := s.js.Stream(s.ctx, commands.StreamName)
	s.must(err)
	info, err := stream.Info(s.ctx, jetstream.WithSubjectFilter("volume.command.*."+key(name).String()+".*"))
	s.must(err)
	total := uint64(0)
	for _, count := range info.State.Subjects {
		total += count
	}
	return total
}

// TestWorker_BackendHasSeenAHigherEpoch_IsOutbid: the records come from an older copy.
func TestWorker_BackendHasSeenAHigherEpoch_IsOutbid(t *testing.T) {
	s := start(t)
	s.create("v", volume.MiB)
	ref := backends.Ref{Key: key("v"), ID: s.record("v").ID, Epoch: 40}
	must(t, s.backend.Driver.Fence(s.ctx, ref))
	s.wantReply(s.attach("v", "n1"), volume.Succeeded, volume.StateAttached, "")
	if owner := s.record("v").Owner; owner.Epoch != 41 || owner.Fencing {
		t.Errorf("owner: got %+v, want epoch 41", owner)
	}
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}

// TestWorker_FenceBusy_IsWaitedForWithoutAnAttempt: the former owner is stopped inside
// the driver, where it holds the backend's lock.
func TestWorker_FenceBusy_IsWaitedForWithoutAnAttempt(t *testing.T) {
	s := prepare(t)
	first := s.startPeer("first")
	s.create("v", volume.MiB)
	frozen, thaw := first.freeze("attach", "v")
	receipt := s.publish(commands.Request{Key: key("v"), Verb: volume.VerbAttach, Args: volume.Args{Node: "n1", Mode: volume.ReadWrite}})
	<-frozen
	second := s.startPeer("second", func(p *peer) {
		refusals := 0
		p.fencing(func() error {
			if refusals++; refusals <= 6 { // more often than an operation is tried
				return backends.Errorf(volume.Busy, "locked")
			}
			return nil
		})
	})
	s.awaitEvent("v", ofCommand(receipt.CommandID))
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
	thaw()
	must(t, first.stop())
	must(t, second.stop())
	s.wantWitnesses("v", volume.EventCreate, volume.EventReady, volume.EventAttach, volume.EventAttached)
}
