package volume_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

func TestCommandID_Validate(t *testing.T) {
	valid := []volume.CommandID{
		"a", "0", "AbC-1_2.3:4/5@6=7+8", "01J9Z3K5", volume.CommandID(strings.Repeat("i", volume.MaxCommandIDLength)),
	}
	refused := []volume.CommandID{
		"", "-a", ".a", "a b", "a\n", "a*", "a>", "a\x00", "é", "\xff", "seq-1", "seq-",
		volume.CommandID(strings.Repeat("i", volume.MaxCommandIDLength+1)),
	}
	for _, id := range valid {
		if err := id.Validate(); err != nil {
			t.Errorf("command id %q: got %v, want it valid", id, err)
		}
	}
	for _, id := range refused {
		if err := id.Validate(); !errors.Is(err, volume.ErrInvalidCommandID) {
			t.Errorf("command id %q: got %v, want %v", id, err, volume.ErrInvalidCommandID)
		}
	}
}

func TestDerivedCommandID_MeetsNoPublishersID(t *testing.T) {
	stored := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	id := volume.DerivedCommandID(17, stored)
	if want := volume.CommandID("seq-17-dgrfgbt3myo0"); id != want {
		t.Errorf("got %s, want %s: the id of a stored command must never change", id, want)
	}
	if err := id.Validate(); !errors.Is(err, volume.ErrInvalidCommandID) {
		t.Errorf("got %v, want a publisher to be refused the derived id", err)
	}
	for _, other := range []volume.CommandID{volume.DerivedCommandID(18, stored), volume.DerivedCommandID(17, stored+1)} {
		if other == id {
			t.Errorf("got %s twice", id)
		}
	}
}

func fullCommand() volume.Command {
	generation := uint64(7)
	return volume.Command{
		ID: "c-1", Key: volume.Key{Project: "default", Name: "db-01"}, Verb: volume.VerbCreate,
		Args: volume.Args{
			Size: volume.GiB, Backend: "ceph-ssd", Labels: volume.Labels{"b": "2", "a": "1", "c": "3"},
			Node: "n1", Mode: volume.ReadOnly, Target: "c-0",
		},
		Preconditions: volume.Preconditions{
			IfState: volume.StatePending, IfGeneration: &generation,
			Deadline: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ValidateOnly: true,
		},
		Backend: "ceph-ssd", Actor: "alice", Sequence: 3, TraceParent: "00-1-2-01",
	}
}

// Digests are stored in records and compared years later: their values are pinned.
func TestCommand_Digest_IsStable(t *testing.T) {
	tests := []struct {
		name    string
		command volume.Command
		want    string
	}{
		{"no arguments", volume.Command{ID: "c-1", Verb: volume.VerbDelete}, "d1eedbcedce64b6febab9bc8"},
		{"all arguments", fullCommand(), "9fdc6bd733cc138012b1179f"},
	}
	for _, test := range tests {
		for range 20 { // labels are a map
			if got := test.command.Digest(); got != test.want {
				t.Fatalf("%s: got %s, want %s", test.name, got, test.want)
			}
		}
	}
}

