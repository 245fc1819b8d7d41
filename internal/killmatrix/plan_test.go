package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/internal/verify"
	"github.com/jetvol/jetvol/volume"
)

// Whatever the seed, a plan can be published, is the same again, and crowds the record
// where it has to.
func TestNewPlan_EveryCellAndSeed_CanBeCarriedOut(t *testing.T) {
	for _, c := range cells() {
		for seed := range uint64(20) {
			p := newPlan(c, seed, "p")
			if again := newPlan(c, seed, "p"); !reflect.DeepEqual(p, again) {
				t.Fatalf("%s, seed %d: two plans", c, seed)
			}
			ids := map[volume.CommandID]bool{}
			for _, a := range p.all(c) {
				command := volume.Command{ID: a.ID, Key: a.Key, Verb: a.Verb, Args: a.Args, Preconditions: a.Preconditions}
				if _, err := commands.NewMessage(command, ""); err != nil {
					t.Fatalf("%s, seed %d: %v", c, seed, err)
				}
				if ids[a.ID] {
					t.Fatalf("%s, seed %d: command %s twice", c, seed, a.ID)
				}
				ids[a.ID] = true
			}
			if before := p.before(); c.scenario == crowded && before != fsm.MaxOutcomes {
				t.Errorf("%s, seed %d: %d answers before the command, want %d", c, seed, before, fsm.MaxOutcomes)
			}
			if strings.ContainsAny(p.kill.fact, `;="`) { // they mean something to gofail
				t.Errorf("%s, seed %d: fact %q", c, seed, p.kill.fact)
			}
		}
	}
}

// before counts the volume's own commands before the one in whose course the worker dies.
func (p plan) before() int {
	count := 0
	for _, a := range append(slices.Clone(p.prepare), p.lead...) {
		if a.Key == p.key {
			count++
		}
	}
	return count
}

// all returns the commands of a plan; a repeated one is among those that prepare.
func (p plan) all(c cell) []ask {
	asks := append([]ask{}, p.prepare...)
	asks = append(asks, p.lead...)
	if c.column.name != repeated {
		asks = append(asks, p.command)
	}
	return append(asks, p.behind...)
}

func TestNewPlan_Malformed_CannotBeDecoded(t *testing.T) {
	for _, payload := range malformedPayloads {
		msg := commands.Incoming{Subject: "volume.command.1.p.v.create", Sequence: 1, Data: []byte(payload)}
		if _, err := commands.Decode(msg); err == nil {
			t.Errorf("%q can be decoded", payload)
		}
	}
	for _, c := range cells() {
		if p := newPlan(c, 1, "p"); (p.command.kind == verify.Malformed) != (c.column.name == malformed) {
			t.Errorf("%s: command is %s", c, p.command.kind)
		}
	}
}

func TestNewPlan_Seeds_Differ(t *testing.T) {
	running, behind, flushed, names := map[bool]bool{}, map[bool]bool{}, map[bool]bool{}, map[volume.Name]bool{}
	c, why := at(operation(volume.VerbAttach), pointNamed(t, "after-ack"))
	if why != "" {
		t.Fatal(why)
	}
	for seed := range uint64(20) {
		p := newPlan(c, seed, "p")
		running[p.running], behind[len(p.behind) > 0], names[p.key.Name] = true, true, true
		flushed[strings.HasSuffix(p.kill.fact, " flushed")] = true
	}
	if len(running) < 2 || len(behind) < 2 || len(flushed) < 2 || len(names) < 15 {
		t.Errorf("20 seeds: running %v, behind %v, flushed %v, %d names", running, behind, flushed, len(names))
	}
}

// Half of all attaches and detaches are of a volume that another node reads, and stays so.
func TestNewPlan_AttachAndDetach_AreSharedAtTimes(t *testing.T) {
	for _, verb := range []volume.Verb{volume.VerbAttach, volume.VerbDetach} {
		c, why := at(operation(verb), pointNamed(t, "after-ack"))
		if why != "" {
			t.Fatal(why)
		}
		shared := 0
		for seed := range uint64(20) {
			var holders volume.Attachments
			p := newPlan(c, seed, "p")
			for _, a := range p.prepare {
				if a.Verb == volume.VerbAttach {
					holders = holders.With(volume.Attachment{Node: a.Args.Node, Mode: a.Args.Mode})
				}
			}
			_, held := holders.Of(p.command.Args.Node)
			if verb == volume.VerbAttach && len(holders) == 1 && holders.Admits(p.command.Args.Mode) && !held ||
				verb == volume.VerbDetach && len(holders) == 2 && holders.ReadOnly() && held {
				shared++
			}
		}
		if shared < 4 || shared > 16 {
			t.Errorf("%s: shared in %d of 20 plans, want about half", verb, shared)
		}
	}
}

func pointNamed(t *testing.T, name string) point {
	t.Helper()
	for _, p := range points() {
		if p.name == name {
			return p
		}
	}
	t.Fatalf("no point %s", name)
	return point{}
}

func TestEnvironment_Terms(t *testing.T) {
	got := environment(nil, []arming{
		{places: []string{"a", "b"}, fact: "result attach/2"},
		{places: []string{"c"}, fact: "spill", skip: 3},
	})
	if want := `a=return("result attach/2");b=return("result attach/2");c=3*off->return("spill")`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
