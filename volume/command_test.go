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

		{"verb", func(c *volume.Command) { c.Verb = volume.VerbResize }, false},
		{"size", func(c *volume.Command) { c.Args.Size++ }, false},
		{"backend", func(c *volume.Command) { c.Args.Backend = "" }, false},
		{"labels", func(c *volume.Command) { c.Args.Labels = volume.Labels{"a": "1"} }, false},
		{"node", func(c *volume.Command) { c.Args.Node = "n2" }, false},
		{"mode", func(c *volume.Command) { c.Args.Mode = volume.ReadWrite }, false},
		{"target", func(c *volume.Command) { c.Args.Target = "" }, false},
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
