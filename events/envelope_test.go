package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"pgregory.net/rapid"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/volume"
)

var update = flag.Bool("update", false, "write the golden files in testdata")

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// samples are an event with every field, one with few, and a refusal.
func samples() map[string]volume.Transition {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	failed := transition(dbKey, 8, volume.EventError)
	failed.From, failed.To = volume.StateAttaching, volume.StateAttachingFailed
	failed.Verb, failed.Attempt, failed.Actor, failed.TraceParent = volume.VerbAttach, 2, "alice", traceParent
	failed.Time, failed.NextRetryAt = at, at.Add(time.Second)
	failed.Reason = "it is held elsewhere"
	failed.Failure = &volume.Failure{Code: volume.ErrBackendBusy, Class: volume.Busy, Message: "image locked by client.4123: busy"}
	failed.Spec.Labels = volume.Labels{"team": "db", "tier": "1"}
	failed.Spec.Drift = &volume.Drift{
		FoundAt: failed.Time, Differences: []volume.Difference{{Kind: volume.DriftSize, Wanted: "1GiB", Actual: "2GiB"}},
	}

	attached := transition(dbKey, 9, volume.EventAttached)
	attached.From, attached.To, attached.Final = volume.StateAttaching, volume.StateAttached, true
	attached.Spec.Attachments = volume.Attachments{{Node: "n1", Mode: volume.ReadOnly, Connection: map[string]string{"path": "/srv/db-01.img"}}}

	rejected := refusal(dbKey, 9, "c-2/with:every.kind_of@character=+-")
	rejected.From, rejected.To = volume.StateAttached, volume.StateAttached
	rejected.Failure = &volume.Failure{Code: volume.ErrInvalidTransition, Class: volume.FailedPrecondition, Message: "attach: attached to node n1"}
	return map[string]volume.Transition{"failed": failed, "attached": attached, "rejected": rejected}
}

// TestEncode_Golden pins the JSON on the wire, which others read.
func TestEncode_Golden(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			encoded, err := events.Encode(sample)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, encoded, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := "testdata/" + name + ".json"
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s differs, look and run with -update:\n%s", file, got.Bytes())
			}
			decoded, err := events.Decode(want)
			if err != nil || !reflect.DeepEqual(decoded.Data, sample) {
				t.Errorf("got %#v, %v, want %#v", decoded.Data, err, sample)
			}
		})
	}
}

// TestEncode_IsACloudEvent asks the official SDK.
func TestEncode_IsACloudEvent(t *testing.T) {
	for name, sample := range samples() {
		t.Run(name, func(t *testing.T) {
			encoded, err := events.Encode(sample)
			if err != nil {
				t.Fatal(err)
			}
			event := cloudevents.NewEvent()
			if err := json.Unmarshal(encoded, &event); err != nil {
				t.Fatal(err)
			}
			if err := event.Validate(); err != nil {
				t.Error(err)
			}
			got := []string{event.SpecVersion(), event.ID(), event.Source(), event.Type(), event.Subject(), event.DataContentType(), event.DataSchema()}
			want := []string{"1.0", sample.ID, "/jetvol", "io.jetvol.volume." + string(sample.Event), "default.db-01", "application/json", "urn:jetvol:event:volume:1"}
			if !reflect.DeepEqual(got, want) || !event.Time().Equal(sample.Time) {
				t.Errorf("got %q at %s, want %q at %s", got, event.Time(), want, sample.Time)
			}
			trace, _ := event.Extensions()["traceparent"].(string)
			if trace != sample.TraceParent {
				t.Errorf("got traceparent %q, want %q", trace, sample.TraceParent)
			}
			var data volume.Transition
			if err := event.DataAs(&data); err != nil || !reflect.DeepEqual(data, sample) {
				t.Errorf("got %#v, %v, want %#v", data, err, sample)
			}
		})
	}
}

// TestCloudEvents_SeesAPlantedViolation: the SDK's check can fail.
func TestCloudEvents_SeesAPlantedViolation(t *testing.T) {
	encoded, err := events.Encode(samples()["attached"])
	if err != nil {
		t.Fatal(err)
	}
	for _, attribute := range []string{"specversion", "id", "source", "type"} {
		event := cloudevents.NewEvent()
		if err := json.Unmarshal(without(t, encoded, attribute), &event); err == nil && event.Validate() == nil {
			t.Errorf("without %s: not seen", attribute)
		}
	}
}

// without returns the JSON object without one member.
func without(t *testing.T, object []byte, member string) []byte {
	t.Helper()
	return with(t, object, member, nil)
}

