package fsm_test

import (
	"testing"
	"time"

	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

// cleanRun is a life with a failed attempt, a refusal and an end, as its decisions.
func cleanRun(t *testing.T) []fsm.Decision {
	t.Helper()
	s := newStory(t)
	decisions := []fsm.Decision{s.begin(volume.VerbCreate), s.fail(errBusy), s.retry(), s.succeed()} // 0 to 3
	refused := s.usual(volume.VerbDetach)
	_, why := s.decide(refused)
	decisions = append(decisions,
		s.reject(refused, why),                  // 4
		s.begin(volume.VerbAttach), s.succeed(), // 5, 6
		s.begin(volume.VerbDetach), s.succeed()) // 7, 8
	reader := func(verb volume.Verb, node volume.Node) fsm.Decision {
		return s.take(verb, volume.Args{Node: node, Mode: volume.ReadOnly})
	}
	return append(decisions,
		reader(volume.VerbAttach, "n2"), s.succeed(), // 9, 10
		reader(volume.VerbAttach, "n1"), s.succeed(), // 11, 12
		reader(volume.VerbDetach, "n2"), s.succeed()) // 13, 14
}

func firstFault(decisions []fsm.Decision) error {
	c := newChecker()
	for _, d := range decisions {
		if err := c.check(d); err != nil {
			return err
		}
	}
	return nil
}

// edit changes the event of a decision, in the outbox as well.
func edit(d *fsm.Decision, change func(*volume.Transition)) {
	outbox := append([]volume.Transition(nil), d.Record.Outbox...)
	d.Transition = &outbox[len(outbox)-1]
	change(d.Transition)
	d.Record.Outbox = outbox
}

func TestChecker_SeesAPlantedViolation(t *testing.T) {
	if err := firstFault(cleanRun(t)); err != nil {
		t.Fatalf("got %v of a clean run", err)
	}
	plants := map[string]func([]fsm.Decision) []fsm.Decision{
		"event lost":        func(d []fsm.Decision) []fsm.Decision { return append(d[:1:1], d[2:]...) },
		"event told twice":  func(d []fsm.Decision) []fsm.Decision { return append(d[:2:2], d[1:]...) },
		"events exchanged":  func(d []fsm.Decision) []fsm.Decision { d[1], d[2] = d[2], d[1]; return d },
		"generation jumped": func(d []fsm.Decision) []fsm.Decision { d[1].Record.Generation++; return d },
		"event's generation jumped": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[1], func(e *volume.Transition) { e.Generation++ })
			return d
		},
		"event begins elsewhere": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[1], func(e *volume.Transition) { e.From = volume.StateAvailable })
			return d
		},
		"event ends elsewhere": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[5], func(e *volume.Transition) { e.To = volume.StateAttached })
			return d
		},
		"end not told": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[3], func(e *volume.Transition) { e.Final = false })
			return d
		},
		"event tells another size": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[3], func(e *volume.Transition) { e.Spec.Size++ })
			return d
		},
		"refusal has a generation": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[4], func(e *volume.Transition) { e.Generation++ })
			return d
		},
		"refusal moves the volume": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[4], func(e *volume.Transition) { e.To = volume.StateError })
			return d
		},
		"event not in the outbox":   func(d []fsm.Decision) []fsm.Decision { d[1].Record.Outbox = d[0].Record.Outbox; return d },
		"outcome not in the record": func(d []fsm.Decision) []fsm.Decision { d[3].Record.Outcomes = nil; return d },
		"outcome twice":             func(d []fsm.Decision) []fsm.Decision { d[6].Outcome.CommandID = d[3].Outcome.CommandID; return d },
		"success with a failure": func(d []fsm.Decision) []fsm.Decision {
			d[3].Outcome.Failure = d[1].Transition.Failure
			return d
		},
		"id of another life": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[0], func(e *volume.Transition) { e.VolumeID = volume.NewID(dbKey, 7) })
			return d
		},
		"event tells a failure": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[3], func(e *volume.Transition) { e.Failure = d[1].Transition.Failure })
			return d
		},
		"outcome forgotten":               func(d []fsm.Decision) []fsm.Decision { d[3].Outcome = nil; return d },
		"outcome of another":              func(d []fsm.Decision) []fsm.Decision { d[3].Outcome.CommandID = "c-9"; return d },
		"operation left in a settled one": func(d []fsm.Decision) []fsm.Decision { d[3].Record.Op = d[2].Record.Op; return d },
		"operation lost":                  func(d []fsm.Decision) []fsm.Decision { d[1].Record.Op = nil; return d },
		"operation exchanged":             func(d []fsm.Decision) []fsm.Decision { d[1].Record.Op = d[5].Record.Op; return d },
		"still held after a detach": func(d []fsm.Decision) []fsm.Decision {
			d[8].Record.Attachments = volume.Attachments{*on("n1")}
			edit(&d[8], func(e *volume.Transition) { e.Spec = d[8].Record.Spec })
			return d
		},
		"a writer beside readers": func(d []fsm.Decision) []fsm.Decision {
			d[12].Record.Attachments = volume.Attachments{*onAs("n1", volume.ReadOnly), *on("n2")}
			edit(&d[12], func(e *volume.Transition) { e.Spec = d[12].Record.Spec })
			return d
		},
		"nodes out of order": func(d []fsm.Decision) []fsm.Decision {
			d[12].Record.Attachments = volume.Attachments{*onAs("n2", volume.ReadOnly), *onAs("n1", volume.ReadOnly)}
			edit(&d[12], func(e *volume.Transition) { e.Spec = d[12].Record.Spec })
			return d
		},
		"attaching beside a writer": func(d []fsm.Decision) []fsm.Decision {
			d[11].Record.Attachments = volume.Attachments{*on("n2")}
			edit(&d[11], func(e *volume.Transition) { e.Spec = d[11].Record.Spec })
			return d
		},
		"nobody left after a release": func(d []fsm.Decision) []fsm.Decision {
			d[14].Record.Attachments = nil
			edit(&d[14], func(e *volume.Transition) { e.Spec = d[14].Record.Spec })
			return d
		},
		"event tells other holders": func(d []fsm.Decision) []fsm.Decision {
			edit(&d[12], func(e *volume.Transition) { e.Spec.Attachments = d[10].Record.Attachments })
			return d
		},
		"held by nobody after an attach": func(d []fsm.Decision) []fsm.Decision {
			d[6].Record.Attachments = nil
			edit(&d[6], func(e *volume.Transition) { e.Spec = d[6].Record.Spec })
			return d
		},
	}
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			if err := firstFault(plant(cleanRun(t))); err == nil {
				t.Error("not seen")
			}
		})
	}
}

