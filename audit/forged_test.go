package audit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

// rechain makes the chain anew from the i-th event on, and the record's hash and outbox: what
// somebody does who may write everything. The events before it have no previous.
func (l *life) rechain(i int) {
	l.t.Helper()
	hash := ""
	for n := range l.events {
		previous := hash
		if n < i {
			previous = ""
		}
		next, err := events.Chain(&l.events[n], previous)
		if err != nil {
			l.t.Fatal(err)
		}
		hash = next
	}
	last := l.events[len(l.events)-1]
	l.record.EventHash, l.record.Outbox = hash, []volume.Transition{last}
	if i >= len(l.events) {
		l.record.EventHash = ""
	}
}

func TestVerify_EventsOfAnEarlierBuild_AreUnchained(t *testing.T) {
	for _, begins := range []int{1, 2, 6, 11, 12} {
		p := newPlace(t)
		l := lead(t, "v", 12)
		l.rechain(begins)
		p.settle(l)
		if report := p.wantClean(audit.Options{Strict: true}); report.Unchained != uint64(begins-1) {
			t.Errorf("a chain that begins with event %d: %d unchained, want %d", begins+1, report.Unchained, begins-1)
		}
	}
}

// Without a chain the generations tell, and with a forged one the state machine.
func TestVerify_WithoutOrWithAForgedChain_IsNamed(t *testing.T) {
	tests := []struct {
		name   string
		begins int
		do     func(l *life)
		kind   audit.Kind
		at     uint64
	}{
		{"unchained, dropped", 12, drop(4), audit.MissingEvent, 5},
		{"unchained, swapped", 12, func(l *life) { l.events[4], l.events[5] = l.events[5], l.events[4] }, audit.SwappedOrder, 5},
		{"unchained, doubled", 12, func(l *life) { l.events = slices.Insert(l.events, 5, l.events[4]) }, audit.DoubledEvent, 6},
		{"unchained, altered state", 12, change(4, func(t *volume.Transition) { t.To = volume.StateError }), audit.BadTransition, 5},
		{"forged, no such transition", 1, change(4, func(t *volume.Transition) { t.Event = volume.EventDetached }), audit.BadTransition, 5},
		{"forged, from elsewhere", 1, change(4, func(t *volume.Transition) { t.From = volume.StateExtending }), audit.BadTransition, 5},
		{"forged, another's id", 1, change(4, func(t *volume.Transition) { t.VolumeID = "default.w.1" }), audit.BadTransition, 5},
		{"forged, an id of before", 1, change(4, func(t *volume.Transition) { t.VolumeID = "default.v.3" }), audit.BadTransition, 5},
		{"forged, a refusal that moves", 1, change(2, func(t *volume.Transition) { t.To = volume.StateError }), audit.BadTransition, 3},
		{"forged, dropped", 1, drop(4), audit.BadTransition, 5},
		{"forged, another generation", 1, change(4, func(t *volume.Transition) { t.Generation, t.ID = 3, "default.v/3" }), audit.DoubledEvent, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlace(t)
			l := lead(t, "v", 12)
			test.do(l)
			l.rechain(test.begins)
			p.settle(l)
			report := p.verify(audit.Options{})
			if len(report.Faults) != 1 || report.Faults[0].Kind != test.kind || report.Faults[0].Sequence != test.at {
				t.Errorf("got %v, want %s at sequence %d", report.Faults, test.kind, test.at)
			}
		})
	}
}

// What surrounds the data is not hashed, so it has to agree with it.
func TestVerify_AlteredEnvelope_IsNamed(t *testing.T) {
	for name, alter := range map[string]func(*events.Envelope){
		"time":        func(e *events.Envelope) { e.Time = e.Time.Add(time.Hour) },
		"contenttype": func(e *events.Envelope) { e.DataContentType = "text/plain" },
		"source":      func(e *events.Envelope) { e.Source = "/elsewhere" },
		"traceparent": func(e *events.Envelope) { e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
		"type":        func(e *events.Envelope) { e.Type = "io.jetvol.volume.deleted" },
	} {
		p := newPlace(t)
		l := lead(t, "v", 4)
		for i, transition := range l.events {
			envelope := events.Wrap(transition)
			if i == 2 {
				alter(&envelope)
			}
			p.raw(transition.Key, transition.Event, encode(t, envelope))
		}
		p.flush()
		p.keep(l.record)
		if report := p.verify(audit.Options{}); len(report.Faults) != 1 || report.Faults[0].Kind != audit.AlteredEvent || report.Faults[0].Sequence != 3 {
			t.Errorf("%s: got %v, want altered_event at sequence 3", name, report.Faults)
		}
	}
}