// These were computed before there were snapshots: a command from then that comes again
// must still be recognised.
func TestCommand_Digest_IsThatOfBefore(t *testing.T) {
	generation := uint64(4)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		verb   volume.Verb
		args   volume.Args
		unless volume.Preconditions
		want   string
	}{
		{volume.VerbCreate, volume.Args{Size: volume.GiB}, volume.Preconditions{}, "f19d8968a8728edc984ff809"},
		{
			volume.VerbCreate,
			volume.Args{Size: 10 * volume.GiB, Backend: "local", Labels: volume.Labels{"app": "db", "tier": "gold"}},
			volume.Preconditions{},
			"1b88f91c27a139b9975ffff8",
		},
		{volume.VerbDelete, volume.Args{}, volume.Preconditions{IfState: volume.StateAvailable}, "7d2ba2fe878a99ca3bd09bfe"},
		{volume.VerbDelete, volume.Args{}, volume.Preconditions{Deadline: noon, ValidateOnly: true}, "54d84887996c92bf476f1597"},
		{volume.VerbAttach, volume.Args{Node: "n1", Mode: volume.ReadWrite}, volume.Preconditions{}, "3d8e1e687e56d596373f38b2"},
		{volume.VerbDetach, volume.Args{Node: "n1"}, volume.Preconditions{}, "a7f6e4270e5c04e4b2d2f3c9"},
		{volume.VerbResize, volume.Args{Size: 20 * volume.GiB}, volume.Preconditions{IfGeneration: &generation}, "54f12b34654e3d7353bb2ef5"},
		{volume.VerbReconcile, volume.Args{}, volume.Preconditions{}, "77f6cddcfe9efc8e54346ce7"},
		{volume.VerbCancel, volume.Args{Target: "order-4711"}, volume.Preconditions{}, "4e2fb6eb8cf5594f54bf1e49"},
		{volume.VerbNodeGone, volume.Args{Node: "n1", Reason: "lost power"}, volume.Preconditions{}, "e1e0de0e0000c487e0aebcb2"},
	}
	for _, test := range tests {
		command := volume.Command{Verb: test.verb, Args: test.args, Preconditions: test.unless}
		if got := command.Digest(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.verb, got, test.want)
		}
	}
}

func TestCommand_Digest_CoversTheBodyOnly(t *testing.T) {
	other := uint64(8)
	tests := []struct {
		name   string
		change func(*volume.Command)
		same   bool
	}{
		{"id", func(c *volume.Command) { c.ID = "c-2" }, true},
		{"actor", func(c *volume.Command) { c.Actor = "bob" }, true},
		{"sequence", func(c *volume.Command) { c.Sequence = 4 }, true},
		{"trace", func(c *volume.Command) { c.TraceParent = "" }, true},
		{"resolved backend", func(c *volume.Command) { c.Backend = "default" }, true},
		{"resolved size", func(c *volume.Command) { c.SourceSize = volume.GiB }, true},

		{"verb", func(c *volume.Command) { c.Verb = volume.VerbResize }, false},
		{"size", func(c *volume.Command) { c.Args.Size++ }, false},
		{"backend", func(c *volume.Command) { c.Args.Backend = "" }, false},
		{"labels", func(c *volume.Command) { c.Args.Labels = volume.Labels{"a": "1"} }, false},
		{"node", func(c *volume.Command) { c.Args.Node = "n2" }, false},
		{"mode", func(c *volume.Command) { c.Args.Mode = volume.ReadWrite }, false},
		{"target", func(c *volume.Command) { c.Args.Target = "" }, false},
		{"reason", func(c *volume.Command) { c.Args.Reason = "dead" }, false},
		{"snapshot", func(c *volume.Command) { c.Args.Snapshot = "monday" }, false},
		{"source", func(c *volume.Command) { c.Args.Source = volume.SnapshotKey{Volume: "base", Snapshot: "gold"} }, false},
		{"read_only", func(c *volume.Command) { c.Args.ReadOnly = true }, false},
		{"if_state", func(c *volume.Command) { c.IfState = "" }, false},
		{"if_generation", func(c *volume.Command) { c.IfGeneration = &other }, false},
		{"no if_generation", func(c *volume.Command) { c.IfGeneration = nil }, false},
		{"deadline", func(c *volume.Command) { c.Deadline = c.Deadline.Add(1) }, false},
		{"validate_only", func(c *volume.Command) { c.ValidateOnly = false }, false},
	}
	first := fullCommand().Digest()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			command := fullCommand()
			test.change(&command)
			if same := command.Digest() == first; same != test.same {
				t.Errorf("got same digest %v, want %v", same, test.same)
			}
		})
	}
}
