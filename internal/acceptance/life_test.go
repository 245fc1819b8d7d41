package acceptance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/commands"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/kv"
	"github.com/jetvol/jetvol/volume"
)

// A nats CLI alone makes a volume and sees that it is there.
func TestLife_NATSCLI_CreatesVolume(t *testing.T) {
	s := startServer(t)
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
	if record := s.shell(t, "nats kv get volumes default.db-01"); !strings.Contains(record, `"state":"available"`) {
		t.Errorf("nats kv get printed\n%s\nwant state available", record)
	}
	if size := fileSize(t, s.file("default.db-01")); size != 64*volume.MiB {
		t.Errorf("file: got %s, want 64MiB", size)
	}
}

func fileSize(t *testing.T, path string) volume.Bytes {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return volume.Bytes(info.Size())
}

// After every command of a volume's life the three witnesses say the same: the record,
// the events, and what the backend has.
func TestLife_EveryStep_WitnessesAgree(t *testing.T) {
	s := startServer(t)
	client := s.client(t)
	_, js := s.connect(t)
	key := volume.Key{Project: "default", Name: "db-01"}
	for i, step := range []struct {
		verb       volume.Verb
		args       volume.Args
		outcome    volume.Result
		state      volume.State
		generation uint64
		code       volume.Code
	}{
		{verb: volume.VerbCreate, args: volume.Args{Size: 64 * volume.MiB}, state: volume.StateAvailable, generation: 2},
		{verb: volume.VerbAttach, args: volume.Args{Node: "node-1"}, state: volume.StateAttached, generation: 4},
		{verb: volume.VerbAttach, args: volume.Args{Node: "intruder"}, outcome: volume.Rejected, state: volume.StateAttached, generation: 4, code: volume.ErrInvalidTransition},
		{verb: volume.VerbDelete, outcome: volume.Rejected, state: volume.StateAttached, generation: 4, code: volume.ErrInvalidTransition},
		{verb: volume.VerbResize, args: volume.Args{Size: 96 * volume.MiB}, state: volume.StateAttached, generation: 6},
		{verb: volume.VerbDetach, state: volume.StateAvailable, generation: 8},
		{verb: volume.VerbReconcile, state: volume.StateAvailable, generation: 9},
		{verb: volume.VerbResize, args: volume.Args{Size: 128 * volume.MiB}, state: volume.StateAvailable, generation: 11},
		{verb: volume.VerbAttach, args: volume.Args{Node: "node-2"}, state: volume.StateAttached, generation: 13},
		{verb: volume.VerbNodeGone, args: volume.Args{Node: "node-1", Reason: "lost power"}, state: volume.StateAttached, generation: 15},
		{verb: volume.VerbNodeGone, args: volume.Args{Node: "node-2", Reason: "lost power"}, state: volume.StateAvailable, generation: 17},
		{verb: volume.VerbDelete, state: volume.StateDeleted, generation: 19},
		{verb: volume.VerbCreate, args: volume.Args{Size: volume.MiB}, state: volume.StateAvailable, generation: 21},
	} {
		if step.outcome == "" {
			step.outcome = volume.Succeeded
		}
		reply := do(t, client, commands.Request{Key: key, Verb: step.verb, Args: step.args, Actor: "test"})
		wantReply(t, reply, step.outcome, step.state, step.code)
		record, seen := readWitnesses(t, s, js, key)
		if record.Generation != step.generation || record.State != step.state {
			t.Errorf("step %d, %s: record %s at generation %d, want %s at %d",
				i, step.verb, record.State, record.Generation, step.state, step.generation)
		}
		for _, fault := range disagreements(record, seen.events, seen.object) {
			t.Errorf("step %d, %s: %s", i, step.verb, fault)
		}
		if record.Exists() && fileSize(t, s.file(key.String())) != record.Size {
			t.Errorf("step %d, %s: file of %s, record of %s", i, step.verb, fileSize(t, s.file(key.String())), record.Size)
		}
		if _, err := os.Stat(s.file(key.String())); !record.Exists() && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step %d, %s: file of a deleted volume: %v", i, step.verb, err)
		}
	}
}

// witnesses are what the event stream and the backend say.
type witnesses struct {
	events []volume.Transition
	object *backends.Object // nil: the backend has none
}

func readWitnesses(t *testing.T, s *server, js jetstream.JetStream, key volume.Key) (volume.Record, witnesses) {
	t.Helper()
	driver, err := local.Open(local.Options{Dir: filepath.Dir(s.file(key.String()))})
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	return readWitnessesOf(t, js, driver, key)
}

// readWitnessesOf returns the record, and what the events and the driver say.
func readWitnessesOf(t *testing.T, js jetstream.JetStream, driver backends.Driver, key volume.Key) (volume.Record, witnesses) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen witnesses
	for event, err := range events.Read(ctx, js, events.Filter{Project: key.Project, Volume: key.Name}) {
		if err != nil {
			t.Fatal(err)
		}
		seen.events = append(seen.events, event.Data)
	}
	object, err := driver.Get(ctx, key)
	if err == nil {
		seen.object = &object
	} else if !errors.Is(err, volume.NotFound) {
		t.Fatal(err)
	}
	entry, err := kv.NewVolumes(js).ByKey(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Value, seen
}

