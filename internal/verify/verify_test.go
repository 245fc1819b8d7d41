package verify

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/fsm"
	"github.com/jetvol/jetvol/volume"
)

func TestAll_CleanRun_NoFault(t *testing.T) {
	if faults := All(cleanRun(t)); len(faults) > 0 {
		t.Errorf("got faults in a clean run:\n%s", lines(faults))
	}
}

func TestAll_SharedRun_NoFault(t *testing.T) {
	e := sharedRun(t)
	if faults := All(e); len(faults) > 0 {
		t.Errorf("got faults in a clean run:\n%s", lines(faults))
	}
	if got := e.Records[db01].Attachments.String(); got != "node n1 (read-only), node n2 (read-only)" {
		t.Errorf("the run ends held by %s, want n1 and n2", got)
	}
}

func TestAll_NothingHappened_NoFault(t *testing.T) {
	if faults := All(Evidence{}); len(faults) > 0 {
		t.Errorf("got faults in an empty run:\n%s", lines(faults))
	}
}

// A kill during an operation may cost the journal its entry, and nothing else.
func TestEffects_KilledBeforeTheJournal_NoFault(t *testing.T) {
	e := cleanRun(t)
	lost := e.effect("c8")
	killed := e.Effects[lost].Time
	e.Kills = []Span{{killed, killed}}
	e.Effects = slices.Delete(e.Effects, lost, lost+1)
	if faults := All(e); len(faults) > 0 {
		t.Errorf("got faults:\n%s", lines(faults))
	}
	if got := Disturbed(e, e.Kills); got != 1 {
		t.Errorf("got %d disturbed operations, want 1", got)
	}
}

// A resize that is cancelled after the data file was lengthened, and before the object
// says so, leaves the file longer; the next resize that succeeds ends the excuse.
func TestBackend_ResizeCancelled_LongerFileIsExcused(t *testing.T) {
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.cancelled("c2", "c3", volume.VerbResize, volume.Args{Size: 2 * volume.MiB})
	e := h.rest()
	e.Files.Data[db01]++
	if faults := All(e); len(faults) > 0 {
		t.Errorf("after the cancelled resize: got faults:\n%s", lines(faults))
	}
	h.command("c4", volume.VerbResize, volume.Args{Size: 3 * volume.MiB})
	e = h.rest()
	e.Files.Data[db01]++
	if faults := Backend(e); len(faults) != 1 {
		t.Errorf("after the next resize: got faults:\n%s\nwant one", lines(faults))
	}
}