// with returns the JSON object with another value of one member.
func with(t *testing.T, object []byte, member string, value any) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(object, &all); err != nil {
		t.Fatal(err)
	}
	if all[member] = value; value == nil {
		delete(all, member)
	}
	changed, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestDecode_Refuses(t *testing.T) {
	good, err := events.Encode(samples()["attached"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.Decode(with(t, good, "comment", "an extension")); err != nil {
		t.Fatalf("got %v, want unknown attributes accepted", err)
	}
	foreign := transition(volume.Key{Project: "default", Name: "../../etc"}, 1, volume.EventCreate)
	hostile, err := events.Encode(foreign)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]byte{
		"nothing":               nil,
		"junk":                  []byte("junk"),
		"null":                  []byte("null"),
		"array":                 []byte("[]"),
		"cut off":               good[:len(good)-1],
		"two":                   append(bytes.Clone(good), good...),
		"nested deeply":         []byte(strings.Repeat("[", 100_000)),
		"version 0.3":           with(t, good, "specversion", "0.3"),
		"no version":            without(t, good, "specversion"),
		"other schema":          with(t, good, "dataschema", "urn:jetvol:event:volume:2"),
		"no id":                 without(t, good, "id"),
		"other id":              with(t, good, "id", "default.db-01/10"),
		"other source":          with(t, good, "source", "/else"),
		"other type":            with(t, good, "type", "io.jetvol.volume.deleted"),
		"other subject":         with(t, good, "subject", "default.db-02"),
		"no data":               without(t, good, "data"),
		"data of another type":  with(t, good, "data", "text"),
		"time of another type":  with(t, good, "time", 17),
		"a name no volume has":  hostile,
		"generation below zero": bytes.Replace(good, []byte(`"generation":9`), []byte(`"generation":-9`), 1),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := events.Decode(data)
			if !errors.Is(err, volume.ErrInvalidPayload) || !reflect.DeepEqual(got, events.Envelope{}) {
				t.Errorf("got %#v, %v, want %v", got, err, volume.ErrInvalidPayload)
			}
		})
	}
}

func TestEncode_RoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ -~äöü]{0,20}`)
		want := transition(dbKey, rapid.Uint64().Draw(rt, "generation"), rapid.SampledFrom(volume.Events()).Draw(rt, "event"))
		want.Actor, want.Reason = text.Draw(rt, "actor"), text.Draw(rt, "reason")
		want.Spec.Size = volume.Bytes(rapid.Int64Range(0, int64(volume.MaxSize)).Draw(rt, "size"))
		want.Time = time.Unix(rapid.Int64Range(0, 4e9).Draw(rt, "time"), rapid.Int64Range(0, 999_999_999).Draw(rt, "ns")).UTC()
		if rapid.Bool().Draw(rt, "labelled") {
			want.Spec.Labels = rapid.MapOfN(text, text, 1, 4).Draw(rt, "labels")
		}
		encoded, err := events.Encode(want)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := events.Decode(encoded)
		if err != nil || !reflect.DeepEqual(got, events.Wrap(want)) {
			rt.Fatalf("got %#v, %v, want %#v", got.Data, err, want)
		}
	})
}

// FuzzDecode: what is accepted says the same when it is written again.
func FuzzDecode(f *testing.F) {
	for _, sample := range samples() {
		encoded, err := events.Encode(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Add([]byte(`{"specversion":"1.0","data":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := events.Decode(data)
		if err != nil {
			if !errors.Is(err, volume.ErrInvalidPayload) {
				t.Fatalf("got %v, want %v", err, volume.ErrInvalidPayload)
			}
			return
		}
		encoded, err := events.Encode(first.Data)
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		second, err := events.Decode(encoded)
		if err != nil || second.ID != first.ID || second.Type != first.Type || second.Subject != first.Subject || second.Data.Key != first.Data.Key {
			t.Fatalf("got %#v, %v, want %#v", second, err, first)
		}
	})
}

// TestEncode_AsTheEnvelope: the event is put together from its parts, and is what encoding it
// as one would give.
func TestEncode_AsTheEnvelope(t *testing.T) {
	for name, sample := range samples() {
		for _, text := range []string{"", `</script>&\"`, "\u2028 é \xff"} {
			sample.Reason, sample.Actor = text, text
			want, err := json.Marshal(events.Wrap(sample))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := events.Encode(sample); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %s, %v, want %s", name, got, err, want)
			}
		}
	}
}
