package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jetvol/jetvol/volume"
)

// recordView is the part of a record that is compared with events.
type recordView struct {
	State      volume.State `json:"state"`
	Generation uint64       `json:"generation"`
	volume.Key
	ID volume.ID `json:"id"`
	volume.Spec
	EventHash string `json:"event_hash"`
}

func viewOf(r volume.Record) recordView {
	return recordView{State: r.State, Generation: r.Generation, Key: r.Key, ID: r.ID, Spec: r.Spec, EventHash: r.EventHash}
}

// agrees reports whether a record is what the volume's last event says.
func (s *state) agrees(name string, r recordView) bool {
	return s.begun && r.Key.String() == name && r.Generation == s.generation &&
		(r.EventHash == s.hash.String() || r.EventHash == "" && !s.chained) &&
		recordContent(r) == s.content
}

func recordContent(r recordView) content {
	spec, err := json.Marshal(r.Spec)
	if err != nil { // it was JSON when it was read
		return content{}
	}
	return contentOf(r.ID, r.State, spec)
}

// differences names the fields in which a record is not what an event says.
func differences(r volume.Record, e *entry) (fields []string) {
	note := func(field string, got, want any) {
		if got != want {
			fields = append(fields, fmt.Sprintf("%s is %v, by the event %v", field, got, want))
		}
	}
	note("name", r.Key.String(), e.volume)
	note("id", r.ID, e.life)
	note("state", r.State, e.to)
	note("generation", r.Generation, e.generation)
	if r.EventHash != "" {
		note("event_hash", r.EventHash, e.hash.String())
	}
	return append(fields, specDifferences(r, e)...)
}

func specDifferences(r volume.Record, e *entry) (fields []string) {
	have, want := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return []string{"spec: " + err.Error()}
	}
	if err := json.Unmarshal(spec, &have); err != nil {
		return []string{"spec: " + err.Error()}
	}
	if err := json.Unmarshal(e.spec, &want); err != nil {
		return []string{"spec of the event: " + err.Error()}
	}
	names := maps.Clone(have)
	maps.Copy(names, want)
	for _, field := range slices.Sorted(maps.Keys(names)) {
		if field == "half_restored" && r.State == volume.StateRestoring {
			continue // noted without an event when an attempt was broken off
		}
		if string(have[field]) != string(want[field]) {
			fields = append(fields, fmt.Sprintf("%s is %s, by the event %s", field, orNone(have[field]), orNone(want[field])))
		}
	}
	return fields
}

func orNone(value json.RawMessage) string {
	if value == nil {
		return "none"
	}
	return string(value)
}

// list joins differences; nothing is a short way to say that there are none.
func list(fields []string) string { return strings.Join(fields, "; ") }