func TestCheckEnds_SeesAPlantedViolation(t *testing.T) {
	policy := fsm.DefaultRetryPolicy()
	good := follow(policy, errBusy, absent)
	plants := map[string]advance{
		"stands still": func(r volume.Record, _ time.Time) (fsm.Decision, error) { return fsm.Decision{Record: r}, nil },
		"refuses": func(r volume.Record, _ time.Time) (fsm.Decision, error) {
			return fsm.Decision{Record: r}, volume.ErrInvalidTransition
		},
		"counts no attempts": func(r volume.Record, now time.Time) (fsm.Decision, error) {
			d, err := good(r, now)
			if d.Record.Op != nil {
				op := *d.Record.Op
				op.Attempt, d.Record.Op = 1, &op
			}
			return d, err
		},
		"loses the operation": func(r volume.Record, now time.Time) (fsm.Decision, error) {
			d, err := good(r, now)
			d.Record.Op = nil
			return d, err
		},
	}
	start := in(t, volume.StateAttaching).record
	if err := checkEnds(start, policy, good); err != nil {
		t.Fatalf("got %v of a good one", err)
	}
	for name, next := range plants {
		if err := checkEnds(start, policy, next); err == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}

// TestStory_SeesARecordThatIsChanged: the check that all other tests rely on.
func TestStory_SeesARecordThatIsChanged(t *testing.T) {
	changes := map[string]func(volume.Record){
		"operation":   func(r volume.Record) { r.Op.Attempt++ },
		"attachments": func(r volume.Record) { r.Attachments[0].Mode = volume.ReadOnly },
		"behind the attachments": func(r volume.Record) {
			_ = append(r.Attachments, volume.Attachment{Node: "planted"})
		},
		"labels": func(r volume.Record) { r.Labels["team"] = "web" },
		"outbox": func(r volume.Record) { r.Outbox[0].Final = true },
		"behind the outbox": func(r volume.Record) {
			_ = append(r.Outbox, volume.Transition{ID: "planted"})
		},
		"behind the outcomes": func(r volume.Record) {
			_ = append(r.Outcomes, volume.Outcome{CommandID: "planted"})
		},
	}
	for name, change := range changes {
		given := withSpareRoom(in(t, volume.StateDetaching).record)
		before := fingerprint(t, given)
		change(given)
		if fingerprint(t, given) == before {
			t.Errorf("%s: not seen", name)
		}
	}
}