// plants are violations that a check must find. Each is planted into a clean run.
var plants = []struct {
	name  string
	check Check
	plant func(*Evidence)
	want  Class
	says  string
}{
	{"an answer is missing", Answers, func(e *Evidence) { e.command("c2").Answers = nil }, Lost, "2 answers missing"},
	{"the final event is missing", Answers, func(e *Evidence) {
		at := e.event("c8", 1)
		e.Transitions = slices.Delete(e.Transitions, at, at+1)
	}, Lost, "no final event"},
	{"a command ended twice", Answers, func(e *Evidence) {
		e.Transitions = append(e.Transitions, e.Transitions[e.event("c9", 0)])
	}, Doubled, "2 final events"},
	{"the answer is not the event's", Answers, func(e *Evidence) { e.command("c7").Answers[0].Generation++ }, Disagreement, "event succeeded"},
	{"the answer is not the stored outcome", Answers, func(e *Evidence) {
		e.Outcomes[db01][0].Result = volume.Succeeded
	}, Disagreement, "stored outcome succeeded"},
	{"no outcome is stored", Answers, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Outcomes = nil })
	}, Lost, "no stored outcome"},
	{"a successful cancel has an event", Answers, func(e *Evidence) {
		e.Transitions = append(e.Transitions, volume.Transition{ID: "x", Key: db01, CommandID: "c6", Final: true})
	}, Doubled, "of its own"},
	{"an event of nobody's command", Answers, func(e *Evidence) {
		e.Transitions = append(e.Transitions, volume.Transition{ID: "x", Key: db01, CommandID: "c99"})
	}, Disagreement, "nobody gave"},
	{"an accepted command vanished", Answers, func(e *Evidence) {
		e.Commands = append(e.Commands, Command{Key: db01, ID: "u1", Verb: volume.VerbDelete, Kind: Ordinary, Accepted: true})
	}, Lost, "accepted, no outcome"},
	{"an accepted command has no event", Answers, func(e *Evidence) {
		e.Transitions = slices.DeleteFunc(e.Transitions, func(t volume.Transition) bool { return t.CommandID == "c9" })
		*e.command("c9") = Command{Key: db01, ID: "c9", Verb: volume.VerbAttach, Kind: Ordinary, Accepted: true}
	}, Lost, "no final event"},
	{"validate_only left an event", Answers, func(e *Evidence) {
		e.Transitions = append(e.Transitions, volume.Transition{ID: "x", Key: db01, CommandID: "v1"})
	}, Disagreement, "left 1 events"},
	{"a malformed command has no dead letter", Answers, func(e *Evidence) { delete(e.DeadLetters, "m1") }, Lost, "no dead letter"},
	{"a malformed command was accepted", Answers, func(e *Evidence) {
		e.command("m1").Answers[0].Outcome = volume.Succeeded
	}, Disagreement, "malformed, answer succeeded"},

	{"a repeat got another answer", Repeats, func(e *Evidence) { e.command("c2").Answers[1].Generation = 7 }, Disagreement, "another succeeded"},
	{"a repeat was carried out", Repeats, func(e *Evidence) { e.command("c2").Answers[1].Repeat = false }, Doubled, "no repeats"},
	{"a reuse was accepted", Repeats, func(e *Evidence) {
		e.command("c2").Reuses[0] = commands.Reply{CommandID: "c2", Outcome: volume.Succeeded}
	}, Disagreement, "want command_id_reused"},
	{"a reuse was not answered", Repeats, func(e *Evidence) { e.command("c2").Reuses = nil }, Lost, "reused 1 times"},

	{"a generation is missing", Generations, func(e *Evidence) {
		at := e.event("c2", 1)
		e.Transitions = slices.Delete(e.Transitions, at, at+1)
	}, Lost, "generation 3 after 1"},
	{"a generation is doubled", Generations, func(e *Evidence) {
		again := e.Transitions[e.event("c8", 1)]
		again.ID += "-again"
		e.Transitions = append(e.Transitions, again)
	}, Doubled, "generation 23 after 25"},
	{"an event is doubled", Generations, func(e *Evidence) {
		e.Transitions = append(e.Transitions, e.Transitions[0])
	}, Doubled, "twice"},
	{"the chain is broken", Generations, func(e *Evidence) {
		e.Transitions[e.event("c8", 0)].From = volume.StateAttached
	}, Disagreement, "the volume was available"},
	{"the state machine has no such edge", Generations, func(e *Evidence) {
		e.Transitions[e.event("c8", 0)].Event = volume.EventReady
	}, Disagreement, "has no ready from available"},
	{"a rejection tells another generation", Generations, func(e *Evidence) {
		e.Transitions[e.event("c9", 0)].Generation--
	}, Disagreement, "the volume is attached"},

	{"a command was overtaken", Order, func(e *Evidence) {
		e.Transitions[e.event("c9", 0)].CommandSequence = 1
	}, Reordered, "at sequence 1 after c8"},

	{"a record is in progress", Records, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.State = volume.StateExtending })
	}, Stuck, "in state extending"},
	{"a settled record has an operation", Records, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Op = &volume.Op{CommandID: "c10"} })
	}, Stuck, "with operation c10"},
	{"a record is behind its events", Records, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Generation-- })
	}, Disagreement, "record is attached at generation 24"},
	{"a record has another spec", Records, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Drift = &volume.Drift{} })
	}, Disagreement, "record has spec"},
	{"an event stayed in the outbox", Records, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Outbox = []volume.Transition{{ID: "default.db-01/99"}} })
	}, Lost, "not on the stream"},
	{"a record is missing", Records, func(e *Evidence) { delete(e.Records, db01) }, Lost, "no record"},
	{"a refused name without the event of a refusal", Records, func(e *Evidence) {
		key := volume.Key{Project: "default", Name: "never"}
		e.Records[key] = volume.Record{SchemaVersion: 1, Key: key, State: volume.StatePending}
	}, Disagreement, "no transition"},
	{"a record without events", Records, func(e *Evidence) { e.Transitions = nil }, Disagreement, "no transition"},

	{"a ghost: the object is missing", Backend, func(e *Evidence) { e.Objects = nil }, Disagreement, "backend has 0 objects"},
	{"an orphan: the object has no record", Backend, func(e *Evidence) { delete(e.Records, db01) }, Disagreement, "without a record"},
	{"an object of a deleted volume", Backend, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.State = volume.StateDeleted })
	}, Disagreement, "volume is deleted"},
	{"the object is of another life", Backend, func(e *Evidence) { e.Objects[0].ID = "default.db-01.1" }, Disagreement, "record has id"},
	{"sizes differ", Backend, func(e *Evidence) { e.Objects[0].Size++ }, Disagreement, "record has size"},
	{"nodes differ", Backend, func(e *Evidence) {
		e.Objects[0].Attachments = volume.Attachments{{Node: "n7", Mode: volume.ReadWrite}}
	}, Disagreement, "record has attachments"},
	{"attached to nobody", Backend, func(e *Evidence) {
		e.Objects[0].Attachments = nil
		e.changeRecord(func(r *volume.Record) { r.Attachments = nil })
	}, Disagreement, "record is attached, held by no node"},
	{"the data file has another size", Backend, func(e *Evidence) { e.Files.Data[db01] = 1 }, Disagreement, "the data file has 1B"},
	{"the data file is longer", Backend, func(e *Evidence) { e.Files.Data[db01] = 9 * volume.MiB }, Disagreement, "the data file has 9MiB"},
	{"the data file is missing", Backend, func(e *Evidence) { e.Files.Data = nil }, Disagreement, "exists: false"},
	{"a data file without an object", Backend, func(e *Evidence) {
		e.Files.Data[volume.Key{Project: "default", Name: "x"}] = 1
	}, Disagreement, "without an object"},
	{"a stray file", Backend, func(e *Evidence) { e.Files.Stray = []string{"x.tmp"} }, Disagreement, "x.tmp"},

	{"a step was done twice", Effects, func(e *Evidence) {
		e.Effects = append(e.Effects, e.Effects[e.effect("c8")])
	}, Doubled, "2 effects attach"},
	{"a volume was created in two operations", Effects, func(e *Evidence) {
		e.Transitions[e.event("c8", 0)].Event = volume.EventCreate
		e.Effects[e.effect("c8")].Change = fsm.ActionCreate
	}, Doubled, "2 effects create"},
	{"an effect came after its operation", Effects, func(e *Evidence) {
		late := e.Effects[e.effect("c8")]
		late.Time = late.Time.Add(time.Hour)
		e.Effects = append(e.Effects, late)
	}, Doubled, "in no operation"},
	{"an effect on a volume that never was", Effects, func(e *Evidence) {
		e.Effects = append(e.Effects, Effect{Time: e.Effects[0].Time, Change: fsm.ActionCreate, ID: "default.x.1"})
	}, Doubled, "in no operation"},
	{"a gone node was evicted and nobody journaled it", Effects, func(e *Evidence) {
		lost := e.effect("g3")
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "without an effect"},
	{"another node was evicted", Effects, func(e *Evidence) {
		e.Effects[e.effect("g3")].Node = "n4"
	}, Disagreement, "evicted node n4"},
	{"an eviction took the other reader too", Effects, func(e *Evidence) {
		e.Transitions[e.event("g3", 1)].Spec.Attachments = nil
	}, Disagreement, "evict of node n3"},
	{"a node that was evicted still holds the volume", Effects, func(e *Evidence) {
		e.Transitions[e.event("g4", 1)].Spec.Attachments = volume.Attachments{{Node: "n3", Mode: volume.ReadOnly}}
	}, Disagreement, "still holds the volume"},
	{"an eviction without a reason", Effects, func(e *Evidence) {
		e.Transitions[e.event("g3", 0)].Eviction = nil
	}, Lost, "without a reason"},
	{"the journal lacks an effect and nobody was killed", Effects, func(e *Evidence) {
		lost := e.effect("c8")
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "without an effect"},
	{"the journal lacks an effect and its worker was only stopped", Effects, func(e *Evidence) {
		lost := e.effect("c8")
		e.Stops = []Span{{e.Effects[lost].Time, e.Effects[lost].Time}}
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "without an effect"},
	{"the journal lacks an effect and the kill came later", Effects, func(e *Evidence) {
		lost := e.effect("c8")
		end := e.Transitions[e.event("c8", 1)].Time.Add(time.Millisecond)
		e.Kills = []Span{{end, end.Add(time.Second)}}
		e.Effects = slices.Delete(e.Effects, lost, lost+1)
	}, Lost, "without an effect"},
	{"a stopped worker went on after another had ended its operation", Effects, func(e *Evidence) {
		late := e.effect("c8")
		end := e.Transitions[e.event("c8", 1)].Time
		e.Stops = []Span{{e.Effects[late].Time, end.Add(time.Second)}}
		e.Effects[late].Time = end.Add(time.Second)
	}, Doubled, "in no operation"},
	{"an effect has another size", Effects, func(e *Evidence) { e.Effects[e.effect("c10")].Size++ }, Disagreement, "resize to"},
	{"an effect has another node", Effects, func(e *Evidence) { e.Effects[e.effect("c8")].Node = "n7" }, Disagreement, "attach of node n7"},

	{"the cold start has commands", Rest, func(e *Evidence) { e.ColdStart.Queued = 1 }, Stuck, "commands in the stream"},
	{"the cold start has events", Rest, func(e *Evidence) { e.ColdStart.Events = 1 }, Stuck, "events"},
	{"the cold start has writes", Rest, func(e *Evidence) { e.ColdStart.Writes = 1 }, Stuck, "records"},
}

// wantFound fails the test unless one of the faults is of the class, or of any if that is
// empty, and says so.
func wantFound(t *testing.T, faults []Fault, class Class, says string) {
	t.Helper()
	if !slices.ContainsFunc(faults, func(f Fault) bool {
		return (class == "" || f.Class == class) && strings.Contains(f.String(), says)
	}) {
		t.Errorf("got faults:\n%s\nwant one that is %s and says %q", lines(faults), cmp.Or(class, "of any class"), says)
	}
}

func TestChecks_PlantedViolation_IsFound(t *testing.T) {
	for _, test := range plants {
		t.Run(test.name, func(t *testing.T) {
			e := cleanRun(t)
			test.plant(&e)
			faults := test.check(e)
			wantFound(t, faults, test.want, test.says)
			if all := All(e); len(all) < len(faults) {
				t.Errorf("All found %d faults, the check alone %d", len(all), len(faults))
			}
		})
	}
}

// sharedPlants are violations that only a volume with several readers shows.
var sharedPlants = []struct {
	name  string
	check Check
	plant func(*Evidence)
	says  string
}{
	{"a reader is missing at the backend", Backend, func(e *Evidence) {
		e.Objects[0].Attachments = e.Objects[0].Attachments.Without("n1")
	}, "record has attachments"},
	{"a reader is missing in the record", Backend, func(e *Evidence) {
		e.changeRecord(func(r *volume.Record) { r.Attachments = r.Attachments.Without("n1") })
	}, "record has attachments"},
	{"a writer came in", Backend, func(e *Evidence) {
		both := e.Objects[0].Attachments.With(volume.Attachment{Node: "n4", Mode: volume.ReadWrite})
		e.Objects[0].Attachments = both
		e.changeRecord(func(r *volume.Record) { r.Attachments = both })
	}, "attachments that cannot be"},
	{"an attach put another reader out", Effects, func(e *Evidence) {
		end := &e.Transitions[e.event("c4", 1)]
		end.Spec.Attachments = end.Spec.Attachments.Without("n2")
	}, "attach of node n1"},
	{"a detach took another reader with it", Effects, func(e *Evidence) {
		end := &e.Transitions[e.event("c7", 1)]
		end.Spec.Attachments = end.Spec.Attachments.Without("n1")
	}, "detach of node n3"},
	{"a detach was told and its node holds on", Effects, func(e *Evidence) {
		e.Transitions[e.event("c7", 1)].Spec = e.Transitions[e.event("c7", 0)].Spec
	}, "detach of node n3"},
	{"a detach was of another node", Effects, func(e *Evidence) { e.Effects[e.effect("c7")].Node = "n1" }, "detach of node n1"},
	{"an attach was of a node that held it", Effects, func(e *Evidence) { e.Effects[e.effect("c4")].Node = "n2" }, "attach of node n2"},
	{"released, and nobody is left", Generations, func(e *Evidence) {
		e.Transitions[e.event("c7", 1)].Spec.Attachments = nil
	}, "attached held by no node"},
	{"available, and somebody is there", Generations, func(e *Evidence) {
		e.Transitions[e.event("c1", 1)].Spec.Attachments = e.Transitions[e.event("c2", 1)].Spec.Attachments
	}, "available held by node n2"},
	{"a writer beside readers", Generations, func(e *Evidence) {
		end := &e.Transitions[e.event("c4", 1)].Spec
		end.Attachments = end.Attachments.With(volume.Attachment{Node: "n4", Mode: volume.ReadWrite})
	}, "holders that cannot be"},
}

func TestChecks_PlantedViolationOfReaders_IsFound(t *testing.T) {
	for _, test := range sharedPlants {
		t.Run(test.name, func(t *testing.T) {
			e := sharedRun(t)
			test.plant(&e)
			wantFound(t, test.check(e), Disagreement, test.says)
		})
	}
}

func TestCount_TwoClasses_CountsEach(t *testing.T) {
	counts := Count([]Fault{{Class: Lost}, {Class: Stuck}, {Class: Lost}})
	if counts[Lost] != 2 || counts[Stuck] != 1 || counts[Doubled] != 0 {
		t.Errorf("got %v, want 2 lost and 1 stuck", counts)
	}
}

func TestBackend_VolumeInError_IsNotJudged(t *testing.T) {
	e := cleanRun(t)
	e.changeRecord(func(r *volume.Record) { r.State = volume.StateError })
	e.Objects[0].Attachments = nil
	if faults := Backend(e); len(faults) > 0 {
		t.Errorf("got faults:\n%s", lines(faults))
	}
	e.Objects = append(e.Objects, backends.Object{Ref: backends.Ref{Key: volume.Key{Project: "default", Name: "x"}}})
	if faults := Backend(e); len(faults) == 0 {
		t.Error("got no fault, want the orphan beside the volume in error")
	}
}

func lines(faults []Fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	return strings.Join(texts, "\n")
}
