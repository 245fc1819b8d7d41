//go:build ceph

package acceptance

import (
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/volume"
)

// A nats CLI alone makes a volume, and the rbd tool sees the image.
func TestCeph_NATSCLI_CreatesImage(t *testing.T) {
	s, p := startCeph(t)
	watching := s.subscribe(t, "nats sub 'volume.event.default.db-01.*' --count 2 --subjects-only")
	s.shell(t, `nats pub volume.command.default.db-01.create '{"size":"64MiB"}'`)
	printed, err := watching.end()
	want := []string{
		`…`,
		`[#1] Received on "volume.event.default.db-01.create"`,
		`[#2] Received on "volume.event.default.db-01.ready"`,
	}
	if ok, line := matches(want, printed); err != nil || !ok {
		t.Errorf("nats sub: %v, no match for %q in\n%s", err, line, printed)
	}
	record := s.shell(t, "nats kv get --raw volumes default.db-01")
	if !strings.Contains(record, `"state":"available"`) || !strings.Contains(record, `"backend":"ceph"`) {
		t.Errorf("nats kv get printed\n%s\nwant state available on backend ceph", record)
	}
	if got, want := p.images(t), []string{"jetvol.default.db-01"}; !slices.Equal(got, want) {
		t.Errorf("images: got %q, want %q", got, want)
	}
	if info := p.cluster.RBD(t, "info", p.image("jetvol.default.db-01")); !strings.Contains(info, "size 64 MiB") {
		t.Errorf("rbd info printed\n%s\nwant size 64 MiB", info)
	}
}

// After every command of a volume's life the record, the events and the image agree.
func TestCeph_EveryStep_WitnessesAgree(t *testing.T) {
	s, p := startCeph(t)
	client, driver := s.client(t), p.driver(t)
	_, js := s.connect(t)
	key := volume.Key{Project: "default", Name: "db-01"}
	reads := volume.Args{Node: "node-2", Mode: volume.ReadOnly}
	for i, step := range []struct {
		verb    volume.Verb
		args    volume.Args
		outcome volume.Result
		state   volume.State
		code    volume.Code
	}{
		{verb: volume.VerbCreate, args: volume.Args{Size: 64 * volume.MiB}, state: volume.StateAvailable},
		{verb: volume.VerbAttach, args: volume.Args{Node: "node-1"}, state: volume.StateAttached},
		{verb: volume.VerbAttach, args: volume.Args{Node: "intruder"}, outcome: volume.Rejected, state: volume.StateAttached, code: volume.ErrInvalidTransition},
		{verb: volume.VerbDelete, outcome: volume.Rejected, state: volume.StateAttached, code: volume.ErrInvalidTransition},
		{verb: volume.VerbResize, args: volume.Args{Size: 96 * volume.MiB}, state: volume.StateAttached},
		{verb: volume.VerbDetach, state: volume.StateAvailable},
		{verb: volume.VerbReconcile, state: volume.StateAvailable},
		{verb: volume.VerbAttach, args: reads, state: volume.StateAttached},
		{verb: volume.VerbAttach, args: volume.Args{Node: "node-3", Mode: volume.ReadOnly}, state: volume.StateAttached},
		{verb: volume.VerbDetach, args: volume.Args{Node: "node-2"}, state: volume.StateAttached},
		{verb: volume.VerbNodeGone, args: volume.Args{Node: "node-3", Reason: "it burnt"}, state: volume.StateAvailable},
		{verb: volume.VerbResize, args: volume.Args{Size: 128 * volume.MiB}, state: volume.StateAvailable},
		{verb: volume.VerbDelete, state: volume.StateDeleted},
		{verb: volume.VerbCreate, args: volume.Args{Size: volume.MiB}, state: volume.StateAvailable},
	} {
		if step.outcome == "" {
			step.outcome = volume.Succeeded
		}
		reply := do(t, client, commands.Request{Key: key, Verb: step.verb, Args: step.args, Actor: "test"})
		wantReply(t, reply, step.outcome, step.state, step.code)
		record, seen := readWitnessesOf(t, js, driver, key)
		for _, fault := range disagreements(record, seen.events, seen.object) {
			t.Errorf("step %d, %s: %s", i, step.verb, fault)
		}
		var want []string
		if record.Exists() {
			want = append(want, imageOf(key))
		}
		if got := p.images(t); !slices.Equal(got, want) {
			t.Errorf("step %d, %s: got images %q, want %q", i, step.verb, got, want)
		}
	}
}
