package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

func encode(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// damage is one thing that is done to a volume of twelve events: create, ready, rejected,
// attach, attached, detach, detached, attach, attached, detach, rejected, detached.
type damage struct {
	name string
	do   func(l *life)
	kind audit.Kind
	// at is the place of the event at which it shows: 1 is the first of the volume; 0 is
	// that it shows in the record only.
	at         int
	generation uint64
}

func drop(i int) func(*life) { return func(l *life) { l.events = slices.Delete(l.events, i, i+1) } }

func change(i int, f func(*volume.Transition)) func(*life) {
	return func(l *life) { f(&l.events[i]) }
}

func record(f func(*volume.Record)) func(*life) { return func(l *life) { f(&l.record) } }

var damages = []damage{
	{"dropped first", drop(0), audit.MissingEvent, 1, 2},
	{"dropped", drop(4), audit.MissingEvent, 5, 5},
	{"dropped before a refusal", drop(1), audit.MissingEvent, 2, 2},
	{"dropped refusal", drop(2), audit.MissingEvent, 3, 3},
	{"dropped refusal, answer gone", func(l *life) { drop(2)(l); l.record.Outcomes = nil }, audit.AlteredEvent, 2, 2},
	{"dropped two last", func(l *life) { l.events = l.events[:10] }, audit.EventMissingForRecord, 0, 10},
	{"doubled", func(l *life) { l.events = slices.Insert(l.events, 5, l.events[4]) }, audit.DoubledEvent, 6, 4},
	{"doubled later", func(l *life) { l.events = slices.Insert(l.events, 9, l.events[4]) }, audit.DoubledEvent, 10, 4},
	{"doubled refusal", func(l *life) { l.events = slices.Insert(l.events, 9, l.events[2]) }, audit.DoubledEvent, 10, 2},
	{"doubled last", func(l *life) { l.events = append(l.events, l.events[11]) }, audit.DoubledEvent, 13, 10},
	{"swapped", func(l *life) { l.events[4], l.events[5] = l.events[5], l.events[4] }, audit.SwappedOrder, 5, 5},
	{"swapped first", func(l *life) { l.events[0], l.events[1] = l.events[1], l.events[0] }, audit.SwappedOrder, 1, 2},
	{"swapped with a refusal", func(l *life) { l.events[2], l.events[3] = l.events[3], l.events[2] }, audit.SwappedOrder, 3, 3},
	{"swapped last", func(l *life) { l.events[10], l.events[11] = l.events[11], l.events[10] }, audit.SwappedOrder, 11, 10},
	{"altered actor", change(4, func(t *volume.Transition) { t.Actor = "mallory" }), audit.AlteredEvent, 5, 4},
	{"altered actor of a refusal", change(2, func(t *volume.Transition) { t.Actor = "mallory" }), audit.AlteredEvent, 3, 2},
	{"altered first", change(0, func(t *volume.Transition) { t.Spec.Size++ }), audit.AlteredEvent, 1, 1},
	{"altered size", change(4, func(t *volume.Transition) { t.Spec.Size++ }), audit.AlteredEvent, 5, 4},
	{"altered state", change(4, func(t *volume.Transition) { t.To = volume.StateError }), audit.AlteredEvent, 5, 4},
	{"altered generation", change(4, func(t *volume.Transition) { t.Generation, t.ID = 9, t.Key.String()+"/9" }), audit.AlteredEvent, 5, 9},
	{"altered previous", change(4, func(t *volume.Transition) { t.Previous = t.Previous[1:] + "0" }), audit.AlteredEvent, 5, 4},
	{"no hash as previous", change(4, func(t *volume.Transition) { t.Previous = "x" }), audit.AlteredEvent, 5, 4},
	{"removed previous", change(4, func(t *volume.Transition) { t.Previous = "" }), audit.AlteredEvent, 5, 4},
	{"altered id", change(4, func(t *volume.Transition) { t.ID = t.Key.String() + "/77" }), audit.AlteredEvent, 5, 4},
	{"altered life", change(4, func(t *volume.Transition) { t.VolumeID = volume.NewID(t.Key, 3) }), audit.AlteredEvent, 5, 4},
	{"altered last", change(11, func(t *volume.Transition) { t.Actor = "mallory" }), audit.AlteredEvent, 12, 10},
	{"altered last, outbox gone", func(l *life) { l.events[11].Actor = "mallory"; l.record.Outbox = nil }, audit.AlteredEvent, 12, 10},
	{"edited size", record(func(r *volume.Record) { r.Size++ }), audit.RecordDiffers, 12, 10},
	{"edited labels", record(func(r *volume.Record) { r.Labels = volume.Labels{"a": "b"} }), audit.RecordDiffers, 12, 10},
	{"edited state", record(func(r *volume.Record) { r.State = volume.StateError }), audit.RecordDiffers, 12, 10},
	{"edited generation", record(func(r *volume.Record) { r.Generation = 9 }), audit.RecordDiffers, 12, 10},
	{"edited id", record(func(r *volume.Record) { r.ID = volume.NewID(r.Key, 2) }), audit.RecordDiffers, 12, 10},
	{"edited hash", record(func(r *volume.Record) { r.EventHash = r.Outbox[0].Previous }), audit.RecordDiffers, 12, 10},
	{"removed hash", record(func(r *volume.Record) { r.EventHash = "" }), audit.RecordDiffers, 12, 10},
	{"an earlier record", func(l *life) { l.events = append(l.events, more(l)...) }, audit.RecordDiffers, 14, 12},
	{"a later record", func(l *life) {
		record := l.record
		l.events = l.events[:7]
		record.Outbox = nil
		l.record = record
	}, audit.EventMissingForRecord, 0, 10},
}

// more returns what happens to the volume next, and leaves its record as it is.
func more(l *life) []volume.Transition {
	ahead := *l
	ahead.begin(volume.VerbAttach)
	ahead.succeed()
	return ahead.events[len(l.events):]
}

func TestVerify_PlantedDamage_IsNamed(t *testing.T) {
	p := newPlace(t)
	at := map[string]uint64{} // the sequence before each volume's first
	sequence := uint64(0)
	nameOf := func(i int) string { return fmt.Sprintf("default.v-%02d", i) }
	for i, d := range damages {
		l, good := lead(t, fmt.Sprintf("v-%02d", i), 12), lead(t, fmt.Sprintf("good-%02d", i), 5)
		d.do(l)
		p.settle(l, good)
		at[nameOf(i)] = sequence
		sequence += uint64(len(l.events) + len(good.events))
	}
	report := p.verify(audit.Options{})
	found := map[string]audit.Fault{}
	for _, fault := range report.Faults {
		found[fault.Volume] = fault
	}
	if len(report.Faults) != len(damages) || report.Clean() {
		t.Errorf("got %d faults, want %d", len(report.Faults), len(damages))
	}
	for i, d := range damages {
		want := uint64(0)
		if d.at > 0 {
			want = at[nameOf(i)] + uint64(d.at)
		}
		fault := found[nameOf(i)]
		if fault.Kind != d.kind || fault.Generation != d.generation || fault.Detail == "" || d.at > 0 && fault.Sequence != want {
			t.Errorf("%s: got %s, want %s at sequence %d, generation %d", d.name, fault, d.kind, want, d.generation)
		}
	}
}

func TestVerify_DeletedKey_IsNamed(t *testing.T) {
	p := newPlace(t)
	l := lead(t, "v", 12)
	p.settle(l, lead(t, "other", 4))
	entry, err := p.records.ByKey(p.ctx, key("v"))
	p.must(err)
	p.must(p.records.Delete(p.ctx, "default.v", entry.Revision))
	report := p.verify(audit.Options{})
	if len(report.Faults) != 1 || report.Faults[0].Kind != audit.RecordMissing || report.Faults[0].Sequence != 12 || report.Faults[0].Volume != "default.v" {
		t.Fatalf("got %v, want one record_missing at sequence 12", report.Faults)
	}
}

func TestVerify_NoJSON_IsNamed(t *testing.T) {
	p := newPlace(t)
	l := lead(t, "v", 4)
	p.settle(l)
	p.raw(key("v"), volume.EventAttach, []byte("nonsense"))
	p.raw(key("w"), volume.EventAttach, []byte(`{"data":{"generation":-1}}`))
	data, err := events.Encode(lead(t, "elsewhere", 1).events[0])
	p.must(err)
	p.raw(key("x"), volume.EventCreate, data)
	p.flush()
	report := p.verify(audit.Options{})
	kinds := map[string]audit.Kind{}
	for _, fault := range report.Faults {
		kinds[fault.Volume] = fault.Kind
	}
	if len(kinds) != 3 || kinds["default.v"] != audit.Undecodable || kinds["default.w"] != audit.Undecodable || kinds["default.x"] != audit.AlteredEvent {
		t.Fatalf("got %v", report.Faults)
	}
}
