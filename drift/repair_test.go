package drift_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/drift"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// planted is one way in which a backend differs, and what becomes of it by either plan.
type planted struct {
	name  string
	plant func(s *system)
	// record and backend are the verbs of the plans, or a part of the obstacle.
	record, backend string
	// after are the states that the plans leave; empty where there is no plan.
	afterRecord, afterBackend volume.State
}

// strange has the backend give the volume's place to another one.
func (s *system) strange(name string) {
	ref := s.ref(name)
	s.must(s.driver.Delete(s.ctx, ref))
	s.must(s.driver.Create(s.ctx, backends.Ref{Key: key(name), ID: volume.NewID(key(name), 99), Epoch: ref.Epoch}, volume.MiB))
}

func differences() []planted {
	attach := func(s *system, name string, node volume.Node) {
		_, err := s.driver.Attach(s.ctx, s.ref(name), node, volume.ReadWrite)
		s.must(err)
	}
	return []planted{
		{
			"ghost", func(s *system) { s.create("ghost"); s.must(s.driver.Delete(s.ctx, s.ref("ghost"))) },
			"no command brings its data back", "reconcile delete", "", volume.StateDeleted,
		},
		{
			"owner", func(s *system) { s.create("owner"); s.strange("owner") },
			"which no command for default.owner.1 touches", "delete adopt", "", volume.StateAvailable,
		},
		{
			"owner-held", func(s *system) {
				s.create("owner-held")
				s.attach("owner-held", "n1")
				s.must(s.driver.Detach(s.ctx, s.ref("owner-held"), "n1"))
				s.strange("owner-held")
			},
			"which no command", "detach it first", "", "",
		},
		{
			"larger", func(s *system) { s.create("larger"); s.enlarge([]string{"larger"}) },
			"no command makes a volume smaller", "reconcile", "", volume.StateAvailable,
		},
		{
			"smaller", func(s *system) {
				s.create("smaller")
				ref := s.ref("smaller")
				s.must(s.driver.Delete(s.ctx, ref))
				s.must(s.driver.Create(s.ctx, ref, volume.MiB/2))
			},
			"reconcile resize", "reconcile", volume.StateAvailable, volume.StateAvailable,
		},
		{
			"taken", func(s *system) { s.create("taken"); attach(s, "taken", "n9") },
			"reconcile detach", "reconcile", volume.StateAvailable, volume.StateAttached,
		},
		{
			"let-go", func(s *system) {
				s.create("let-go")
				s.attach("let-go", "n1")
				s.must(s.driver.Detach(s.ctx, s.ref("let-go"), "n1"))
			},
			"reconcile attach", "reconcile", volume.StateAttached, volume.StateAvailable,
		},
		{
			"moved", func(s *system) {
				s.create("moved")
				s.attach("moved", "n1")
				s.must(s.driver.Detach(s.ctx, s.ref("moved"), "n1"))
				attach(s, "moved", "n2")
			},
			"reconcile detach attach", "reconcile", volume.StateAttached, volume.StateAttached,
		},
		{
			"orphan", func(s *system) { s.orphan("orphan") },
			"adopt delete", "adopt", volume.StateDeleted, volume.StateAvailable,
		},
		{
			"held-orphan", func(s *system) {
				id := s.orphan("held-orphan")
				_, err := s.driver.Attach(s.ctx, backends.Ref{Key: key("held-orphan"), ID: id}, "n3", volume.ReadWrite)
				s.must(err)
			},
			"adopt detach delete", "adopt", volume.StateDeleted, volume.StateAttached,
		},
	}
}

// TestRepair_EveryKind_EndsInAgreement carries out what plans say, on a volume each.
func TestRepair_EveryKind_EndsInAgreement(t *testing.T) {
	for _, side := range drift.Sides() {
		t.Run(string(side), func(t *testing.T) {
			s := start(t)
			for _, p := range differences() {
				p.plant(s)
			}
			s.sweep()
			s.settle()
			for _, p := range differences() {
				s.repair(p, side)
			}
			s.sweep()
			s.settle()
			for _, p := range differences() {
				finding, found := s.finding(key(p.name).String())
				if _, after := p.of(side); found != (after == "") {
					t.Errorf("%s: after the repair there is a finding: %v, %+v", p.name, found, finding.Differences)
				}
			}
		})
	}
}

func (p planted) of(side drift.Side) (verbs string, after volume.State) {
	if side == drift.Record {
		return p.record, p.afterRecord
	}
	return p.backend, p.afterBackend
}

func (s *system) repair(p planted, side drift.Side) {
	s.t.Helper()
	finding, found := s.finding(key(p.name).String())
	if !found {
		s.t.Fatalf("%s: not found", p.name)
	}
	entry, err := s.records.ByKey(s.ctx, key(p.name))
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		s.t.Fatal(err)
	}
	want, after := p.of(side)
	plan := drift.Repair(finding, entry.Value, side)
	if after == "" {
		if len(plan.Steps) > 0 || !strings.Contains(plan.Obstacle, want) {
			s.t.Errorf("%s: got plan %+v, want the obstacle %q", p.name, plan, want)
		}
		return
	}
	var verbs []string
	var state volume.State
	for _, step := range plan.Steps {
		verbs = append(verbs, string(step.Verb))
		reply, err := s.client.Do(s.ctx, commands.Request{Key: key(p.name), Verb: step.Verb, Args: step.Args})
		if err != nil {
			s.t.Errorf("%s: %s: %v", p.name, step.Verb, err)
		}
		state = reply.State
	}
	if got := strings.Join(verbs, " "); got != want || plan.Obstacle != "" || state != after {
		s.t.Errorf("%s: got %q (%s) and then %s, want %q and then %s", p.name, got, plan.Obstacle, state, want, after)
	}
}

// TestRepair_NameTakenElsewhere_IsAnObstacle: the name of an orphan is of a volume on another
// backend.
func TestRepair_NameTakenElsewhere_IsAnObstacle(t *testing.T) {
	finding := drift.Finding{Key: key("db-01"), Kinds: []volume.DriftKind{volume.DriftOrphan}, Backend: "old", ObjectID: "default.db-01.1"}
	record := volume.Record{Key: key("db-01"), ID: "default.db-01.4", State: volume.StateAvailable, Spec: volume.Spec{Backend: "new"}}
	for _, side := range drift.Sides() {
		if plan := drift.Repair(finding, record, side); !strings.Contains(plan.Obstacle, "by its own tools") || len(plan.Steps) > 0 {
			t.Errorf("%s: got %+v, want an obstacle", side, plan)
		}
	}
}
