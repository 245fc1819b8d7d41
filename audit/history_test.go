package audit_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/audit"
	"github.com/jetvol/jetvol/volume"
)

func ExampleParseMoment() {
	for _, text := range []string{"7", "2026-11-21T06:00:00Z", "yesterday"} {
		moment, err := audit.ParseMoment(text)
		fmt.Println(moment, err != nil)
	}
	// Output:
	// generation 7 false
	// 2026-11-21T06:00:00Z false
	// 0001-01-01T00:00:00Z true
}

func TestAt_EveryGeneration_IsTheRecordOfThen(t *testing.T) {
	p := newPlace(t)
	l := lead(t, "v", 12)
	p.settle(lead(t, "other", 4), l)
	for i, e := range l.events {
		if e.Event == volume.EventRejected {
			continue
		}
		for _, when := range []audit.Moment{{Generation: e.Generation}, {Time: e.Time}} {
			got, event, err := audit.At(p.ctx, p.js, key("v"), when)
			p.must(err)
			if got.State != e.To || got.Generation != e.Generation || got.ID != "default.v.1" || !reflect.DeepEqual(got.Spec, e.Spec) ||
				!got.UpdatedAt.Equal(e.Time) || got.EventHash != l.hashes[i] || event.Data.ID != e.ID || got.CreatedAt.IsZero() {
				t.Errorf("at %s: got %+v, want %+v", when, got, e)
			}
		}
	}
	for name, when := range map[string]audit.Moment{
		"its first event is of": {Time: l.events[0].Time.Add(-1)},
		"it is at generation":   {Generation: 11},
	} {
		if _, _, err := audit.At(p.ctx, p.js, key("v"), when); !errors.Is(err, volume.ErrVolumeNotFound) || !strings.Contains(err.Error(), name) {
			t.Errorf("at %s: got %v, want %q", when, err, name)
		}
	}
	if _, _, err := audit.At(p.ctx, p.js, key("nobody"), audit.Moment{Generation: 1}); !errors.Is(err, volume.ErrVolumeNotFound) {
		t.Errorf("a name without events: %v", err)
	}
	if got, _, err := audit.At(p.ctx, p.js, key("v"), audit.Moment{Time: time.Now()}); err != nil || got.Generation != 10 {
		t.Errorf("now: got %+v, %v, want the last generation", got, err)
	}
}

func TestAt_AgedOut_SaysSo(t *testing.T) {
	p := newPlace(t)
	lives := p.grow("v")
	p.age(6)
	for _, when := range []audit.Moment{{Generation: 2}, {Time: lives[0].events[1].Time}} {
		if _, _, err := audit.At(p.ctx, p.js, key("v"), when); !errors.Is(err, volume.ErrVolumeNotFound) || !strings.Contains(err.Error(), "before generation 5 have aged out") {
			t.Errorf("at %s: got %v", when, err)
		}
	}
	if got, _, err := audit.At(p.ctx, p.js, key("v"), audit.Moment{Generation: 5}); err != nil || got.State != volume.StateDetaching {
		t.Errorf("at the first one left: got %+v, %v", got, err)
	}
}

func TestHistory_OneVolume_RefusalsIncluded(t *testing.T) {
	p := newPlace(t)
	l := lead(t, "v", 12)
	p.settle(lead(t, "other", 4), l)
	var ids []string
	for stored, err := range audit.History(p.ctx, p.js, key("v")) {
		p.must(err)
		ids = append(ids, stored.Data.ID)
	}
	want := make([]string, 0, len(l.events))
	for _, e := range l.events {
		want = append(want, e.ID)
	}
	if !reflect.DeepEqual(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
}