// disagreements compares the three witnesses of one settled volume.
func disagreements(record volume.Record, history []volume.Transition, object *backends.Object) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	generation, state := uint64(0), volume.StatePending
	var last volume.Transition
	for _, t := range history {
		if t.Event == volume.EventRejected {
			if t.Generation != generation || t.From != state || t.To != state {
				fault("event %s moves the volume", t.ID)
			}
			continue
		}
		if t.Generation != generation+1 || t.From != state {
			fault("event %s from %s follows generation %d, %s", t.ID, t.From, generation, state)
		}
		generation, state, last = t.Generation, t.To, t
	}
	if record.Generation != generation || record.State != state || record.ID != last.VolumeID {
		fault("record %s %s at generation %d, events %s %s at %d", record.ID, record.State, record.Generation, last.VolumeID, state, generation)
	}
	if !reflect.DeepEqual(record.Spec, last.Spec) {
		fault("record %+v, events %+v", record.Spec, last.Spec)
	}
	if record.Op != nil {
		fault("operation %s is not over", record.Op.CommandID)
	}
	made := record.Exists() && record.State != volume.StatePending
	switch {
	case made != (object != nil):
		fault("record %s, backend has %v", record.State, object)
	case object != nil && (object.ID != record.ID || object.Size != record.Size || !reflect.DeepEqual(object.Attachments, record.Attachments)):
		fault("record %s %s %+v, backend %s %s %+v", record.ID, record.Size, record.Attachments, object.ID, object.Size, object.Attachments)
	}
	return faults
}

// The comparison finds what it is there for.
func TestDisagreements_PlantedFaults_AreFound(t *testing.T) {
	key := volume.Key{Project: "p", Name: "v"}
	id := volume.NewID(key, 1)
	spec := volume.Spec{Size: volume.MiB, Backend: "local"}
	event := func(generation uint64, from, to volume.State) volume.Transition {
		return volume.Transition{Key: key, VolumeID: id, Generation: generation, From: from, To: to, Spec: spec}
	}
	for name, plant := range map[string]func(*volume.Record, *[]volume.Transition, **backends.Object){
		"":                func(*volume.Record, *[]volume.Transition, **backends.Object) {},
		"gap":             func(_ *volume.Record, h *[]volume.Transition, _ **backends.Object) { (*h)[1].Generation = 3 },
		"double":          func(_ *volume.Record, h *[]volume.Transition, _ **backends.Object) { *h = append(*h, (*h)[1]) },
		"lost event":      func(_ *volume.Record, h *[]volume.Transition, _ **backends.Object) { *h = (*h)[:1] },
		"broken chain":    func(_ *volume.Record, h *[]volume.Transition, _ **backends.Object) { (*h)[1].From = volume.StateError },
		"record behind":   func(r *volume.Record, _ *[]volume.Transition, _ **backends.Object) { r.Generation = 1 },
		"record state":    func(r *volume.Record, _ *[]volume.Transition, _ **backends.Object) { r.State = volume.StateError },
		"record size":     func(r *volume.Record, _ *[]volume.Transition, _ **backends.Object) { r.Size++ },
		"stuck operation": func(r *volume.Record, _ *[]volume.Transition, _ **backends.Object) { r.Op = &volume.Op{} },
		"ghost":           func(_ *volume.Record, _ *[]volume.Transition, o **backends.Object) { *o = nil },
		"other life":      func(_ *volume.Record, _ *[]volume.Transition, o **backends.Object) { (*o).ID = "p.v.9" },
		"backend size":    func(_ *volume.Record, _ *[]volume.Transition, o **backends.Object) { (*o).Size++ },
		"unknown holder": func(_ *volume.Record, _ *[]volume.Transition, o **backends.Object) {
			(*o).Attachments = volume.Attachments{{Node: "n"}}
		},
		"moved by rejected": func(_ *volume.Record, h *[]volume.Transition, _ **backends.Object) {
			(*h)[1].Event = volume.EventRejected
		},
	} {
		t.Run(name, func(t *testing.T) {
			record := volume.Record{Key: key, ID: id, State: volume.StateAvailable, Generation: 2, Spec: spec}
			history := []volume.Transition{
				event(1, volume.StatePending, volume.StateCreating),
				event(2, volume.StateCreating, volume.StateAvailable),
			}
			object := &backends.Object{Ref: backends.Ref{Key: key, ID: id}, Size: spec.Size}
			plant(&record, &history, &object)
			if faults := disagreements(record, history, object); (len(faults) == 0) != (name == "") {
				t.Errorf("got %q", faults)
			}
		})
	}
}
